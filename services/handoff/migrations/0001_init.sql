create table calendars (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    constraint calendars_pk primary key (tenant_id, name)
);

create table gates (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    constraint gates_pk primary key (tenant_id, name)
);

create table gate_versions (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    parent $KEY not null,
    version bigint not null,
    state $KEY not null,
    constraint gate_versions_pk primary key (tenant_id, name)
);
create index gate_versions_by_parent on gate_versions (tenant_id, parent, version, name);

create table handoffs (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    gate $KEY not null,
    task $KEY not null,
    channel $KEY not null,
    state $KEY not null,
    human_led bigint not null,
    ai_run bigint not null,
    iteration bigint not null,
    override_count bigint not null,
    due_time bigint,
    escalate_time bigint,
    escalate_cause $KEY,
    accept_time bigint,
    publish_time bigint,
    constraint handoffs_pk primary key (tenant_id, name)
);
create index handoffs_by_create_time on handoffs (tenant_id, create_time, name);
create index handoffs_by_state on handoffs (tenant_id, state, create_time, name);
create index handoffs_open on handoffs (tenant_id, state, create_time) where state not in ('PUBLISHED', 'EXPIRED', 'CANCELLED');
create index handoffs_by_publish_time on handoffs (tenant_id, publish_time);

create table trigger_events (
    tenant_id $KEY not null,
    handoff $KEY not null,
    event_id $KEY not null,
    recorded_at bigint not null,
    constraint trigger_events_pk primary key (tenant_id, handoff, event_id)
);

create table variants (
    tenant_id $KEY not null,
    handoff $KEY not null,
    iteration bigint not null,
    ai_rank bigint not null,
    variant_id $KEY not null,
    ai_digest $KEY not null,
    body $BYTES not null,
    constraint variants_pk primary key (tenant_id, handoff, iteration, ai_rank, variant_id)
);
create index variants_by_ai_digest on variants (tenant_id, ai_digest);

create table reviews (
    tenant_id $KEY not null,
    handoff $KEY not null,
    review_no bigint not null,
    gate $KEY not null,
    gate_version $KEY not null,
    iteration bigint not null,
    channel $KEY not null,
    reviewer $KEY not null,
    outcome $KEY not null,
    decide_time bigint not null,
    latency_us bigint not null,
    edits_before bigint not null,
    surprised bigint not null,
    constraint reviews_pk primary key (tenant_id, handoff, review_no)
);
create index reviews_by_decide_time on reviews (tenant_id, decide_time, handoff, review_no);

create table graded_variants (
    tenant_id $KEY not null,
    handoff $KEY not null,
    review_no bigint not null,
    variant_id $KEY not null,
    gate $KEY not null,
    model_version $KEY not null,
    total double precision not null,
    passed bigint not null,
    factual_error bigint not null,
    decide_time bigint not null,
    constraint graded_variants_pk primary key (tenant_id, handoff, review_no, variant_id)
);
create index graded_variants_by_decide_time on graded_variants (tenant_id, decide_time);

create table clocks (
    tenant_id $KEY not null,
    resource $KEY not null,
    clock $KEY not null,
    round bigint not null,
    gate $KEY not null,
    start_time bigint not null,
    due_time bigint not null,
    stop_time bigint,
    met bigint,
    detect_time bigint,
    rung bigint,
    called $BYTES,
    constraint clocks_pk primary key (tenant_id, resource, clock, round)
);
create index clocks_by_due_time on clocks (tenant_id, due_time, resource);

create table overrides (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    resource $KEY not null,
    gate $KEY not null,
    gate_version $KEY not null,
    kind $KEY not null,
    reason $KEY not null,
    model_version $KEY not null,
    followed_up bigint not null,
    outsider bigint not null,
    constraint overrides_pk primary key (tenant_id, name)
);
create index overrides_by_create_time on overrides (tenant_id, create_time, name);
create index overrides_by_resource on overrides (tenant_id, resource, create_time);

create table routings (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    destination $KEY not null,
    state $KEY not null,
    reasons bigint not null,
    score double precision,
    high_intent bigint not null,
    data_quality_flag bigint not null,
    sampled bigint not null,
    checked bigint not null,
    overridden bigint not null,
    reassigns bigint not null,
    owner $KEY not null,
    model_version $KEY not null,
    constraint routings_pk primary key (tenant_id, name)
);
create index routings_by_create_time on routings (tenant_id, create_time, name);

create table assignments (
    tenant_id $KEY not null,
    routing $KEY not null,
    clock $KEY not null,
    round bigint not null,
    clock_id $KEY not null,
    owner $KEY not null,
    assign_time bigint not null,
    due_time bigint not null,
    accept_time bigint,
    end_time bigint,
    met bigint,
    detect_time bigint,
    constraint assignments_pk primary key (tenant_id, routing, clock, round)
);
create index assignments_by_clock on assignments (tenant_id, clock_id, routing);
create index assignments_by_assign_time on assignments (tenant_id, assign_time, routing);
create index assignments_by_due_time on assignments (tenant_id, due_time, routing);
create index assignments_open on assignments (tenant_id, due_time) where accept_time is null and end_time is null;

create table briefings (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    acknowledged bigint not null,
    constraint briefings_pk primary key (tenant_id, name)
);
create index briefings_by_create_time on briefings (tenant_id, create_time);

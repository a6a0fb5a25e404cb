-- One row a tenant: locked first by every change of the inventory, so that revisions are seen in the order of commit.
create table inventory_heads (
    tenant_id $KEY not null,
    -- Counts changes of tasks and of the decisions on them.
    revision bigint not null,
    -- Counts changes of functions and of the active policy.
    settings_revision bigint not null,
    constraint inventory_heads_pk primary key (tenant_id)
);

create table policies (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    policy $KEY not null,
    version $KEY not null,
    state $KEY not null,
    constraint policies_pk primary key (tenant_id, name),
    constraint policies_state check (state in ('DRAFT', 'ACTIVE', 'SUPERSEDED'))
);
create unique index policies_active on policies (tenant_id) where state = 'ACTIVE';

create table functions (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    constraint functions_pk primary key (tenant_id, name)
);

create table audit_windows (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    constraint audit_windows_pk primary key (tenant_id, name)
);

create table tasks (
    tenant_id $KEY not null,
    task_id $KEY not null,
    -- 1 once removed: the row stays so that caches learn of the removal.
    removed bigint not null,
    -- The names of function and audit window; empty if none.
    function $KEY not null,
    role $KEY not null,
    state $KEY not null,
    complexity bigint not null,
    frequency_per_week double precision not null,
    hours_per_year double precision not null,
    audit_window $KEY not null,
    tagged bigint not null,
    content_digest text not null,
    -- The decision in force; empty if none.
    decision_id $KEY not null,
    pattern $KEY not null,
    -- What the decision in force or the last one was made from.
    decided_digest text not null,
    decided_function_digest text not null,
    decided_policy_digest text not null,
    -- The head's revision at the last change.
    revision bigint not null,
    create_time bigint not null,
    update_time bigint not null,
    body $BYTES not null,
    constraint tasks_pk primary key (tenant_id, task_id)
);
create index tasks_by_revision on tasks (tenant_id, revision, task_id);
create index tasks_by_function on tasks (tenant_id, function, task_id);

create table decisions (
    tenant_id $KEY not null,
    decision_id $KEY not null,
    task_id $KEY not null,
    pattern $KEY not null,
    band $KEY not null,
    policy $KEY not null,
    policy_digest text not null,
    task_digest text not null,
    function_digest text not null,
    -- The ids of caps that moved the outcome, separated by commas.
    caps text not null,
    in_force bigint not null,
    decide_time bigint not null,
    end_time bigint,
    -- The group in which it was made, and the place in the group from 1.
    batch $KEY not null,
    ordinal bigint not null,
    body $BYTES not null,
    constraint decisions_pk primary key (tenant_id, decision_id)
);
create index decisions_by_time on decisions (tenant_id, decide_time, decision_id);
create index decisions_by_task on decisions (tenant_id, task_id, decide_time);
create index decisions_by_batch on decisions (tenant_id, batch, task_id);

create table backtests (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    digest $KEY not null,
    constraint backtests_pk primary key (tenant_id, name)
);
create index backtests_by_digest on backtests (tenant_id, digest);

-- Exact counts of checks, by hour and outcome.
create table check_counts (
    tenant_id $KEY not null,
    hour bigint not null,
    task $KEY not null,
    model_version $KEY not null,
    verdict $KEY not null,
    pattern $KEY not null,
    reason $KEY not null,
    checks bigint not null,
    -- Of denials: how many have an audit entry of their own, and how many wait to be put together in one, with the times of
    -- the first and the last of these. The rest has been put together.
    whole bigint not null,
    open_checks bigint not null,
    open_first bigint not null,
    open_last bigint not null,
    constraint check_counts_pk primary key (tenant_id, hour, task, model_version, verdict, pattern, reason)
);
create index check_counts_open on check_counts (tenant_id, hour, task) where open_checks > 0;

-- The journals of checks whose counts are in the table above.
create table check_journals (
    tenant_id $KEY not null,
    journal_id $KEY not null,
    fold_time bigint not null,
    constraint check_journals_pk primary key (tenant_id, journal_id)
);

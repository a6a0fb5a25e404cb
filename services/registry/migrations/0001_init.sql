-- The registry's tables. A resource is its API message in `body` beside the columns that are searched,
-- constrained or changed concurrently; the columns win when it is read. Times are microseconds.

create table models (
    tenant_id $KEY not null,
    model_id $KEY not null,
    display_name $KEY not null,
    owner $KEY not null,
    external bigint not null,
    -- The largest whole number that a version id was given or could have been given.
    last_number bigint not null,
    revision bigint not null,
    body $BYTES not null,
    created_at bigint not null,
    updated_at bigint not null,
    constraint models_pk primary key (tenant_id, model_id)
);

create table model_versions (
    tenant_id $KEY not null,
    model_id $KEY not null,
    version_id $KEY not null,
    number bigint not null,
    state $KEY not null,
    -- Whether it was ever approved: its retirement then needs a proposal.
    ever_approved bigint not null,
    transitions bigint not null,
    provider $KEY not null,
    base_model $KEY not null,
    artifact_digest $KEY not null,
    owner $KEY not null,
    ai_act_class $KEY not null,
    review_by bigint,
    revision bigint not null,
    body $BYTES not null,
    created_at bigint not null,
    updated_at bigint not null,
    constraint model_versions_pk primary key (tenant_id, model_id, version_id),
    constraint model_versions_model foreign key (tenant_id, model_id) references models (tenant_id, model_id)
);
create index model_versions_age on model_versions (tenant_id, created_at, model_id, number);
create index model_versions_of_model on model_versions (tenant_id, model_id, created_at, number);
create index model_versions_digest on model_versions (tenant_id, artifact_digest);
create index model_versions_state on model_versions (tenant_id, state, created_at);

create table model_version_artifacts (
    tenant_id $KEY not null,
    artifact_version $KEY not null,
    model_id $KEY not null,
    version_id $KEY not null,
    constraint model_version_artifacts_pk primary key (tenant_id, artifact_version, model_id, version_id),
    constraint model_version_artifacts_version foreign key (tenant_id, model_id, version_id)
        references model_versions (tenant_id, model_id, version_id)
);

create table transitions (
    tenant_id $KEY not null,
    model_id $KEY not null,
    version_id $KEY not null,
    ordinal bigint not null,
    body $BYTES not null,
    constraint transitions_pk primary key (tenant_id, model_id, version_id, ordinal),
    constraint transitions_version foreign key (tenant_id, model_id, version_id)
        references model_versions (tenant_id, model_id, version_id)
);

-- Aliases of models and labels of artifacts: `collection` is `models` or `artifacts`. A cleared alias
-- stays without a version, so that its history goes on counting.
create table aliases (
    tenant_id $KEY not null,
    collection $KEY not null,
    parent_id $KEY not null,
    alias $KEY not null,
    version_id $KEY,
    ordinal bigint not null,
    constraint aliases_pk primary key (tenant_id, collection, parent_id, alias)
);
create index aliases_version on aliases (tenant_id, collection, parent_id, version_id);

create table alias_changes (
    tenant_id $KEY not null,
    collection $KEY not null,
    parent_id $KEY not null,
    alias $KEY not null,
    ordinal bigint not null,
    body $BYTES not null,
    recorded_at bigint not null,
    constraint alias_changes_pk primary key (tenant_id, collection, parent_id, alias, ordinal)
);
create index alias_changes_age on alias_changes (tenant_id, collection, parent_id, recorded_at, alias, ordinal);

create table artifacts (
    tenant_id $KEY not null,
    artifact_id $KEY not null,
    kind $KEY not null,
    display_name $KEY not null,
    owner $KEY not null,
    last_number bigint not null,
    revision bigint not null,
    body $BYTES not null,
    created_at bigint not null,
    updated_at bigint not null,
    constraint artifacts_pk primary key (tenant_id, artifact_id)
);

create table artifact_versions (
    tenant_id $KEY not null,
    artifact_id $KEY not null,
    version_id $KEY not null,
    number bigint not null,
    kind $KEY not null,
    state $KEY not null,
    content_digest $KEY not null,
    content $BYTES,
    revision bigint not null,
    body $BYTES not null,
    created_at bigint not null,
    updated_at bigint not null,
    constraint artifact_versions_pk primary key (tenant_id, artifact_id, version_id),
    constraint artifact_versions_artifact foreign key (tenant_id, artifact_id) references artifacts (tenant_id, artifact_id)
);
create index artifact_versions_age on artifact_versions (tenant_id, created_at, artifact_id, number);
create index artifact_versions_of_artifact on artifact_versions (tenant_id, artifact_id, created_at, number);
create index artifact_versions_digest on artifact_versions (tenant_id, content_digest);

create table automations (
    tenant_id $KEY not null,
    automation_id $KEY not null,
    state $KEY not null,
    display_name $KEY not null,
    owner $KEY not null,
    revision bigint not null,
    body $BYTES not null,
    created_at bigint not null,
    updated_at bigint not null,
    constraint automations_pk primary key (tenant_id, automation_id)
);

-- Written once. `content_digest` is over the output as it was sent: by it a repeat is told from
-- another output under the same id.
create table outputs (
    tenant_id $KEY not null,
    output_id $KEY not null,
    asset_digest $KEY not null,
    model_version $KEY not null,
    model_version_state $KEY not null,
    task $KEY not null,
    decision $KEY not null,
    handoff $KEY not null,
    subject $KEY not null,
    stakes $KEY not null,
    stage $KEY not null,
    digital_source_type $KEY not null,
    disclosure_status $KEY not null,
    high_stakes bigint not null,
    complete bigint not null,
    unapproved bigint not null,
    human_reviewed bigint not null,
    content_digest $KEY not null,
    occurred_at bigint not null,
    recorded_at bigint not null,
    body $BYTES not null,
    constraint outputs_pk primary key (tenant_id, output_id)
);
create index outputs_age on outputs (tenant_id, recorded_at, output_id);
create index outputs_occurred on outputs (tenant_id, occurred_at);
create index outputs_asset on outputs (tenant_id, asset_digest, recorded_at, output_id);
create index outputs_model_version on outputs (tenant_id, model_version, recorded_at, output_id);
create index outputs_task on outputs (tenant_id, task, recorded_at, output_id);

-- What an output was made from: `relation` is `artifact` (target: its version's name) or `parent`
-- (target: an output id).
create table output_links (
    tenant_id $KEY not null,
    relation $KEY not null,
    target $KEY not null,
    output_id $KEY not null,
    constraint output_links_pk primary key (tenant_id, relation, target, output_id)
);

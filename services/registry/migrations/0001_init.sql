-- The registry's tables. A resource is its API message in `body` beside the columns by which it is found, which
-- repeat what the message says. Times are microseconds.

create table models (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    update_time bigint not null,
    display_name $KEY not null,
    owner $KEY not null,
    external bigint not null,
    -- The largest whole number that a version id was given or could have been given.
    last_number bigint not null default 0,
    body $BYTES not null,
    constraint models_pk primary key (tenant_id, name)
);

create table model_versions (
    tenant_id $KEY not null,
    name $KEY not null,
    parent $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    update_time bigint not null,
    state $KEY not null,
    provider $KEY not null,
    base_model $KEY not null,
    artifact_digest $KEY not null,
    owner $KEY not null,
    ai_act_class $KEY not null,
    review_by bigint,
    body $BYTES not null,
    constraint model_versions_pk primary key (tenant_id, name),
    constraint model_versions_model foreign key (tenant_id, parent) references models (tenant_id, name)
);
create index model_versions_age on model_versions (tenant_id, create_time, name);
create index model_versions_of_model on model_versions (tenant_id, parent, create_time, name);
create index model_versions_digest on model_versions (tenant_id, artifact_digest);
create index model_versions_state on model_versions (tenant_id, state, create_time);

-- How many outputs of a version were recorded on the day that began at `start_time`, where its approval bounds them. Kept
-- with the version locked.
create table daily_outputs (
    tenant_id $KEY not null,
    model_version $KEY not null,
    start_time bigint not null,
    outputs bigint not null,
    constraint daily_outputs_pk primary key (tenant_id, model_version),
    constraint daily_outputs_version foreign key (tenant_id, model_version)
        references model_versions (tenant_id, name)
);

create table model_version_artifacts (
    tenant_id $KEY not null,
    artifact_version $KEY not null,
    model_version $KEY not null,
    constraint model_version_artifacts_pk primary key (tenant_id, artifact_version, model_version),
    constraint model_version_artifacts_version foreign key (tenant_id, model_version)
        references model_versions (tenant_id, name)
);

-- What happened to the state of a model version. `parent` is the version.
create table transitions (
    tenant_id $KEY not null,
    parent $KEY not null,
    sequence bigint not null,
    to_state $KEY not null,
    body $BYTES not null,
    constraint transitions_pk primary key (tenant_id, parent, sequence),
    constraint transitions_version foreign key (tenant_id, parent) references model_versions (tenant_id, name)
);

-- What aliases of models and labels of artifacts have pointed at. `parent` is the model or artifact, `version` what
-- the alias points at from then on, empty for nothing: the last of an alias is where it points now.
create table alias_changes (
    tenant_id $KEY not null,
    parent $KEY not null,
    alias $KEY not null,
    sequence bigint not null,
    version $KEY not null,
    record_time bigint not null,
    body $BYTES not null,
    constraint alias_changes_pk primary key (tenant_id, parent, alias, sequence)
);
create index alias_changes_age on alias_changes (tenant_id, parent, record_time, alias, sequence);

create table artifacts (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    update_time bigint not null,
    kind $KEY not null,
    display_name $KEY not null,
    owner $KEY not null,
    last_number bigint not null default 0,
    body $BYTES not null,
    constraint artifacts_pk primary key (tenant_id, name)
);

-- The content is no part of `body`, because lists leave it out.
create table artifact_versions (
    tenant_id $KEY not null,
    name $KEY not null,
    parent $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    update_time bigint not null,
    kind $KEY not null,
    state $KEY not null,
    content_digest $KEY not null,
    content $BYTES,
    body $BYTES not null,
    constraint artifact_versions_pk primary key (tenant_id, name),
    constraint artifact_versions_artifact foreign key (tenant_id, parent) references artifacts (tenant_id, name)
);
create index artifact_versions_age on artifact_versions (tenant_id, create_time, name);
create index artifact_versions_of_artifact on artifact_versions (tenant_id, parent, create_time, name);
create index artifact_versions_digest on artifact_versions (tenant_id, content_digest);

create table automations (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    update_time bigint not null,
    state $KEY not null,
    display_name $KEY not null,
    owner $KEY not null,
    body $BYTES not null,
    constraint automations_pk primary key (tenant_id, name)
);

-- Written once; `create_time` is when it was recorded. `content_digest` is over the output as it was sent: by it a
-- repeat is told from another output under the same id.
create table outputs (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
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
    occurred_time bigint not null,
    -- When it counts: when it was made, or recorded if it is backdated.
    counted_time bigint not null,
    body $BYTES not null,
    constraint outputs_pk primary key (tenant_id, name)
);
create index outputs_age on outputs (tenant_id, create_time, name);
create index outputs_counted on outputs (tenant_id, counted_time);
create index outputs_asset on outputs (tenant_id, asset_digest, create_time, name);
create index outputs_model_version on outputs (tenant_id, model_version, create_time, name);
create index outputs_task on outputs (tenant_id, task, create_time, name);

-- What an output was made from, by name: artifact versions and other outputs.
create table output_links (
    tenant_id $KEY not null,
    target $KEY not null,
    output $KEY not null,
    constraint output_links_pk primary key (tenant_id, target, output)
);

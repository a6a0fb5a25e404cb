-- One transparency log per tenant. $KEY is text compared bytewise, $BYTES a byte string; times are
-- microseconds. An index is called idx because index is a word of SQL.

-- The state of each log: whoever appends claims this row first.
create table log_heads (
    tenant_id $KEY not null,
    size bigint not null,
    root_hash $BYTES not null,
    frontier $BYTES not null,
    checkpoint text not null,
    update_time bigint not null,
    constraint log_heads_pk primary key (tenant_id),
    constraint log_heads_size check (size >= 0)
);

-- The leaves. The columns after leaf repeat its content for searching; what is empty is null. They have no
-- index: postings say where each value is.
create table entries (
    tenant_id $KEY not null,
    idx bigint not null,
    event_id $KEY not null,
    leaf_hash $BYTES not null,
    leaf $BYTES not null,
    actor $KEY not null,
    actor_kind $KEY not null,
    on_behalf_of $KEY,
    action $KEY not null,
    resource $KEY not null,
    outcome $KEY not null,
    service $KEY not null,
    occurred_at bigint not null,
    recorded_at bigint not null,
    integrated_at bigint not null,
    request_id $KEY,
    trace_id $KEY,
    subject $KEY,
    reason $KEY,
    policy_version $KEY,
    model_version $KEY,
    detail_proposal $KEY,
    detail_task $KEY,
    detail_decision $KEY,
    detail_gate_version $KEY,
    detail_from $KEY,
    detail_to $KEY,
    constraint entries_pk primary key (tenant_id, idx),
    constraint entries_event unique (tenant_id, event_id),
    constraint entries_idx check (idx >= 0)
);

-- Where each value of a search column is, for the entries under full tiles of level 0, packed: a row for each tile
-- in bucket -1, which become rows for each bucket of values once a group of 64 tiles is full; tile is then the first
-- of the group. What comes after the last full tile is looked at one by one. docs/audit.md has the form of body.
create table postings (
    tenant_id $KEY not null,
    bucket bigint not null,
    tile bigint not null,
    body $BYTES not null,
    constraint postings_pk primary key (tenant_id, bucket, tile)
);

-- Tiles of 256 hashes. Level 0 is stored once it is full: until then the entries hold its hashes. The
-- levels above are stored as they grow.
create table tiles (
    tenant_id $KEY not null,
    level bigint not null,
    idx bigint not null,
    hashes $BYTES not null,
    constraint tiles_pk primary key (tenant_id, level, idx)
);

-- The times of the entries under each full tile of level 0. Entries come nearly in the order of time, so a
-- search by time need only look between the first and the last tile that its times touch.
create table tile_times (
    tenant_id $KEY not null,
    idx bigint not null,
    recorded_first bigint not null,
    recorded_last bigint not null,
    occurred_first bigint not null,
    occurred_last bigint not null,
    integrated_first bigint not null,
    integrated_last bigint not null,
    constraint tile_times_pk primary key (tenant_id, idx)
) $WITHIN_KEY;

-- Cosignatures of witnesses, by the size of the checkpoint they are for.
create table cosignatures (
    tenant_id $KEY not null,
    size bigint not null,
    witness $KEY not null,
    signature text not null,
    cosign_time bigint not null,
    create_time bigint not null,
    constraint cosignatures_pk primary key (tenant_id, size, witness)
);

-- Where the signing key was changed: the signature line of the key before on the checkpoint of this size, whose last entry
-- names the next key.
create table key_handovers (
    tenant_id $KEY not null,
    size bigint not null,
    signature text not null,
    constraint key_handovers_pk primary key (tenant_id, size)
);

-- The keys of personal-data subjects, each sealed under a master key. Erasing sets wrapped to null; who
-- comes back after that gets the next generation.
create table subject_keys (
    tenant_id $KEY not null,
    subject $KEY not null,
    generation bigint not null,
    master_key $KEY not null,
    wrapped $BYTES,
    create_time bigint not null,
    destroy_time bigint,
    constraint subject_keys_pk primary key (tenant_id, subject, generation)
);
create index subject_keys_by_master on subject_keys (tenant_id, master_key, subject, generation) where wrapped is not null;

-- Personal data, sealed under its subject's key, by the entry that commits to it.
create table personal_data (
    tenant_id $KEY not null,
    idx bigint not null,
    subject $KEY not null,
    generation bigint not null,
    sealed $BYTES not null,
    constraint personal_data_pk primary key (tenant_id, idx)
);
create index personal_data_by_subject on personal_data (tenant_id, subject, idx);

-- How long a tenant keeps its entries; no row, or no duration in it, means for ever.
create table retention_policies (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    constraint retention_policies_pk primary key (tenant_id, name)
);

-- What must not be pruned or erased.
create table legal_holds (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    active bigint not null,
    body $BYTES not null,
    constraint legal_holds_pk primary key (tenant_id, name)
);
create index legal_holds_active on legal_holds (tenant_id, active, name);

-- Spans of entries whose content retention removed, in whole tiles less what was held. The pruning's
-- own entry, found by event id, states the same.
create table prunings (
    tenant_id $KEY not null,
    start_idx bigint not null,
    end_idx bigint not null,
    event_id $KEY not null,
    prune_time bigint not null,
    constraint prunings_pk primary key (tenant_id, start_idx),
    constraint prunings_span check (start_idx < end_idx)
);

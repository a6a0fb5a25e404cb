-- The tables that every service's database has beside its own.
-- $KEY is text compared bytewise on both engines, $BYTES a byte string; times are microseconds.

create table remit_settings (
    name $KEY not null,
    value $BYTES not null,
    constraint remit_settings_pk primary key (name)
);

create table remit_tenants (
    tenant_id $KEY not null,
    first_seen_at bigint not null,
    constraint remit_tenants_pk primary key (tenant_id)
);

-- One row a mutation that carried a request id: what was asked, by digest, and what was answered. Ids belong to the
-- subject and its kind: a program under a person's name gets none of her answers.
create table remit_requests (
    tenant_id $KEY not null,
    subject $KEY not null,
    actor_kind $KEY not null,
    request_id $KEY not null,
    method text not null,
    digest text not null,
    response $BYTES,
    recorded_at bigint not null,
    constraint remit_requests_pk primary key (tenant_id, subject, actor_kind, request_id)
);
create index remit_requests_age on remit_requests (tenant_id, recorded_at);

-- The nonces of mandates that were used, each once.
create table remit_mandates (
    tenant_id $KEY not null,
    nonce $KEY not null,
    proposal text not null,
    permission text not null,
    redeemed_at bigint not null,
    constraint remit_mandates_pk primary key (tenant_id, nonce)
);

-- Audit events on their way to the audit service, numbered from 1 without gaps in commit order.
create table remit_outbox_heads (
    tenant_id $KEY not null,
    last_seq bigint not null,
    acked_seq bigint not null,
    constraint remit_outbox_heads_pk primary key (tenant_id),
    constraint remit_outbox_heads_order check (acked_seq <= last_seq)
);
create table remit_outbox (
    tenant_id $KEY not null,
    seq bigint not null,
    event text not null,
    recorded_at bigint not null,
    constraint remit_outbox_pk primary key (tenant_id, seq)
);

-- Those that the audit service refused for good, set aside so that the ones behind them go on. Without
-- personal fields, which nobody could erase here.
create table remit_outbox_parked (
    tenant_id $KEY not null,
    seq bigint not null,
    event text not null,
    recorded_at bigint not null,
    reason text not null,
    message text not null,
    parked_at bigint not null,
    constraint remit_outbox_parked_pk primary key (tenant_id, seq)
);

-- Which process does the background work of a tenant, and until when.
create table remit_leases (
    tenant_id $KEY not null,
    name $KEY not null,
    holder $KEY not null,
    until_at bigint not null,
    constraint remit_leases_pk primary key (tenant_id, name)
);

create table remit_timers (
    tenant_id $KEY not null,
    timer_id $KEY not null,
    kind text not null,
    due_at bigint not null,
    payload $BYTES not null,
    constraint remit_timers_pk primary key (tenant_id, timer_id)
);
create index remit_timers_due on remit_timers (tenant_id, due_at, timer_id);

-- Feeds that watch streams read: the latest body of each key, numbered in commit order. A body that
-- is null marks a deletion.
create table remit_feed_heads (
    tenant_id $KEY not null,
    feed $KEY not null,
    revision bigint not null,
    floor bigint not null,
    constraint remit_feed_heads_pk primary key (tenant_id, feed)
);
create table remit_feed_items (
    tenant_id $KEY not null,
    feed $KEY not null,
    item_key $KEY not null,
    revision bigint not null,
    body $BYTES,
    constraint remit_feed_items_pk primary key (tenant_id, feed, item_key),
    constraint remit_feed_items_revision unique (tenant_id, feed, revision)
);

-- How far the audit log has been read by a service that follows it.
create table remit_tail_positions (
    tenant_id $KEY not null,
    next_index bigint not null,
    constraint remit_tail_positions_pk primary key (tenant_id)
);

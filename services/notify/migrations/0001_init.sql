-- What notify keeps. Each resource is its API message in `body`, beside the columns that are searched.

create table subscriptions (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    state $KEY not null,
    owner $KEY not null,
    uid $KEY not null,
    body $BYTES not null,
    constraint subscriptions_pk primary key (tenant_id, name)
);
create index subscriptions_by_owner on subscriptions (tenant_id, owner);

-- When the next of a subscription's deliveries is to be sent; no row if there is none.
create table queues (
    tenant_id $KEY not null,
    subscription $KEY not null,
    due_at bigint not null,
    constraint queues_pk primary key (tenant_id, subscription),
    constraint queues_subscription foreign key (tenant_id, subscription) references subscriptions (tenant_id, name)
);
create index queues_by_due on queues (tenant_id, due_at);

-- The secrets of a subscription, newest number last.
create table subscription_secrets (
    tenant_id $KEY not null,
    subscription $KEY not null,
    number bigint not null,
    expire_time bigint not null,
    secret $BYTES not null,
    constraint subscription_secrets_pk primary key (tenant_id, subscription, number),
    constraint subscription_secrets_subscription foreign key (tenant_id, subscription)
        references subscriptions (tenant_id, name)
);

-- One row an event and subscription: the index of the event is the last part of the name.
create table deliveries (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    parent $KEY not null,
    state $KEY not null,
    entry_index bigint not null,
    resource $KEY not null,
    next_at bigint not null,
    body $BYTES not null,
    constraint deliveries_pk primary key (tenant_id, name),
    constraint deliveries_subscription foreign key (tenant_id, parent) references subscriptions (tenant_id, name)
);
create index deliveries_by_next on deliveries (tenant_id, parent, state, next_at);
create index deliveries_dead on deliveries (tenant_id) where state = 'DEAD';
create index deliveries_by_resource on deliveries (tenant_id, parent, resource, entry_index);

create table notices (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    constraint notices_pk primary key (tenant_id, name)
);
create index notices_by_time on notices (tenant_id, create_time, name);

create table notice_audiences (
    tenant_id $KEY not null,
    notice $KEY not null,
    audience $KEY not null,
    constraint notice_audiences_pk primary key (tenant_id, notice, audience),
    constraint notice_audiences_notice foreign key (tenant_id, notice) references notices (tenant_id, name)
);

create index notice_audiences_by_audience on notice_audiences (tenant_id, audience, notice);

create table notice_reads (
    tenant_id $KEY not null,
    notice $KEY not null,
    subject $KEY not null,
    read_time bigint not null,
    constraint notice_reads_pk primary key (tenant_id, notice, subject),
    constraint notice_reads_notice foreign key (tenant_id, notice) references notices (tenant_id, name)
);

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
    -- Before that nothing is begun, because as much was as may be in a second.
    free_at bigint not null,
    -- Until then whoever took deliveries of it sends them, and nobody else.
    leased_until bigint not null,
    -- 1: nobody answered there last, so that others go first.
    silent bigint not null,
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
create index deliveries_by_next on deliveries (tenant_id, parent, state, next_at, entry_index);
create index deliveries_dead on deliveries (tenant_id) where state = 'DEAD';
create index deliveries_by_resource on deliveries (tenant_id, parent, resource, entry_index);

create table notices (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    duty $KEY not null,
    resource $KEY not null,
    -- When what it asks was done or over; null while it is asked.
    end_time bigint,
    body $BYTES not null,
    constraint notices_pk primary key (tenant_id, name)
);
create index notices_by_time on notices (tenant_id, create_time, name);
create index notices_by_resource on notices (tenant_id, resource, duty);

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

-- Who has done what a kind of duty asks about something, so that no later notice of it asks her again.
create table duties_done (
    tenant_id $KEY not null,
    resource $KEY not null,
    duty $KEY not null,
    subject $KEY not null,
    constraint duties_done_pk primary key (tenant_id, resource, duty, subject)
);
create index duties_done_by_subject on duties_done (tenant_id, subject);

-- Where notices reach somebody, beside her inbox. The name of a person's is worked out from her subject.
create table notification_settings (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    owner $KEY not null,
    body $BYTES not null,
    constraint notification_settings_pk primary key (tenant_id, name)
);

-- As what somebody is addressed; of a person as her token said it when she last came.
create table settings_audiences (
    tenant_id $KEY not null,
    audience $KEY not null,
    settings $KEY not null,
    until_time bigint not null,
    constraint settings_audiences_pk primary key (tenant_id, audience, settings),
    constraint settings_audiences_settings foreign key (tenant_id, settings)
        references notification_settings (tenant_id, name)
);
create index settings_audiences_by_settings on settings_audiences (tenant_id, settings);

-- The code that confirms an address: its digest, until when it is good, how often it may be guessed, and how many codes were
-- sent since when.
create table settings_codes (
    tenant_id $KEY not null,
    settings $KEY not null,
    code $KEY not null,
    expire_time bigint not null,
    tries bigint not null,
    sent bigint not null,
    since_time bigint not null,
    constraint settings_codes_pk primary key (tenant_id, settings),
    constraint settings_codes_settings foreign key (tenant_id, settings)
        references notification_settings (tenant_id, name)
);

-- What is to be sent to people. What has been sent is deleted; what belongs to the same slot is sent together.
create table messages (
    tenant_id $KEY not null,
    settings $KEY not null,
    name $KEY not null,
    channel $KEY not null,
    kind $KEY not null,
    notice $KEY not null,
    slot bigint not null,
    next_at bigint not null,
    start_time bigint not null,
    attempts bigint not null,
    body $BYTES not null,
    constraint messages_pk primary key (tenant_id, settings, name),
    constraint messages_settings foreign key (tenant_id, settings)
        references notification_settings (tenant_id, name)
);
create index messages_by_next on messages (tenant_id, next_at);

-- Since when an address is in doubt, by the name of what says it: mail to it came back once.
create table bounces (
    tenant_id $KEY not null,
    resource $KEY not null,
    since_time bigint not null,
    constraint bounces_pk primary key (tenant_id, resource)
);

-- Deadlines as entries of calendars: the sequence grows with every change.
create table deadlines (
    tenant_id $KEY not null,
    duty $KEY not null,
    resource $KEY not null,
    sequence bigint not null,
    due_time bigint not null,
    cancelled bigint not null,
    notice $KEY not null,
    constraint deadlines_pk primary key (tenant_id, duty, resource)
);
create index deadlines_by_notice on deadlines (tenant_id, notice);

-- What a tenant's links to unsubscribe are signed with.
create table link_keys (
    tenant_id $KEY not null,
    secret $BYTES not null,
    constraint link_keys_pk primary key (tenant_id)
);

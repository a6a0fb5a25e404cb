-- What the council keeps. Each resource is its API message in `body`, beside the columns that are
-- searched, constrained or changed concurrently; those columns win over the message.

-- One row a tenant, from its bootstrap on: who made the constitution, and its recoveries.
create table constitutions (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    constraint constitutions_pk primary key (tenant_id, name)
);

create table bodies (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    constraint bodies_pk primary key (tenant_id, name)
);

create table members (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    parent $KEY not null,
    active bigint not null,
    body $BYTES not null,
    constraint members_pk primary key (tenant_id, name),
    constraint members_body foreign key (tenant_id, parent) references bodies (tenant_id, name)
);
create index members_by_body on members (tenant_id, parent, name);

create table delegations (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    parent $KEY not null,
    body $BYTES not null,
    constraint delegations_pk primary key (tenant_id, name),
    constraint delegations_body foreign key (tenant_id, parent) references bodies (tenant_id, name)
);
create index delegations_by_body on delegations (tenant_id, parent, name);

create table proposals (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    state $KEY not null,
    parent $KEY not null,
    kind $KEY not null,
    change_class $KEY not null,
    proposer $KEY not null,
    body $BYTES not null,
    constraint proposals_pk primary key (tenant_id, name),
    constraint proposals_body foreign key (tenant_id, parent) references bodies (tenant_id, name)
);
create index proposals_by_time on proposals (tenant_id, create_time, name);
create index proposals_by_state on proposals (tenant_id, state, create_time);
create index proposals_open on proposals (tenant_id) where state = 'OPEN';

create table holds (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    state $KEY not null,
    drill bigint not null,
    body $BYTES not null,
    constraint holds_pk primary key (tenant_id, name)
);
create index holds_by_time on holds (tenant_id, create_time, name);
create index holds_in_force on holds (tenant_id, state) where state <> 'LIFTED';

create table break_glass_uses (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    reviewed bigint not null,
    body $BYTES not null,
    constraint break_glass_uses_pk primary key (tenant_id, name)
);
create index break_glass_uses_by_review on break_glass_uses (tenant_id, reviewed, name);
create index break_glass_uses_by_time on break_glass_uses (tenant_id, create_time, name);

create table waivers (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    state $KEY not null,
    control $KEY not null,
    beneficiary $KEY not null,
    expire_time bigint not null,
    body $BYTES not null,
    constraint waivers_pk primary key (tenant_id, name)
);
create index waivers_by_time on waivers (tenant_id, create_time, name);
create index waivers_by_control on waivers (tenant_id, control, name);

create table incidents (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    state $KEY not null,
    severity $KEY not null,
    category $KEY not null,
    system $KEY not null,
    body $BYTES not null,
    constraint incidents_pk primary key (tenant_id, name)
);
create index incidents_by_time on incidents (tenant_id, create_time, name);

create table action_items (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    state $KEY not null,
    owner $KEY not null,
    origin $KEY not null,
    due_time bigint not null,
    body $BYTES not null,
    constraint action_items_pk primary key (tenant_id, name)
);
create index action_items_by_due on action_items (tenant_id, due_time, name);

create table attestations (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    parent $KEY not null,
    body $BYTES not null,
    constraint attestations_pk primary key (tenant_id, name)
);
create index attestations_by_time on attestations (tenant_id, create_time, name);

create table trainings (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    subject $KEY not null,
    expire_time bigint not null,
    body $BYTES not null,
    constraint trainings_pk primary key (tenant_id, name)
);
create index trainings_by_end on trainings (tenant_id, expire_time, name);

-- Who sees to a control of the library, and by when.
create table control_assignments (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    body $BYTES not null,
    constraint control_assignments_pk primary key (tenant_id, name)
);

create table reviews (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    state $KEY not null,
    parent $KEY not null,
    period $KEY not null,
    body $BYTES not null,
    constraint reviews_pk primary key (tenant_id, name),
    constraint reviews_body foreign key (tenant_id, parent) references bodies (tenant_id, name)
);
create index reviews_by_period on reviews (tenant_id, period, name);

-- The evidence of a review as collected: canonical JSON, apart from the review because it is large.
create table packs (
    tenant_id $KEY not null,
    review $KEY not null,
    evidence $BYTES not null,
    constraint packs_pk primary key (tenant_id, review),
    constraint packs_review foreign key (tenant_id, review) references reviews (tenant_id, name)
);

-- How far the collection of a review's evidence is, while one process is at it.
create table collections (
    tenant_id $KEY not null,
    review $KEY not null,
    body $BYTES not null,
    constraint collections_pk primary key (tenant_id, review),
    constraint collections_review foreign key (tenant_id, review) references reviews (tenant_id, name)
);

-- The Ed25519 seed with which a tenant's reviews are sealed.
create table seal_keys (
    tenant_id $KEY not null,
    seed $BYTES not null,
    constraint seal_keys_pk primary key (tenant_id)
);

-- When a person last changed something here, and until when she was kept from it: what a recovery of the constitution
-- asks before it takes somebody for gone.
create table council_heard (
    tenant_id $KEY not null,
    subject $KEY not null,
    heard_time bigint not null,
    kept_time bigint not null,
    constraint council_heard_pk primary key (tenant_id, subject)
);

-- `expire_time` is the end of time where a block or an assignment lasts.
create table revocations (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    token_id $KEY not null,
    subject $KEY not null,
    revoker $KEY not null,
    block bigint not null,
    expire_time bigint not null,
    body $BYTES not null,
    constraint revocations_pk primary key (tenant_id, name)
);
create index revocations_by_time on revocations (tenant_id, create_time, name);
create index revocations_by_end on revocations (tenant_id, expire_time, name);

create table role_assignments (
    tenant_id $KEY not null,
    name $KEY not null,
    revision bigint not null,
    create_time bigint not null,
    subject $KEY not null,
    email $KEY not null,
    issuer $KEY not null,
    expire_time bigint not null,
    body $BYTES not null,
    constraint role_assignments_pk primary key (tenant_id, name)
);
create index role_assignments_by_time on role_assignments (tenant_id, create_time, name);
create index role_assignments_by_end on role_assignments (tenant_id, expire_time, name);

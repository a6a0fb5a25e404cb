-- Definitions in force. The row is also the lock under which the series and rollups of a KPI change, which is
-- no revision of it.
create table kpis (
  tenant_id $KEY not null,
  name $KEY not null,
  revision bigint not null,
  create_time bigint not null,
  layer $KEY not null,
  kind $KEY not null,
  state $KEY not null,
  owner $KEY not null,
  derived bigint not null,
  body $BYTES not null,
  constraint kpis_pk primary key (tenant_id, name)
);

-- The definition at each version.
create table kpi_versions (
  tenant_id $KEY not null,
  name $KEY not null,
  revision bigint not null,
  create_time bigint not null,
  parent $KEY not null,
  version bigint not null,
  body $BYTES not null,
  constraint kpi_versions_pk primary key (tenant_id, name),
  constraint kpi_versions_version_uq unique (tenant_id, parent, version),
  constraint kpi_versions_kpi_fk foreign key (tenant_id, parent) references kpis (tenant_id, name)
);

-- What the shipped definitions take from the organisation; one row a tenant.
create table organization_settings (
  tenant_id $KEY not null,
  name $KEY not null,
  revision bigint not null,
  create_time bigint not null,
  body $BYTES not null,
  constraint organization_settings_pk primary key (tenant_id, name)
);

-- Tenants that have the definitions and rules which ship with the software.
create table seeded_tenants (
  tenant_id $KEY not null,
  constraint seeded_tenants_pk primary key (tenant_id)
);

-- Combinations of dimension values, as a small number each.
create table series (
  tenant_id $KEY not null,
  kpi_id $KEY not null,
  series_id bigint not null,
  dimensions $KEY not null,
  constraint series_pk primary key (tenant_id, kpi_id, series_id),
  constraint series_dimensions_uq unique (tenant_id, kpi_id, dimensions)
);

-- What happened. Values and denominators in millionths, times in microseconds. `batch` is that of the call which stored it.
create table events (
  tenant_id $KEY not null,
  kpi_id $KEY not null,
  event_id $KEY not null,
  kpi_version bigint not null,
  series_id bigint not null,
  occurred_at bigint not null,
  recorded_at bigint not null,
  recorded_by $KEY not null,
  value bigint,
  denominator bigint,
  member $KEY,
  corrects $KEY,
  retract bigint not null,
  corrected_by $KEY,
  corrected_at bigint,
  batch bigint not null,
  constraint events_pk primary key (tenant_id, kpi_id, event_id)
);
create index events_time_ix on events (tenant_id, kpi_id, occurred_at);

-- What it adds up to: the day in the zone of the KPI, and the quarter hours of that day in one value. Longer periods are
-- sums of days, hours are sums of quarter hours, taken when they are read.
create table rollups (
  tenant_id $KEY not null,
  kpi_id $KEY not null,
  bucket bigint not null,
  series_id bigint not null,
  body $BYTES not null,
  quarters $BYTES not null,
  constraint rollups_pk primary key (tenant_id, kpi_id, bucket, series_id)
);

-- What batches have added since: one row a batch, which is read with the rollups and folded into them once enough waits.
-- `seq` counts what waits; first_at and last_at are the first and the last quarter hour.
create table rollup_deltas (
  tenant_id $KEY not null,
  kpi_id $KEY not null,
  seq bigint not null,
  first_at bigint not null,
  last_at bigint not null,
  body $BYTES not null,
  constraint rollup_deltas_pk primary key (tenant_id, kpi_id, seq)
);

create table interpretations (
  tenant_id $KEY not null,
  name $KEY not null,
  revision bigint not null,
  create_time bigint not null,
  parent $KEY not null,
  start_time bigint not null,
  end_time bigint not null,
  body $BYTES not null,
  constraint interpretations_pk primary key (tenant_id, name),
  constraint interpretations_kpi_fk foreign key (tenant_id, parent) references kpis (tenant_id, name)
);
create index interpretations_time_ix on interpretations (tenant_id, create_time, name);
create index interpretations_kpi_ix on interpretations (tenant_id, parent, create_time, name);

create table experiments (
  tenant_id $KEY not null,
  name $KEY not null,
  revision bigint not null,
  create_time bigint not null,
  -- The arms are shown to nobody before; 0 if they may be seen.
  hidden_until bigint not null,
  body $BYTES not null,
  constraint experiments_pk primary key (tenant_id, name)
);
create index experiments_hidden_ix on experiments (tenant_id, hidden_until);

create table pilots (
  tenant_id $KEY not null,
  name $KEY not null,
  revision bigint not null,
  create_time bigint not null,
  -- 1 until a person has concluded.
  active bigint not null,
  body $BYTES not null,
  -- What was measured and judged so far.
  result $BYTES,
  constraint pilots_pk primary key (tenant_id, name)
);

create table alert_rules (
  tenant_id $KEY not null,
  name $KEY not null,
  revision bigint not null,
  create_time bigint not null,
  body $BYTES not null,
  constraint alert_rules_pk primary key (tenant_id, name)
);

create table alerts (
  tenant_id $KEY not null,
  name $KEY not null,
  revision bigint not null,
  create_time bigint not null,
  rule_id $KEY not null,
  kpi_id $KEY not null,
  severity $KEY not null,
  state $KEY not null,
  body $BYTES not null,
  constraint alerts_pk primary key (tenant_id, name)
);
create index alerts_state_ix on alerts (tenant_id, state, create_time);
create index alerts_time_ix on alerts (tenant_id, create_time, name);

-- What has to be remembered of a resource of the audit log until its work ends.
create table tail_resources (
  tenant_id $KEY not null,
  resource $KEY not null,
  body $BYTES not null,
  constraint tail_resources_pk primary key (tenant_id, resource)
);

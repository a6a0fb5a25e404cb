-- Definitions in force. `revision` is bumped by every batch of events: that row is the lock under which
-- the rollups of a KPI change.
create table kpis (
  tenant_id $KEY not null,
  kpi_id $KEY not null,
  version bigint not null,
  revision bigint not null,
  layer $KEY not null,
  kind $KEY not null,
  state $KEY not null,
  owner $KEY not null,
  derived bigint not null,
  body $BYTES not null,
  constraint kpis_pk primary key (tenant_id, kpi_id)
);

-- The definition at each version.
create table kpi_versions (
  tenant_id $KEY not null,
  kpi_id $KEY not null,
  version bigint not null,
  body $BYTES not null,
  constraint kpi_versions_pk primary key (tenant_id, kpi_id, version),
  constraint kpi_versions_kpi_fk foreign key (tenant_id, kpi_id) references kpis (tenant_id, kpi_id)
);

-- Tenants that have the definitions which ship with the software.
create table seeded_tenants (
  tenant_id $KEY not null,
  seeded_at bigint not null,
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

-- What happened. Values and denominators in millionths, times in microseconds.
create table events (
  tenant_id $KEY not null,
  kpi_id $KEY not null,
  event_id $KEY not null,
  kpi_version bigint not null,
  series_id bigint not null,
  occurred_at bigint not null,
  recorded_at bigint not null,
  value bigint,
  denominator bigint,
  member $KEY,
  corrects $KEY,
  retract bigint not null,
  corrected_by $KEY,
  corrected_at bigint,
  constraint events_pk primary key (tenant_id, kpi_id, event_id)
);
create index events_time_ix on events (tenant_id, kpi_id, occurred_at);

-- What it adds up to: grain 0 is the quarter hour, grain 1 the day in the zone of the KPI. Longer
-- periods are sums of these, taken when they are read.
create table rollups (
  tenant_id $KEY not null,
  kpi_id $KEY not null,
  grain bigint not null,
  bucket bigint not null,
  series_id bigint not null,
  body $BYTES not null,
  constraint rollups_pk primary key (tenant_id, kpi_id, grain, bucket, series_id)
);

create table interpretations (
  tenant_id $KEY not null,
  kpi_id $KEY not null,
  interpretation_id $KEY not null,
  start_at bigint not null,
  end_at bigint not null,
  created_at bigint not null,
  body $BYTES not null,
  constraint interpretations_pk primary key (tenant_id, kpi_id, interpretation_id),
  constraint interpretations_kpi_fk foreign key (tenant_id, kpi_id) references kpis (tenant_id, kpi_id)
);
create index interpretations_time_ix on interpretations (tenant_id, created_at, interpretation_id);

create table experiments (
  tenant_id $KEY not null,
  experiment_id $KEY not null,
  etag $KEY not null,
  cancelled_at bigint,
  body $BYTES not null,
  constraint experiments_pk primary key (tenant_id, experiment_id)
);

create table alert_rules (
  tenant_id $KEY not null,
  rule_id $KEY not null,
  revision bigint not null,
  evaluated_at bigint,
  body $BYTES not null,
  constraint alert_rules_pk primary key (tenant_id, rule_id)
);

create table alerts (
  tenant_id $KEY not null,
  alert_id $KEY not null,
  rule_id $KEY not null,
  kpi_id $KEY not null,
  severity $KEY not null,
  state $KEY not null,
  fired_at bigint not null,
  acknowledged_at bigint,
  body $BYTES not null,
  constraint alerts_pk primary key (tenant_id, alert_id)
);
create index alerts_rule_ix on alerts (tenant_id, rule_id, state);
create index alerts_time_ix on alerts (tenant_id, fired_at, alert_id);

-- How far the audit log has been read, and what has to be remembered of a resource until its work ends.
create table tail_positions (
  tenant_id $KEY not null,
  next_index bigint not null,
  constraint tail_positions_pk primary key (tenant_id)
);
create table tail_resources (
  tenant_id $KEY not null,
  resource $KEY not null,
  body $BYTES not null,
  constraint tail_resources_pk primary key (tenant_id, resource)
);

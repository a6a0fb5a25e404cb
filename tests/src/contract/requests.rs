//! What a request needs beyond what its descriptor says, as JSON; the clock stands at 2026-01-05.

/// What is made before the rules are tried, in this order.
pub(crate) const MADE: &[(&str, &str)] = &[
    ("CreateLegalHold", r#"{"legalHoldId": "c", "legalHold": {"reason": "matter 1", "subject": "leads/1"}}"#),
    ("CreateModel", r#"{"modelId": "c", "model": {"displayName": "C", "owner": "ada"}}"#),
    (
        "CreateModelVersion",
        r#"{"parent": "models/c", "modelVersionId": "1", "modelVersion": {"provider": "tests", "intendedUse": "tests",
            "artifactDigest": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "owner": "ada"}}"#,
    ),
    (
        "CreateArtifact",
        r#"{"artifactId": "c", "artifact": {"kind": "ARTIFACT_KIND_PROMPT", "displayName": "C", "owner": "ada"}}"#,
    ),
    (
        "CreateArtifactVersion",
        r#"{"parent": "artifacts/c", "artifactVersionId": "1", "artifactVersion": {"content": "aGk="}}"#,
    ),
    (
        "CreateAutomation",
        r#"{"automationId": "c", "automation": {"displayName": "C", "owner": "ada",
            "functions": ["sales_ops", "legal", "product"], "modelVersions": ["models/c/versions/1"]}}"#,
    ),
    ("CreateTask", r#"{"taskId": "c", "task": {"title": "C"}}"#),
    (
        "CreateAuditWindow",
        r#"{"auditWindowId": "c", "auditWindow": {"title": "C", "startTime": "2026-01-05T00:00:00Z",
            "endTime": "2026-01-19T00:00:00Z"}}"#,
    ),
    (
        "CreateCalendar",
        r#"{"calendarId": "c", "calendar": {"displayName": "C", "timeZone": "Europe/Berlin",
            "hours": [{"weekday": 1, "startMinute": 540, "endMinute": 1020}]}}"#,
    ),
    ("CreateGateVersion", r#"{"gateId": "c", "gateVersion": {"displayName": "C"}}"#),
    (
        "CreateHandoff",
        r#"{"handoffId": "c", "handoff": {"displayName": "C", "gate": "gates/creative-approval", "task": "tasks/c",
            "brief": {"audience": "CFOs"}, "channel": "email"}}"#,
    ),
    (
        "RouteLead",
        r#"{"lead": {"leadId": "c", "score": 0.5, "enrichmentConfidence": 0.5}, "task": "tasks/c",
            "modelVersion": "models/c/versions/1"}"#,
    ),
    (
        "CreateKpi",
        r#"{"kpiId": "c", "kpi": {"displayName": "C", "description": "C.", "layer": "LAYER_EXECUTION",
            "kind": "KIND_COUNT", "unit": "UNIT_COUNT", "direction": "DIRECTION_HIGHER_IS_BETTER"}}"#,
    ),
    (
        "CreateExperiment",
        r#"{"experimentId": "c", "experiment": {"hypothesis": "C.", "metric": "kpis/visit_rate", "armDimension": "arm",
            "control": "none", "treatments": ["mail"], "unit": "EXPERIMENT_UNIT_EVENT", "minNPerArm": 100, "startTime": "2026-01-06T00:00:00Z",
            "endTime": "2026-01-20T00:00:00Z"}}"#,
    ),
    (
        "CreateAlertRule",
        r#"{"alertRuleId": "c", "alertRule": {"displayName": "C", "severity": "ALERT_SEVERITY_WARNING",
            "threshold": {"kpi": "kpis/call_seconds", "comparison": "COMPARISON_ABOVE", "limit": 300,
            "granularity": "GRANULARITY_DAY"}}}"#,
    ),
    (
        "CreateDelegation",
        r#"{"parent": "bodies/automation-council", "delegationId": "c", "delegation": {"delegate": "ed",
            "expireTime": "2026-01-07T00:00:00Z"}}"#,
    ),
    (
        "CreateAttestation",
        r#"{"parent": "controls/C4", "attestationId": "c", "attestation": {"statement": "Staff are trained."}}"#,
    ),
    (
        "CreateProposal",
        r#"{"proposalId": "c", "proposal": {"title": "C", "body": "bodies/automation-council",
            "action": {"resolution": {"text": "We do."}}}}"#,
    ),
    ("EngageHold", r#"{"holdId": "c", "hold": {"scope": {"task": "tasks/c"}, "reason": "C", "drill": true}}"#),
    (
        "CreateIncident",
        r#"{"incidentId": "c", "incident": {"system": "models/c/versions/1", "title": "C", "source": "C",
            "description": "C", "impact": "C", "severity": "SEVERITY_HIGH", "category": "INCIDENT_CATEGORY_BIAS"}}"#,
    ),
    (
        "CreateActionItem",
        r#"{"actionItemId": "c", "actionItem": {"title": "C", "owner": "ada", "dueTime": "2026-01-20T00:00:00Z"}}"#,
    ),
    ("CreateRevocation", r#"{"revocationId": "c", "revocation": {"subject": "mallory", "reason": "C"}}"#),
    (
        "CreateRoleAssignment",
        r#"{"roleAssignmentId": "c", "roleAssignment": {"subject": "mallory", "issuer": "remit-development",
            "roles": ["viewer"], "reason": "C"}}"#,
    ),
];

/// Requests that are answered once that is made. Those of Update change every field that they give.
pub(crate) const VALID: &[(&str, &str)] = &[
    ("UpdateRetentionPolicy", r#"{"retentionPolicy": {"keep": "34560000s"}}"#),
    ("UpdateModel", r#"{"model": {"name": "models/c", "displayName": "D", "owner": "ben", "description": "D"}}"#),
    ("UpdateModelVersion", r#"{"modelVersion": {"name": "models/c/versions/1", "knownIssues": ["slow"]}}"#),
    ("UpdateArtifact", r#"{"artifact": {"name": "artifacts/c", "displayName": "D", "owner": "ben"}}"#),
    (
        "UpdateAutomation",
        r#"{"automation": {"name": "automations/c", "displayName": "D", "owner": "ben",
            "functions": ["sales_ops", "legal", "data"], "modelVersions": ["models/c/versions/1"]}}"#,
    ),
    (
        "UpdateFunction",
        // Nothing that loosens it, there or back: that needs a mandate.
        r#"{"function": {"name": "functions/paid_media", "title": "D", "status": "FUNCTION_STATUS_CONFIRMED",
            "compressible": "SIGNAL_HOLDS", "toolingAdopted": "SIGNAL_HOLDS", "seniorStrategyRole": "SIGNAL_HOLDS",
            "marketPremium": "SIGNAL_HOLDS", "maturity": "MATURITY_REAL",
            "executionKind": "EXECUTION_KIND_STRUCTURED", "evidenceLevel": "EVIDENCE_LEVEL_MEASURED"}}"#,
    ),
    ("UpdateTask", r#"{"task": {"name": "tasks/c", "title": "D", "role": "Ops"}}"#),
    ("UpdateGateVersion", r#"{"gateVersion": {"name": "gates/c/versions/1", "displayName": "D", "risk": 2}}"#),
    (
        "UpdateCalendar",
        r#"{"calendar": {"name": "calendars/c", "displayName": "D", "timeZone": "Europe/Berlin",
            "hours": [{"weekday": 1, "startMinute": 540, "endMinute": 1020}]}}"#,
    ),
    (
        "UpdateHandoff",
        r#"{"handoff": {"name": "handoffs/c", "displayName": "D", "task": "tasks/c", "channel": "web"}}"#,
    ),
    (
        "UpdateKpi",
        r#"{"kpi": {"name": "kpis/c", "displayName": "D", "description": "D.", "layer": "LAYER_EXECUTION",
            "kind": "KIND_COUNT", "unit": "UNIT_COUNT", "direction": "DIRECTION_HIGHER_IS_BETTER", "owner": "ben"}}"#,
    ),
    (
        "UpdateAlertRule",
        r#"{"alertRule": {"name": "alertRules/c", "displayName": "D", "severity": "ALERT_SEVERITY_WARNING",
            "threshold": {"kpi": "kpis/call_seconds", "comparison": "COMPARISON_ABOVE", "limit": 300,
            "granularity": "GRANULARITY_DAY"}}}"#,
    ),
    (
        "UpdateProposal",
        r#"{"proposal": {"name": "proposals/c", "title": "D", "body": "bodies/automation-council",
            "action": {"resolution": {"text": "We will."}}}}"#,
    ),
    (
        "UpdateIncident",
        r#"{"incident": {"name": "incidents/c", "system": "models/c/versions/1", "title": "D", "source": "C",
            "description": "D", "impact": "D", "severity": "SEVERITY_HIGH", "category": "INCIDENT_CATEGORY_BIAS"}}"#,
    ),
    (
        "UpdateActionItem",
        r#"{"actionItem": {"name": "actionItems/c", "title": "D", "owner": "ben", "dueTime": "2026-01-21T00:00:00Z"}}"#,
    ),
    (
        "UpdateRoleAssignment",
        r#"{"roleAssignment": {"name": "roleAssignments/c", "roles": ["reviewer"], "roleGroups": ["data"],
            "reason": "D", "expireTime": "2999-01-01T00:00:00Z"}}"#,
    ),
    ("ListMembers", r#"{"parent": "bodies/automation-council"}"#),
    (
        "RecordOutput",
        r#"{"outputId": "c", "output": {"assetDigest":
            "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}}"#,
    ),
    ("ListDelegations", r#"{"parent": "bodies/automation-council"}"#),
    ("ListAttestations", r#"{"parent": "controls/C4"}"#),
    ("ListGateVersions", r#"{"parent": "gates/creative-approval"}"#),
    ("ListVariants", r#"{"parent": "handoffs/c"}"#),
    ("ListKpiVersions", r#"{"parent": "kpis/c"}"#),
    ("ListInterpretations", r#"{"parent": "kpis/c"}"#),
    ("ListArtifactVersions", r#"{"parent": "artifacts/c"}"#),
    ("ListArtifactLabelHistory", r#"{"parent": "artifacts/c"}"#),
    ("ListModelVersions", r#"{"parent": "models/c"}"#),
    ("ListModelVersionTransitions", r#"{"parent": "models/c/versions/1"}"#),
    ("ListAliasHistory", r#"{"parent": "models/c"}"#),
    ("GetEvent", r#"{"kpi": "kpis/c", "eventId": "none"}"#),
    ("QueryRollups", r#"{"kpi": "kpis/c"}"#),
    ("CreateInterpretation", r#"{"parent": "kpis/c", "interpretation": {"text": "C"}}"#),
    (
        "ComparePeriods",
        r#"{"kpi": "kpis/c", "current": {"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-03T00:00:00Z"},
            "baseline": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z"}}"#,
    ),
    (
        "CompareDistributions",
        r#"{"kpi": "kpis/lead_score",
            "window": {"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-03T00:00:00Z"},
            "baseline": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z"}}"#,
    ),
];

/// A name of the right form that nothing has, for every method that gets one thing by its name.
pub(crate) const UNKNOWN: &[(&str, &str)] = &[
    ("GetEntry", "entries/999999"),
    ("GetInclusionProof", "entries/999999"),
    ("GetPersonalData", "entries/999999"),
    ("GetLegalHold", "legalHolds/none"),
    ("GetEvent", "kpis/none"),
    ("GetKpi", "kpis/none"),
    ("GetExperiment", "experiments/none"),
    ("GetAlertRule", "alertRules/none"),
    ("GetAlert", "alerts/none"),
    ("GetArtifact", "artifacts/none"),
    ("GetArtifactVersion", "artifacts/none/versions/1"),
    ("GetOutput", "outputs/none"),
    ("GetLineage", "outputs/none"),
    ("GetModel", "models/none"),
    ("GetModelVersion", "models/none/versions/1"),
    ("GetAutomation", "automations/none"),
    ("GetFunction", "functions/none"),
    ("GetPolicyVersion", "policies/none/versions/1"),
    ("GetBacktest", "backtests/none"),
    ("GetDecision", "decisions/none"),
    ("GetTask", "tasks/none"),
    ("GetGate", "gates/none"),
    ("GetGateVersion", "gates/none/versions/1"),
    ("GetCalendar", "calendars/none"),
    ("GetHandoff", "handoffs/none"),
    ("GetRouting", "routings/none"),
    ("GetBriefing", "briefings/2008-05-12"),
    ("GetHold", "holds/none"),
    ("GetActionItem", "actionItems/none"),
    ("GetProposal", "proposals/none"),
    ("GetIncident", "incidents/none"),
    ("GetWaiver", "waivers/none"),
    ("GetRevocation", "revocations/none"),
    ("GetRoleAssignment", "roleAssignments/none"),
    ("GetBody", "bodies/none"),
    ("GetReview", "reviews/steering-group-2009-05"),
];

//! The plan: volume first, hours saved gross and net of review (A21), role mix (S118), warnings (S80, S101, S109).

use super::{Rules, Scoring, picture, plan_csv};
use crate::convert;
use crate::store::{self, tasks::TaskRow};
use futures::TryStreamExt as _;
use remit_api::scoring::v1 as api;
use remit_core::{Error, Result, Tenant};
use remit_policy::signatures::remarks;
use remit_policy::{Input, Pattern};
use remit_store::page;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

const NAMED: usize = 20;

/// The assumptions with every default filled in.
#[derive(Debug, Clone, Copy)]
struct Assumptions {
    weeks_per_year: f64,
    review_ratio: f64,
    draft_saving_ratio: f64,
    low_frequency_per_week: f64,
    functions_per_owner: i32,
}

impl Assumptions {
    fn of(given: &api::PlanAssumptions) -> Self {
        Self {
            weeks_per_year: given.weeks_per_year.unwrap_or(convert::WEEKS_PER_YEAR),
            review_ratio: given.review_ratio.unwrap_or(0.15),
            draft_saving_ratio: given.draft_saving_ratio.unwrap_or(0.40),
            low_frequency_per_week: given.low_frequency_per_week.unwrap_or(1.0),
            functions_per_owner: given.functions_per_owner.unwrap_or(3),
        }
    }

    fn message(self) -> api::PlanAssumptions {
        api::PlanAssumptions {
            weeks_per_year: Some(self.weeks_per_year),
            review_ratio: Some(self.review_ratio),
            draft_saving_ratio: Some(self.draft_saving_ratio),
            low_frequency_per_week: Some(self.low_frequency_per_week),
            functions_per_owner: Some(self.functions_per_owner),
        }
    }

    /// Hours that AI takes over, before review, and hours that review then takes.
    ///
    /// A pattern with AI in front takes over all of the work; people then review the sampled share. A first draft
    /// takes over the share that drafting saves; refining it is the rest, so there is no review on top.
    fn savings(self, hours: f64, pattern: Option<Pattern>, sampled: f64) -> (f64, f64) {
        match pattern {
            Some(Pattern::HumanOnTheLoop | Pattern::HumanInTheLoop) => (hours, hours * self.review_ratio * sampled),
            Some(Pattern::AiFirstDraft) => (hours * self.draft_saving_ratio, 0.0),
            Some(Pattern::HumanOnly) | None => (0.0, 0.0),
        }
    }
}

/// What is summed up while tasks pass by.
#[derive(Default)]
struct Sums {
    totals: api::PlanTotals,
    patterns: BTreeMap<Pattern, api::PlanPattern>,
    roles: BTreeMap<String, (i64, f64, f64)>,
    low_volume: Named,
    review_exceeds: Named,
    not_tagged: Named,
    inconsistent: Named,
    automated_functions: BTreeSet<String>,
    owned: BTreeMap<String, BTreeSet<String>>,
    owned_functions: BTreeSet<String>,
}

#[derive(Default)]
struct Named {
    count: i64,
    first: Vec<String>,
}

impl Named {
    fn add(&mut self, resource: String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(resource);
        }
    }
}

/// The share of results that people review and the score, as of the decision in force.
struct Decided {
    sampling: f64,
    score: f64,
}

fn decided(input: &Input, rules: &Rules) -> Option<Decided> {
    // Evaluating costs less than reading the decision back; after a change of policy this is what the active one says.
    let found = rules.policy.evaluate(input).ok()?;
    Some(Decided { sampling: found.sampling_ratio.to_f64(), score: found.score.to_f64() })
}

/// The whole plan in memory, ranked. What an item takes is small and bounded, and a rank needs all of them.
struct Ranked {
    rules: Rules,
    sums: Sums,
    items: Vec<api::PlanItem>,
    bubbles: picture::Bubbles,
}

impl Scoring {
    async fn ranked(&self, tenant: &Tenant, filter: &str, assumptions: Assumptions, draw: bool) -> Result<Ranked> {
        let mut tx = self.db.snapshot().await?;
        let rules = self.rules(&mut tx, tenant).await?;
        let (mut sums, mut items, mut bubbles) = (Sums::default(), Vec::new(), picture::Bubbles::default());
        let mut rows = store::tasks::stream(&mut tx, tenant, filter)?;
        while let Some(row) = rows.try_next().await? {
            if draw {
                bubbles.add(&row, &rules.policy);
            }
            items.push(sums.add(&row, &rules, assumptions));
        }
        drop(rows);
        items.sort_by(rank);
        for (item, rank) in items.iter_mut().zip(1..) {
            item.rank = rank;
        }
        Ok(Ranked { rules, sums, items, bubbles })
    }

    pub(crate) async fn plan(
        &self,
        tenant: &Tenant,
        request: &api::PlanAutomationRequest,
    ) -> Result<api::PlanAutomationResponse> {
        self.seed(tenant).await?;
        let size = usize::try_from(page::size(request.page_size)?).unwrap_or(50);
        let assumptions = Assumptions::of(&request.assumptions.unwrap_or_default());
        let terms = format!("{assumptions:?}");
        let keyset = self.db.keyset(tenant, "scoring.plans.get", &[&request.filter, &terms]);
        let skip = match keyset.after(&request.page_token)?.as_deref() {
            None => 0,
            Some([remit_store::Value::Int(Some(rank))]) => usize::try_from(*rank).unwrap_or_default(),
            Some(_) => return Err(Error::invalid("PAGE_TOKEN_INVALID", "page_token", "belongs to another list")),
        };
        let Ranked { rules, mut sums, items, bubbles } =
            self.ranked(tenant, &request.filter, assumptions, request.include_picture).await?;
        let all = items.len();
        let items: Vec<api::PlanItem> = items.into_iter().skip(skip).take(size).collect();
        let end = i64::try_from(skip + items.len()).unwrap_or(i64::MAX);
        let more = skip + items.len() < all;
        Ok(api::PlanAutomationResponse {
            next_page_token: if more { keyset.token(&[end.into()]) } else { String::new() },
            items,
            warnings: sums.warnings(&rules, assumptions),
            totals: Some(sums.totals),
            patterns: Pattern::ALL
                .into_iter()
                .rev()
                .map(|pattern| {
                    let none = api::PlanPattern { pattern: convert::pattern(pattern).into(), ..Default::default() };
                    sums.patterns.remove(&pattern).unwrap_or(none)
                })
                .collect(),
            roles: roles(sums.roles),
            assumptions: Some(assumptions.message()),
            picture_svg: if request.include_picture {
                picture::draw(bubbles, &rules.policy.name())
            } else {
                String::new()
            },
            policy: rules.policy.name(),
        })
    }

    /// Sends the whole plan as CSV in pieces; ends early if nobody listens any more.
    pub(crate) async fn export_plan(
        &self,
        tenant: &Tenant,
        request: &api::ExportPlanRequest,
        pieces: &mpsc::Sender<Result<api::ExportPlanResponse>>,
    ) -> Result<()> {
        self.seed(tenant).await?;
        let assumptions = Assumptions::of(&request.assumptions.unwrap_or_default());
        let ranked = self.ranked(tenant, &request.filter, assumptions, false).await?;
        let header = plan_csv::header()?;
        let mut chunk = Some(header);
        for items in ranked.items.chunks(plan_csv::ROWS) {
            let mut bytes = chunk.take().unwrap_or_default();
            bytes.extend(plan_csv::rows(items)?);
            if pieces.send(Ok(api::ExportPlanResponse { chunk: bytes })).await.is_err() {
                return Ok(());
            }
        }
        if let Some(chunk) = chunk {
            let _ = pieces.send(Ok(api::ExportPlanResponse { chunk })).await;
        }
        Ok(())
    }
}

impl Sums {
    fn add(&mut self, row: &TaskRow, rules: &Rules, assumptions: Assumptions) -> api::PlanItem {
        let task = &row.task;
        let name = format!("tasks/{}", row.id);
        let hours = task.frequency_per_week * task.minutes_per_instance / 60.0 * assumptions.weeks_per_year;
        let pattern = Pattern::parse(&row.pattern).filter(|_| row.state == "DECIDED");
        let summaries = convert::summaries(task, &rules.policy);
        let input = convert::input(task, rules.function(row.function_id()).0, &summaries);
        let decided = pattern.and_then(|_| decided(&input, rules));
        if !remarks(&input).is_empty() {
            self.inconsistent.add(name.clone());
        }
        let sampled = if pattern == Some(Pattern::HumanOnTheLoop) {
            decided.as_ref().map_or(1.0, |decided| decided.sampling)
        } else {
            1.0
        };
        let (gross, review) = assumptions.savings(hours, pattern, sampled);
        let net = gross - review;
        self.totals.tasks += 1;
        self.totals.hours_per_year += hours;
        self.totals.gross_hours_saved += gross;
        self.totals.net_hours_saved += net;
        self.totals.review_hours += review;
        let executes = matches!(pattern, Some(Pattern::HumanInTheLoop | Pattern::HumanOnTheLoop));
        if let Some(pattern) = pattern {
            self.totals.decided += 1;
            let sum = self.patterns.entry(pattern).or_default();
            sum.pattern = convert::pattern(pattern).into();
            sum.tasks += 1;
            sum.hours_per_year += hours;
            sum.gross_hours_saved += gross;
            sum.net_hours_saved += net;
            let role = if task.role.is_empty() { &task.function } else { &task.role };
            let (tasks, execution, strategy) = self.roles.entry(role.clone()).or_default();
            *tasks += 1;
            *(if executes { execution } else { strategy }) += hours;
        }
        if executes && task.complexity >= 4 && task.frequency_per_week < assumptions.low_frequency_per_week {
            self.low_volume.add(name.clone());
        }
        if review > 0.0 && review >= gross {
            self.review_exceeds.add(name.clone());
        }
        if hours == 0.0 {
            self.not_tagged.add(name.clone());
        }
        if executes && !task.function.is_empty() {
            self.automated_functions.insert(task.function.clone());
        }
        if !task.strategy_owner.is_empty() && !task.function.is_empty() {
            self.owned_functions.insert(task.function.clone());
            self.owned.entry(task.strategy_owner.clone()).or_default().insert(task.function.clone());
        }
        api::PlanItem {
            rank: 0,
            task: name,
            title: task.title.clone(),
            function: task.function.clone(),
            role: task.role.clone(),
            pattern: convert::pattern_number(pattern.map(Pattern::as_str).unwrap_or_default()),
            score: decided.map_or(0.0, |decided| decided.score),
            frequency_per_week: task.frequency_per_week,
            hours_per_year: hours,
            gross_hours_saved: gross,
            net_hours_saved: net,
            review_ratio: if pattern.is_some() { sampled } else { 0.0 },
        }
    }

    fn warnings(&self, rules: &Rules, assumptions: Assumptions) -> Vec<api::PlanWarning> {
        let mut owned = self.owned.clone();
        let mut ownerless = Named::default();
        for function in rules.functions.values().map(|(function, _)| function) {
            if !function.strategy_owner.is_empty() {
                owned.entry(function.strategy_owner.clone()).or_default().insert(function.name.clone());
            }
        }
        for function in &self.automated_functions {
            let id = function.strip_prefix("functions/").unwrap_or_default();
            let owner = rules.function(id).0.is_some_and(|function| !function.strategy_owner.is_empty());
            if !owner && !self.owned_functions.contains(function) {
                ownerless.add(function.clone());
            }
        }
        let mut spread = Named::default();
        for (owner, functions) in &owned {
            if functions.len() > usize::try_from(assumptions.functions_per_owner).unwrap_or(usize::MAX) {
                spread.add(owner.clone());
            }
        }
        let low = assumptions.low_frequency_per_week;
        let most = assumptions.functions_per_owner;
        [
            (
                "LOW_VOLUME_COMPLEX",
                &self.low_volume,
                format!("automated although done less than {low} times a week and complex (S80)"),
            ),
            (
                "NO_STRATEGY_OWNER",
                &ownerless,
                "automated functions without a strategy owner: compression collapses them (S101)".into(),
            ),
            ("OWNER_SPREAD", &spread, format!("people who own more than {most} functions (S109)")),
            ("REVIEW_EXCEEDS_SAVING", &self.review_exceeds, "review takes as long as AI saves, or longer".into()),
            (
                "NOT_TAGGED",
                &self.not_tagged,
                "frequency or minutes are missing, so nothing can be saved on paper (S56)".into(),
            ),
            (
                "RATINGS_INCONSISTENT",
                &self.inconsistent,
                "tags and ratings do not go together: look at the ratings again (S88)".into(),
            ),
        ]
        .into_iter()
        .filter(|(_, named, _)| named.count > 0)
        .map(|(code, named, message)| api::PlanWarning {
            code: code.to_owned(),
            message,
            resources: named.first.clone(),
            count: named.count,
        })
        .collect()
    }
}

/// Most automatic pattern first, then volume, then net hours, then name.
fn rank(a: &api::PlanItem, b: &api::PlanItem) -> Ordering {
    b.pattern
        .cmp(&a.pattern)
        .then(b.frequency_per_week.total_cmp(&a.frequency_per_week))
        .then(b.net_hours_saved.total_cmp(&a.net_hours_saved))
        .then(a.task.cmp(&b.task))
}

fn roles(sums: BTreeMap<String, (i64, f64, f64)>) -> Vec<api::RoleMix> {
    let mut roles: Vec<api::RoleMix> = sums
        .into_iter()
        .map(|(role, (tasks, execution_hours, strategy_hours))| {
            let all = execution_hours + strategy_hours;
            let kind = if all == 0.0 {
                api::RoleKind::Unspecified
            } else if execution_hours >= all * 2.0 / 3.0 {
                api::RoleKind::MostlyExecution
            } else if execution_hours <= all / 3.0 {
                api::RoleKind::MostlyStrategy
            } else {
                api::RoleKind::Split
            };
            api::RoleMix { role, kind: kind.into(), tasks, execution_hours, strategy_hours }
        })
        .collect();
    let hours = |role: &api::RoleMix| role.execution_hours + role.strategy_hours;
    roles.sort_by(|a, b| hours(b).total_cmp(&hours(a)).then(a.role.cmp(&b.role)));
    roles
}

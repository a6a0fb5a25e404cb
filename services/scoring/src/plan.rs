//! The plan: volume first, hours saved gross and net of review (A21), role mix (S118), warnings (S80, S101, S109).

use crate::cache::Rules;
use crate::render::picture::Bubble;
use crate::store::tasks::TaskRow;
use crate::{evaluation, pattern, task};
use remit_api::scoring::v1 as api;
use remit_policy::ratings::Summary;
use remit_policy::signatures::remarks;
use remit_policy::{Input, Pattern};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

const NAMED: usize = 20;

/// The assumptions with every default filled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Assumptions {
    weeks_per_year: f64,
    review_ratio: f64,
    draft_saving_ratio: f64,
    low_frequency_per_week: f64,
    functions_per_owner: i32,
}

impl Assumptions {
    pub(crate) fn of(given: &api::PlanAssumptions) -> Self {
        Self {
            weeks_per_year: given.weeks_per_year.unwrap_or(task::WEEKS_PER_YEAR),
            review_ratio: given.review_ratio.unwrap_or(0.15),
            draft_saving_ratio: given.draft_saving_ratio.unwrap_or(0.40),
            low_frequency_per_week: given.low_frequency_per_week.unwrap_or(1.0),
            functions_per_owner: given.functions_per_owner.unwrap_or(3),
        }
    }

    pub(crate) fn message(self) -> api::PlanAssumptions {
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
pub(crate) struct Sums {
    pub(crate) totals: api::PlanTotals,
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

impl Sums {
    /// Takes a task in; its place in the ranking comes later.
    pub(crate) fn add(
        &mut self,
        row: &TaskRow,
        summaries: &BTreeMap<String, Summary>,
        rules: &Rules,
        assumptions: Assumptions,
    ) -> api::PlanItem {
        let task = &row.task;
        let name = row.name();
        let hours = task.frequency_per_week * task.minutes_per_instance / 60.0 * assumptions.weeks_per_year;
        let pattern = row.pattern;
        let input = evaluation::input(task, rules.function(&task.function).0, summaries);
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
            sum.pattern = pattern::message(pattern).into();
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
            pattern: pattern::number(pattern),
            score: decided.map_or(0.0, |decided| decided.score),
            frequency_per_week: task.frequency_per_week,
            hours_per_year: hours,
            gross_hours_saved: gross,
            net_hours_saved: net,
            review_ratio: if pattern.is_some() { sampled } else { 0.0 },
        }
    }

    /// What to beware of.
    pub(crate) fn warnings(&self, rules: &Rules, assumptions: Assumptions) -> Vec<api::PlanWarning> {
        let mut owned = self.owned.clone();
        let mut ownerless = Named::default();
        for function in rules.functions() {
            if !function.strategy_owner.is_empty() {
                owned.entry(function.strategy_owner.clone()).or_default().insert(function.name.clone());
            }
        }
        for function in &self.automated_functions {
            let owner = rules.function(function).0.is_some_and(|function| !function.strategy_owner.is_empty());
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
        // S80, S101, S109, S56 and S88 in this order; people read the words alone.
        [
            (
                "LOW_VOLUME_COMPLEX",
                &self.low_volume,
                format!("automated although done less than {low} times a week and complex"),
            ),
            (
                "NO_STRATEGY_OWNER",
                &ownerless,
                "automated functions without a strategy owner: compression collapses them".into(),
            ),
            ("OWNER_SPREAD", &spread, format!("people who own more than {most} functions")),
            ("REVIEW_EXCEEDS_SAVING", &self.review_exceeds, "review takes as long as AI saves, or longer".into()),
            (
                "NOT_TAGGED",
                &self.not_tagged,
                "frequency or minutes are missing, so nothing can be saved on paper".into(),
            ),
            (
                "RATINGS_INCONSISTENT",
                &self.inconsistent,
                "tags and ratings do not go together: look at the ratings again".into(),
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

    /// The roles by hours.
    pub(crate) fn roles(&self) -> Vec<api::RoleMix> {
        let mix = |(role, (tasks, execution_hours, strategy_hours)): (&String, &(i64, f64, f64))| {
            let all = execution_hours + strategy_hours;
            let kind = if all == 0.0 {
                api::RoleKind::Unspecified
            } else if *execution_hours >= all * 2.0 / 3.0 {
                api::RoleKind::MostlyExecution
            } else if *execution_hours <= all / 3.0 {
                api::RoleKind::MostlyStrategy
            } else {
                api::RoleKind::Split
            };
            api::RoleMix {
                role: role.clone(),
                kind: kind.into(),
                tasks: *tasks,
                execution_hours: *execution_hours,
                strategy_hours: *strategy_hours,
            }
        };
        let mut roles: Vec<api::RoleMix> = self.roles.iter().map(mix).collect();
        let hours = |role: &api::RoleMix| role.execution_hours + role.strategy_hours;
        roles.sort_by(|a, b| hours(b).total_cmp(&hours(a)).then(a.role.cmp(&b.role)));
        roles
    }

    /// Sums by pattern, from most automatic to most human.
    pub(crate) fn patterns(&self) -> Vec<api::PlanPattern> {
        let none = |pattern| api::PlanPattern { pattern: pattern::message(pattern).into(), ..Default::default() };
        let sum = |pattern: Pattern| self.patterns.get(&pattern).copied().unwrap_or_else(|| none(pattern));
        Pattern::ALL.into_iter().rev().map(sum).collect()
    }
}

/// The place of a task in the picture; none without ratings of predictability and risk.
pub(crate) fn bubble(row: &TaskRow, summaries: &BTreeMap<String, Summary>) -> Option<Bubble> {
    let median = |axis: &str| summaries.get(axis).map(|summary| summary.median.clamp(1, 5));
    Some(Bubble {
        id: row.id.clone(),
        title: row.task.title.clone(),
        place: median("predictability").zip(median("risk"))?,
        hours: row.hours_per_year,
        pattern: row.pattern,
    })
}

/// Most automatic pattern first, then volume, then net hours, then name.
pub(crate) fn rank(a: &api::PlanItem, b: &api::PlanItem) -> Ordering {
    b.pattern
        .cmp(&a.pattern)
        .then(b.frequency_per_week.total_cmp(&a.frequency_per_week))
        .then(b.net_hours_saved.total_cmp(&a.net_hours_saved))
        .then(a.task.cmp(&b.task))
}

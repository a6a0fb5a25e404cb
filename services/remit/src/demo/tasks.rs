//! Step 1: the inventory is imported, rated by two people, and decided under the default policy.

use super::actors::{Actors, refused};
use super::data::{Data, InventoryTask};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{
    BatchDecideRequest, ImportTasksConfig, ImportTasksRequest, PatternCount, PlanAutomationRequest, PlanItem,
    PlanTotals, RateTaskRequest, Rating,
};
use remit_core::{Error, Result};
use std::collections::BTreeMap;

/// The task that the lead scorer is checked for.
pub(super) const LEAD_TASK: &str = "tasks/lead-scoring-and-routing";
/// The task that the creative handoffs are checked for.
pub(super) const CREATIVE_TASK: &str = "tasks/ad-copy-variants";

/// What step 1 found.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Tasks in the inventory.
    pub tasks: i64,
    /// Tasks that could not be decided, for want of ratings.
    pub skipped: i64,
    /// Decisions by pattern.
    pub patterns: Vec<PatternCount>,
    /// The tasks that save most, the greatest first.
    pub largest: Vec<PlanItem>,
    /// The sums over the whole plan.
    pub totals: PlanTotals,
}

/// Runs the step.
///
/// # Errors
/// Whatever the services refuse, with the stable reason.
pub(super) async fn run(actors: &Actors, data: &Data) -> Result<Decided> {
    let mut tasks = data.tasks.clone();
    tasks.extend(demo_tasks());
    import(actors, &tasks).await?;
    rate(actors, &tasks).await?;
    let (patterns, skipped) = decide(actors).await?;
    let (largest, totals) = plan(actors).await?;
    Ok(Decided { tasks: tasks.len() as i64, skipped, patterns, largest, totals })
}

/// The ten tasks of the plan that save most, and the sums over all of it. The plan itself is ranked by how automatic
/// a task becomes.
async fn plan(actors: &Actors) -> Result<(Vec<PlanItem>, PlanTotals)> {
    let mut client = DecisionServiceClient::new(actors.to("scoring", "dara")?);
    let mut request = PlanAutomationRequest { page_size: 1_000, ..Default::default() };
    let mut items = Vec::new();
    loop {
        let page = client.plan_automation(request.clone()).await.map_err(refused)?.into_inner();
        items.extend(page.items);
        if page.next_page_token.is_empty() {
            return Ok((largest(items), page.totals.unwrap_or_default()));
        }
        request.page_token = page.next_page_token;
    }
}

fn largest(mut items: Vec<PlanItem>) -> Vec<PlanItem> {
    items.sort_by(|a, b| b.net_hours_saved.total_cmp(&a.net_hours_saved));
    items.truncate(10);
    items
}

/// The two tasks that the rest of the demo runs, after S13, S14 and A1: (4,1,1) scores 14 and runs with
/// people on the loop, (4,2,2) scores exactly 12 and needs a person in it.
fn demo_tasks() -> Vec<InventoryTask> {
    let task = |name: &str, title: &str, function: &str, ratings, per_week| InventoryTask {
        id: name.trim_start_matches("tasks/").to_owned(),
        title: title.to_owned(),
        function: function.to_owned(),
        frequency_per_week: per_week,
        minutes_per_instance: 4.0,
        complexity: 2,
        ratings: Some(ratings),
        brand_impacting: false,
        reserved_category: "",
        execution_kind: "STRUCTURED",
        pilot_evidence: true,
    };
    vec![
        task(LEAD_TASK, "Score and route incoming leads", "paid_media", [4, 1, 1], 350.0),
        task(CREATIVE_TASK, "Write ad copy variants", "paid_media", [4, 2, 2], 12.0),
    ]
}

async fn import(actors: &Actors, tasks: &[InventoryTask]) -> Result<()> {
    let csv = to_csv(tasks)?;
    let config = ImportTasksConfig { request_id: "demo-import".into(), ..Default::default() };
    let mut parts = vec![ImportTasksRequest { part: Some(Part::Config(config)) }];
    parts.extend(csv.chunks(256 * 1024).map(|chunk| ImportTasksRequest { part: Some(Part::Chunk(chunk.to_vec())) }));
    let mut client = TaskServiceClient::new(actors.to("scoring", "dara")?);
    let imported = client.import_tasks(stream::iter(parts)).await.map_err(refused)?.into_inner();
    match imported.errors.first() {
        None => Ok(()),
        Some(row) => Err(Error::internal(format!("the inventory's line {} was refused: {}", row.line, row.message))),
    }
}

fn to_csv(tasks: &[InventoryTask]) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::internal(format!("cannot write the inventory as CSV: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record([
            "id",
            "title",
            "function",
            "frequency_per_week",
            "minutes_per_instance",
            "complexity",
            "brand_impacting",
            "reserved_category",
            "execution_kind",
            "pilot_evidence",
            "strategy_owner",
            "execution_owner",
        ])
        .map_err(|e| failed(&e))?;
    for task in tasks {
        let row = [
            task.id.clone(),
            task.title.clone(),
            task.function.clone(),
            task.frequency_per_week.to_string(),
            task.minutes_per_instance.to_string(),
            task.complexity.to_string(),
            task.brand_impacting.to_string(),
            task.reserved_category.to_owned(),
            task.execution_kind.to_owned(),
            task.pilot_evidence.to_string(),
            "ada".to_owned(),
            "dara".to_owned(),
        ];
        writer.write_record(row).map_err(|e| failed(&e))?;
    }
    writer.into_inner().map_err(|e| failed(&e))
}

/// Two people rate every task that has something to be rated by. Both follow the documented rule, so
/// they agree; the service takes the median and would ask for reconciliation if they did not.
async fn rate(actors: &Actors, tasks: &[InventoryTask]) -> Result<()> {
    let mut calls = Vec::new();
    for task in tasks {
        let Some(ratings) = task.ratings else { continue };
        for rater in ["ada", "dara"] {
            let scores: BTreeMap<String, i32> = ["predictability", "risk", "human_judgment"]
                .into_iter()
                .zip(ratings)
                .map(|(axis, rating)| (axis.to_owned(), i32::from(rating)))
                .collect();
            calls.push((
                rater,
                RateTaskRequest {
                    name: format!("tasks/{}", task.id),
                    rating: Some(Rating { rater: rater.to_owned(), scores, ..Default::default() }),
                    request_id: format!("demo-rate-{rater}-{}", task.id),
                    entered_for: String::new(),
                },
            ));
        }
    }
    stream::iter(calls)
        .map(|(rater, request)| async move {
            TaskServiceClient::new(actors.to("scoring", rater)?).rate_task(request).await.map_err(refused)
        })
        .buffer_unordered(16)
        .try_for_each(|_| async { Ok(()) })
        .await
}

async fn decide(actors: &Actors) -> Result<(Vec<PatternCount>, i64)> {
    let mut answers = DecisionServiceClient::new(actors.to("scoring", "dara")?)
        .batch_decide(BatchDecideRequest::default())
        .await
        .map_err(refused)?
        .into_inner();
    let mut last = None;
    while let Some(answer) = answers.message().await.map_err(refused)? {
        last = Some(answer);
    }
    let last = last.ok_or_else(|| Error::internal("deciding the inventory gave no answer"))?;
    Ok((last.patterns, last.skipped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_those_that_save_most() {
        let item = |hours: i64| PlanItem { rank: 100 - hours, net_hours_saved: hours as f64, ..Default::default() };
        let hours: Vec<_> = largest([3, 1, 12, 2, 4, 5, 6, 7, 8, 9, 10, 11].map(item).to_vec())
            .iter()
            .map(|item| item.net_hours_saved as i64)
            .collect();
        assert_eq!(hours, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
    }
}

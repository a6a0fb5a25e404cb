//! An inventory of many tasks through the API: imported, listed, filtered, decided, planned and exported.
//!
//! `REMIT_TASKS=100000` sets the number of tasks; the default keeps the suite quick. How long each step takes is
//! printed and never judged.

use crate::support::{Connection, Suite, Topology};
use remit_api::scoring::v1::decision_service_client::DecisionServiceClient;
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::*;
use std::fmt::Write as _;
use std::time::Instant;
use tokio_stream::StreamExt as _;

fn size() -> i64 {
    std::env::var("REMIT_TASKS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

/// Tasks with all places of the two axes, some of them in the loop, and hours that differ.
fn inventory(tasks: i64, times: i64) -> String {
    let mut csv = "id,title,function,role,frequency_per_week,minutes_per_instance,complexity,brand_impacting,predictability,risk,human_judgment,rater\n".to_owned();
    for n in 0..tasks {
        let (p, r, h) = (1 + n % 5, 1 + n / 5 % 5, 1 + n / 25 % 5);
        let function = ["paid_media", "analytics", "software", "organic_seo"][usize::try_from(n % 4).unwrap()];
        let frequency = times * (1 + n * 7 % 40);
        writeln!(csv, "t{n:06},Task {n},{function},Role {},{frequency},{},2,,{p},{r},{h},ada", n % 9, 5 + n % 90)
            .unwrap();
    }
    csv
}

struct Steps {
    name: Topology,
    at: Instant,
}

impl Steps {
    fn done(&mut self, what: &str) {
        eprintln!("{:?}: {what}: {} ms", self.name, self.at.elapsed().as_millis());
        self.at = Instant::now();
    }
}

async fn import(tasks: &mut TaskServiceClient<Connection>, csv: String) -> ImportTasksResponse {
    let config = ImportTasksRequest { part: Some(Part::Config(ImportTasksConfig::default())) };
    let chunks: Vec<Vec<u8>> = csv.as_bytes().chunks(256 << 10).map(<[u8]>::to_vec).collect();
    let chunks = chunks.into_iter().map(|chunk| ImportTasksRequest { part: Some(Part::Chunk(chunk)) });
    let parts = tokio_stream::iter(std::iter::once(config).chain(chunks));
    tasks.import_tasks(parts).await.expect("an import").into_inner()
}

async fn decide(decisions: &mut DecisionServiceClient<Connection>) -> BatchDecideResponse {
    let mut progress = decisions.batch_decide(BatchDecideRequest::default()).await.expect("a batch").into_inner();
    let mut last = BatchDecideResponse::default();
    while let Some(message) = progress.next().await {
        let message = message.expect("progress");
        assert!(message.done > last.done || message.done == message.total, "progress goes on");
        last = message;
    }
    last
}

async fn through(topology: Topology) {
    let Some(suite) = Suite::start(topology).await else {
        return eprintln!("no PostgreSQL: {topology:?} is not tested here");
    };
    let n = size();
    let mut steps = Steps { name: topology, at: Instant::now() };
    let mut tasks = TaskServiceClient::new(suite.admin().to("scoring"));
    let mut decisions = DecisionServiceClient::new(suite.admin().to("scoring")).max_decoding_message_size(16 << 20);

    let made = import(&mut tasks, inventory(n, 1)).await;
    assert_eq!((made.created, made.bad_rows, made.committed), (n, 0, true));
    steps.done("import of new tasks");
    let same = import(&mut tasks, inventory(n, 1)).await;
    assert_eq!((same.created, same.updated, same.unchanged), (0, 0, n));
    steps.done("import of what is there");

    let mut listed = 0;
    let mut request = ListTasksRequest { page_size: 1_000, ..Default::default() };
    loop {
        let page = tasks.list_tasks(request.clone()).await.expect("a page").into_inner();
        listed += i64::try_from(page.tasks.len()).unwrap();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, n);
    steps.done("list of all");
    let filter = "function = \"functions/analytics\" AND frequency_per_week > 39 AND hours_per_year > 1000".to_owned();
    let found = tasks.list_tasks(ListTasksRequest { filter, page_size: 1_000, ..Default::default() }).await;
    let found = found.expect("a page").into_inner().tasks;
    assert!(
        !found.is_empty()
            && found.iter().all(|task| task.function == "functions/analytics" && task.frequency_per_week > 39.0)
    );
    steps.done("filtered page");

    let decided = decide(&mut decisions).await;
    assert_eq!((decided.done, decided.decided, decided.skipped), (n, n, 0));
    steps.done("decisions on all");
    let again = decide(&mut decisions).await;
    assert_eq!((again.decided, again.unchanged), (0, n));
    steps.done("decisions that stand");

    let request = PlanAutomationRequest { page_size: 50, include_picture: true, ..Default::default() };
    let plan = decisions.plan_automation(request).await.expect("a plan").into_inner();
    let totals = plan.totals.expect("totals");
    assert_eq!((totals.tasks, totals.decided, plan.items.len()), (n, n, 50));
    assert!(plan.picture_svg.len() < 1 << 20, "a picture is bounded: {} bytes", plan.picture_svg.len());
    if let Some(keep) = std::env::var_os("REMIT_KEEP_PICTURE") {
        std::fs::write(keep, &plan.picture_svg).expect("the picture can be kept");
    }
    steps.done("plan with picture");
    let mut pieces = decisions.export_plan(ExportPlanRequest::default()).await.expect("an export").into_inner();
    let (mut lines, mut largest) = (0, 0);
    while let Some(piece) = pieces.next().await {
        let chunk = piece.expect("a piece").chunk;
        largest = largest.max(chunk.len());
        lines += chunk.iter().filter(|byte| **byte == b'\n').count();
    }
    assert_eq!(i64::try_from(lines).unwrap(), n + 1);
    assert!(largest <= 1 << 20, "pieces are bounded: {largest}");
    steps.done("plan as CSV");

    let changed = import(&mut tasks, inventory(n, 2)).await;
    assert_eq!((changed.created, changed.updated), (0, n));
    steps.done("import that changes and reopens all");
    let mut inventory = tasks.export_tasks(ExportTasksRequest::default()).await.expect("an export").into_inner();
    let mut exported = 0;
    while let Some(piece) = inventory.next().await {
        exported += piece.expect("a piece").chunk.iter().filter(|byte| **byte == b'\n').count();
    }
    assert_eq!(i64::try_from(exported).unwrap(), n + 1);
    steps.done("export");
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_on_sqlite() {
    through(Topology::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_on_postgres() {
    through(Topology::Postgres).await;
}

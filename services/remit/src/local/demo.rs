//! `remit demo`: starts the suite on a manual clock and runs the story through its public API.

use super::serve::interrupted;
use super::services;
use crate::args::Demo;
use crate::cli::print_raw;
use crate::demo::actors::{Actors, Mint};
use crate::demo::data::{Data, start_of};
use crate::demo::{self, Observer, report};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use remit_core::{Actor, ActorKind, Error, Kind, Result, Tenant};
use remit_runtime::{Config, Running, Suite, telemetry};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The tenant of the demo.
const TENANT: &str = "demo";
/// Tokens outlive the longest run by far and stay within the default bound.
const TOKEN_LIFETIME: Duration = Duration::from_secs(8 * 3_600);

pub(super) async fn run(args: Demo) -> Result<()> {
    let data = if args.sample { Data::sample() } else { Data::load(args.data.as_deref())? };
    say(&format!("Remit demo on {}", data.source));
    if args.fresh && args.output.exists() {
        remove(&args.output)?;
    }
    let config = configure(&args, &data)?;
    let guard = telemetry::init(&config.telemetry)?;
    let running = Suite::start(config, services()).await?;
    let outcome = story(&running, &data, &args.output).await;
    let ended = match outcome {
        Ok(_) if args.keep => keep(running, &args.output).await,
        outcome => {
            let stopped = running.stop().await;
            outcome.and(stopped)
        }
    };
    guard.shutdown();
    ended
}

fn remove(out: &Path) -> Result<()> {
    // Only what a demo makes is removed: a mistyped path must not cost anybody a folder.
    if !out.join("data").is_dir() {
        return Err(Error::precondition("NOT_A_DEMO", format!("{} holds no demo; remove it yourself", out.display())));
    }
    for part in ["data", "packs", "months", "audit", "inboxes"] {
        let path = out.join(part);
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(|e| {
                Error::new(Kind::Unavailable, "NOT_REMOVED", format!("cannot remove {}", path.display())).with_source(e)
            })?;
        }
    }
    Ok(())
}

fn configure(args: &Demo, data: &Data) -> Result<Config> {
    let mut config = Config::load(None)?;
    config.data.dir = args.output.join("data");
    config.server.listen.clone_from(&args.listen);
    if let Some(url) = &args.database_url {
        config.database.url = SecretString::from(url.clone());
    }
    let first = data.leads.first().map(|lead| start_of(lead.month)).unwrap_or_default();
    // The receiver of the story is on this machine.
    config.notify.allow_http = true;
    config.notify.allow_addresses = vec!["127.0.0.0/8".to_owned()];
    config.clock.allow_manual = true;
    config.clock.manual = true;
    config.clock.start = first
        .plus(Duration::ZERO)
        .to_jiff()
        .saturating_sub(jiff::SignedDuration::from_hours(24))
        .map_or_else(|_| String::new(), |at| at.to_string());
    if std::env::var_os("REMIT_TELEMETRY__LOG").is_none() {
        config.telemetry.log = "error".to_owned();
    }
    config.check()?;
    Ok(config)
}

async fn story(running: &Running, data: &Data, out: &Path) -> Result<()> {
    let addr = running.addr().ok_or_else(|| Error::internal("the suite opened no port"))?;
    let urls: BTreeMap<_, _> =
        running.services().into_iter().map(|service| (service.to_owned(), format!("http://{addr}"))).collect();
    let tenant = Tenant::new(TENANT)?;
    let signer = running.signer()?.clone();
    let mint: Mint = Box::new(move |actor| signer.token(&tenant, actor, TOKEN_LIFETIME));
    let actors = Actors::connect(urls, &mint)?;
    let terminal = Terminal::new();
    let outcome = demo::run(&actors, data, out, &terminal).await?;
    terminal.bar.finish_and_clear();
    say(&format!("\n{}\n", report::table(&outcome.rows)));
    say(&format!("Review packs: {} (open {})", out.join("packs").display(), out.join("index.html").display()));
    say(&format!("Audit export: {}", outcome.proof.export.display()));
    say(&format!("Inboxes: {}", out.join("inboxes").display()));
    Ok(())
}

/// Serves on, and says how to look at what the demo left.
async fn keep(running: Running, out: &Path) -> Result<()> {
    let addr = running.addr().ok_or_else(|| Error::internal("the suite opened no port"))?;
    let auditor = Actor {
        subject: "guest".to_owned(),
        kind: ActorKind::Human,
        roles: vec!["viewer".to_owned(), "auditor".to_owned()],
        role_groups: Vec::new(),
        on_behalf_of: None,
    };
    let token = running.signer()?.token(&Tenant::new(TENANT)?, &auditor, TOKEN_LIFETIME)?;
    say(&looking(&format!("http://{addr}"), &token, &out.join("data")));
    running.until(interrupted()?).await
}

/// How to look at what the demo left.
fn looking(server: &str, token: &str, data: &Path) -> String {
    format!(
        "The suite is running; end it with Ctrl-C. A token that may read everything for eight hours:

  export REMIT_SERVER={server} REMIT_TOKEN={token}
  remit review list
  buf curl --protocol grpc --http2-prior-knowledge -H \"authorization: Bearer $REMIT_TOKEN\" \\
    -d '{LIST_REVIEWS}' $REMIT_SERVER/remit.council.v1.ReviewService/ListReviews
  remit doctor --server $REMIT_SERVER
  more tokens: remit token --data-dir {} --subject me --role operator",
        data.display()
    )
}

/// A request for the reviews of the last months, as JSON.
const LIST_REVIEWS: &str = r#"{"page_size": 12}"#;

/// Prints for whoever still reads.
fn say(text: &str) {
    let _ = print_raw(format!("{text}\n").as_bytes());
}

/// Tells what happens: a progress bar on a terminal, lines elsewhere.
struct Terminal {
    bar: ProgressBar,
}

impl Terminal {
    fn new() -> Self {
        // Nothing is shown before there are months to count.
        let bar = ProgressBar::hidden();
        if let Ok(style) = ProgressStyle::with_template("  {bar:40} {pos}/{len} months, {msg}, {elapsed} gone") {
            bar.set_style(style);
        }
        Self { bar }
    }
}

impl Observer for Terminal {
    fn step(&self, number: u8, text: &str) {
        self.bar.suspend(|| say(&format!("\n{number}. {text}")));
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    fn month(&self, done: usize, total: usize, label: &str) {
        if done == 0 {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(label.to_owned());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use prost_reflect::DynamicMessage;

    #[test]
    fn the_printed_call_is_one_that_the_service_takes() {
        let request = remit_api::pool().get_message_by_name("remit.council.v1.ListReviewsRequest").unwrap();
        let mut json = serde_json::Deserializer::from_str(LIST_REVIEWS);
        DynamicMessage::deserialize(request, &mut json).unwrap();
        let shown = looking("http://127.0.0.1:1", "a.b.c", Path::new("out/data"));
        assert!(shown.contains(&format!("-d '{LIST_REVIEWS}' $REMIT_SERVER/")), "{shown}");
    }
}

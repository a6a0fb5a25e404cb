//! `remit serve`.

use super::services;
use crate::args::Serve;
use remit_core::{Error, Result};
use remit_runtime::{Suite, telemetry};
use tokio::signal::unix::{SignalKind, signal};

pub(super) async fn run(args: Serve) -> Result<()> {
    let mut config = args.settings.load()?;
    if !args.only.is_empty() {
        config.server.only = args.only;
    }
    if let Some(listen) = args.listen {
        config.server.listen = listen;
    }
    config.clock.manual |= args.manual_clock;
    let guard = telemetry::init(&config.telemetry)?;
    let served = match Suite::start(config, services()).await {
        Ok(running) => running.until(interrupted()?).await,
        Err(error) => Err(error),
    };
    guard.shutdown();
    served
}

/// Ready at the first SIGINT or SIGTERM, or SIGHUP where its terminal goes away: key sets and files are read again by
/// themselves, so that there is nothing to be told to reload.
pub(super) fn interrupted() -> Result<impl Future<Output = ()>> {
    let failed = |e: std::io::Error| Error::internal("signals cannot be received").with_source(e);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

//! `remit.system.v1`: what the process says about itself, and the clock that tests and the demo move.

use crate::clock::KeptClock;
use crate::{Unrecorded, accept, to_status};
use remit_api::system::v1::system_service_server::SystemService;
use remit_api::system::v1::{AdvanceClockRequest, AdvanceClockResponse, GetInfoRequest, Info};
use remit_core::{Clock, Error, Result, Tenant, Timestamp};
use remit_store::{Db, Engine, outbox, timers};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Answers for one process.
#[derive(Clone)]
pub struct System {
    /// The time that the process works with.
    pub clock: Arc<dyn Clock>,
    /// The same clock, if a person may move it.
    pub manual: Option<Arc<KeptClock>>,
    /// The databases of the services that the process runs.
    pub databases: Arc<BTreeMap<&'static str, Db>>,
    /// What is on its way into them, where there is such.
    pub unrecorded: Arc<BTreeMap<&'static str, Unrecorded>>,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "System({:?})", self.databases.keys())
    }
}

impl System {
    async fn info(&self, tenant: &Tenant) -> Result<Info> {
        let mut info = Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            services: self.databases.keys().map(|&service| service.to_owned()).collect(),
            engine: self.databases.values().next().map_or("", |db| engine_name(db.engine())).to_owned(),
            time: Some(remit_api::wire::time::stamp(self.clock.now())),
            manual_clock: self.manual.is_some(),
            ..Info::default()
        };
        for (&service, db) in self.databases.iter() {
            let mut tx = db.read().await?;
            // The timers first: what one that fires meanwhile records is then counted below.
            // A page is enough to tell none from some; more than a page is shown as a page.
            let due = timers::due(&mut tx, tenant, self.clock.now(), None, 1_000).await?;
            info.due_timers.insert(service.to_owned(), due.len() as i64);
            // Before the outbox, into which it moves.
            let unrecorded = self.unrecorded.get(service).map_or(0, |count| count(tenant));
            let depth = outbox::depth(&mut tx, tenant).await?;
            info.outbox_depth.insert(service.to_owned(), depth.events + unrecorded);
            if let Some(oldest) = depth.oldest {
                info.outbox_oldest.insert(service.to_owned(), remit_api::wire::time::stamp(oldest));
            }
            info.parked_events.insert(service.to_owned(), outbox::count_parked(&mut tx, tenant).await?);
        }
        Ok(info)
    }

    fn advance(&self, request: &AdvanceClockRequest) -> Result<Timestamp> {
        let Some(clock) = &self.manual else {
            return Err(Error::precondition(
                "CLOCK_NOT_MANUAL",
                "the process runs on the machine's clock: start it with clock.manual, which clock.allow_manual must permit",
            ));
        };
        let time = request.time.unwrap_or_default();
        let micros =
            time.seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(i64::from(time.nanos) / 1_000));
        clock.advance_to(Timestamp(
            micros.ok_or_else(|| {
                Error::invalid("TIME_OUT_OF_RANGE", "time", "must be a time that fits in microseconds")
            })?,
        ))
    }
}

fn engine_name(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
    }
}

#[tonic::async_trait]
impl SystemService for System {
    async fn get_info(&self, request: Request<GetInfoRequest>) -> Result<Response<Info>, Status> {
        let (cx, _) = accept(request)?;
        self.info(&cx.tenant).await.map(Response::new).map_err(to_status)
    }

    async fn advance_clock(
        &self,
        request: Request<AdvanceClockRequest>,
    ) -> Result<Response<AdvanceClockResponse>, Status> {
        let (cx, request) = accept(request)?;
        let time = self.advance(&request).map_err(to_status)?;
        tracing::info!(actor = cx.actor.subject, time = %time, "the manual clock was moved");
        Ok(Response::new(AdvanceClockResponse { time: Some(remit_api::wire::time::stamp(time)) }))
    }
}

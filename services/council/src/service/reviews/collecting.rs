//! Collecting behind: whoever opened a review is answered, and one process at a time collects its evidence.

use super::super::Service;
use crate::review::progress::Progress;
use crate::store::{self, Bodies, Reviews};
use crate::time::Month;
use remit_api::council::v1::{Collection, Review, ReviewState};
use remit_api::wire::Word as _;
use remit_api::wire::time::stamp;
use remit_core::{Clock as _, Result, SystemClock, Tenant};
use remit_store::{Mutation, Records as _, lease};
use std::collections::HashSet;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often it is looked for reviews that the schedule or another process opened.
const POLL: Duration = Duration::from_secs(1);
/// How long a tenant waits after an attempt that failed.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// How often it is written down how far a collection is.
const WRITE: Duration = Duration::from_secs(1);
/// What collects a tenant's reviews holds this lease, and for how long after it was killed.
const LEASE: (&str, Duration) = ("council.reviews", Duration::from_secs(15));
/// The longest reason of a failed attempt that is kept.
const MOST_SAID: usize = 500;

impl Service {
    /// Collects the evidence of all reviews that wait for it, until the process ends. Tenants do not wait for each other.
    pub(crate) async fn collect_reviews(&self) {
        let (mut tasks, mut busy) = (JoinSet::<(Tenant, bool)>::new(), HashSet::new());
        loop {
            tokio::select! {
                // What was begun is dropped: who comes next collects it anew.
                () = self.shutdown.cancelled() => return,
                Some(ended) = tasks.join_next() => match ended {
                    Ok((tenant, worked)) => {
                        busy.remove(&tenant);
                        // Another may have been opened meanwhile.
                        if !worked {
                            continue;
                        }
                    }
                    Err(error) => {
                        tracing::error!("the collection of a review ended in a panic: {error}");
                        busy.clear();
                    }
                },
                () = self.opened.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            let waiting = store::to_collect(&self.db).await.unwrap_or_else(|error| {
                tracing::warn!(reason = error.reason(), "reviews are collected later: {error}");
                Vec::new()
            });
            for tenant in waiting {
                if busy.insert(tenant.clone()) {
                    let service = self.clone();
                    tasks.spawn(async move {
                        let worked = match service.collect_for(&tenant).await {
                            Ok(worked) => worked,
                            Err(error) => {
                                tracing::warn!(%tenant, reason = error.reason(), "a review is collected later: {error}");
                                tokio::time::sleep(AFTER_ERROR).await;
                                false
                            }
                        };
                        (tenant, worked)
                    });
                }
            }
        }
    }

    /// Collects what waits in one tenant, the oldest month first: later packs say what they restate of earlier ones.
    /// False if nothing does, or another process collects it.
    async fn collect_for(&self, tenant: &Tenant) -> Result<bool> {
        let waiting = [ReviewState::Collecting.word()];
        let mut reviews = Reviews::in_states(&mut self.db.read().await?, tenant, &waiting).await?;
        reviews.sort_by(|a, b| (&a.period, &a.name).cmp(&(&b.period, &b.name)));
        let any = !reviews.is_empty();
        for review in reviews {
            let mut collection = Collection { start_time: Some(stamp(SystemClock.now())), ..Collection::default() };
            if !self.write_down(tenant, &review.name, &mut collection).await? {
                return Ok(false);
            }
            let progress = Progress::new(collection);
            tokio::select! {
                collected = self.collect_one(tenant, &review, &progress) => if let Err(error) = collected {
                    let mut failed = progress.now();
                    failed.error = error.to_string().chars().take(MOST_SAID).collect();
                    self.write_down(tenant, &review.name, &mut failed).await?;
                    return Err(error);
                },
                lost = self.tell(tenant, &review.name, &progress) => return lost.map(|()| false),
            }
        }
        Ok(any)
    }

    async fn collect_one(&self, tenant: &Tenant, review: &Review, progress: &Progress) -> Result<()> {
        let body = Bodies::get(&mut self.db.read().await?, tenant, &review.body).await?;
        let month = Month::parse(&review.period, &review.zone)?;
        let collected = self.collect(tenant, &body, &month, review, progress).await?;
        let freeze = async |m: &mut Mutation| {
            let review = Reviews::claim(m, &review.name).await?;
            if review.state() == ReviewState::Collecting {
                collected.freeze(m, review).await?;
            }
            Ok(())
        };
        self.db.own(tenant, "council.reviews.collect", freeze).await
    }

    /// Writes down again and again how far it is; returns when another process has taken over, or on an error.
    async fn tell(&self, tenant: &Tenant, review: &str, progress: &Progress) -> Result<()> {
        loop {
            tokio::time::sleep(WRITE).await;
            if !self.write_down(tenant, review, &mut progress.now()).await? {
                return Ok(());
            }
        }
    }

    /// Takes or renews the lease and writes down how far it is; false if another process collects.
    pub(crate) async fn write_down(&self, tenant: &Tenant, review: &str, collection: &mut Collection) -> Result<bool> {
        let now = SystemClock.now();
        collection.update_time = Some(stamp(now));
        let mut tx = self.db.write().await?;
        let held = lease::acquire(&mut tx, tenant, LEASE.0, &self.holder, now, LEASE.1).await?;
        if held {
            store::put_collection(&mut tx, tenant, review, collection).await?;
        }
        tx.commit().await?;
        Ok(held)
    }
}

//! When which subscription has something to send.

use remit_api::notify::v1::Subscription;
use remit_core::{Result, Tenant, Timestamp};
use remit_store::{Db, Mutation, Row, Tx, query, tenants};

/// The tenants that have something to send at `now`.
pub(crate) async fn waiting(db: &Db, now: Timestamp) -> Result<Vec<Tenant>> {
    tenants::found(
        db,
        query("select distinct tenant_id from queues where due_at <= $1 and leased_until <= $1").bind(now),
    )
    .await
}

/// A subscription that has something to send.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) name: String,
    /// Whether nobody answered there last.
    pub(crate) is_silent: bool,
}

/// The active subscriptions that have something to send at `now`: those first that somebody answers at, and of them the
/// longest due.
pub(crate) async fn due(tx: &mut Tx, tenant: &Tenant, now: Timestamp, most: i64) -> Result<Vec<Due>> {
    let rows = query(
        "select q.subscription, q.silent from queues q
         join subscriptions s on s.tenant_id = q.tenant_id and s.name = q.subscription
         where q.tenant_id = $1 and q.due_at <= $2 and q.leased_until <= $2 and s.state = 'ACTIVE'
         order by q.silent, q.due_at, q.subscription limit $3",
    )
    .bind(tenant)
    .bind(now)
    .bind(most)
    .fetch_all(tx)
    .await?;
    let due = |row: &Row| Ok(Due { name: row.get("subscription")?, is_silent: row.get::<i64>("silent")? != 0 });
    rows.iter().map(due).collect()
}

/// Notes whether somebody answers at the endpoint of a claimed subscription.
pub(crate) async fn heard(m: &mut Mutation, subscription: &str, is_silent: bool) -> Result<()> {
    let tenant = m.tenant().clone();
    query("update queues set silent = $3 where tenant_id = $1 and subscription = $2 and silent <> $3")
        .bind(&tenant)
        .bind(subscription)
        .bind(i64::from(is_silent))
        .execute(m.tx())
        .await?;
    Ok(())
}

/// What all tenants have that goes on by itself no more, and since when what is due waits.
#[derive(Debug)]
pub(crate) struct Stuck {
    pub(crate) dead: i64,
    pub(crate) broken: i64,
    pub(crate) due: Option<Timestamp>,
}

/// Looks at what is stuck, of all tenants at once: who has many asks no more than who has one.
pub(crate) async fn stuck(tx: &mut Tx) -> Result<Stuck> {
    let row = query(
        "select (select count(*) from deliveries where state = 'DEAD') as dead,
             (select count(*) from subscriptions where state = 'BROKEN') as broken,
             (select min(q.due_at) from queues q
              join subscriptions s on s.tenant_id = q.tenant_id and s.name = q.subscription
              where s.state = 'ACTIVE') as due",
    )
    .fetch_one(tx)
    .await?;
    Ok(Stuck { dead: row.get("dead")?, broken: row.get("broken")?, due: row.get("due")? })
}

/// Notes that a claimed subscription has something to send at `at`.
pub(crate) async fn set(m: &mut Mutation, subscription: &str, at: Timestamp) -> Result<()> {
    let tenant = m.tenant().clone();
    query(
        "insert into queues (tenant_id, subscription, due_at, free_at, leased_until, silent) values ($1, $2, $3, 0, 0, 0)
         on conflict (tenant_id, subscription) do update set due_at =
             case when queues.free_at > excluded.due_at then queues.free_at else excluded.due_at end",
    )
    .bind(&tenant)
    .bind(subscription)
    .bind(at)
    .execute(m.tx())
    .await?;
    Ok(())
}

/// Whether a claimed subscription may begin something at `now`: nobody sends for it, nor has it sent as much as it may.
/// `own` is the lease of whoever asks, if she has one.
pub(crate) async fn is_free(
    m: &mut Mutation,
    subscription: &str,
    now: Timestamp,
    own: Option<Timestamp>,
) -> Result<bool> {
    let tenant = m.tenant().clone();
    let busy = query(
        "select 1 as one from queues
         where tenant_id = $1 and subscription = $2 and (free_at > $3 or (leased_until > $3 and leased_until <> $4))",
    )
    .bind(&tenant)
    .bind(subscription)
    .bind(now)
    .bind(own.unwrap_or_default())
    .fetch_optional(m.tx())
    .await?;
    Ok(busy.is_none())
}

/// Has nobody else send for a claimed subscription until then: whoever is killed leaves what it had taken for no longer.
pub(crate) async fn lease(m: &mut Mutation, subscription: &str, until: Timestamp) -> Result<()> {
    let tenant = m.tenant().clone();
    query("update queues set leased_until = $3 where tenant_id = $1 and subscription = $2")
        .bind(&tenant)
        .bind(subscription)
        .bind(until)
        .execute(m.tx())
        .await?;
    Ok(())
}

/// Ends a lease, unless somebody else has one by now.
pub(crate) async fn release(m: &mut Mutation, subscription: &str, lease: Timestamp) -> Result<()> {
    let tenant = m.tenant().clone();
    query("update queues set leased_until = 0 where tenant_id = $1 and subscription = $2 and leased_until = $3")
        .bind(&tenant)
        .bind(subscription)
        .bind(lease)
        .execute(m.tx())
        .await?;
    Ok(())
}

/// Lets a claimed subscription begin nothing before `until`.
pub(crate) async fn pace(m: &mut Mutation, subscription: &str, until: Timestamp) -> Result<()> {
    let tenant = m.tenant().clone();
    query("update queues set free_at = $3 where tenant_id = $1 and subscription = $2")
        .bind(&tenant)
        .bind(subscription)
        .bind(until)
        .execute(m.tx())
        .await?;
    Ok(())
}

/// Works out when a claimed subscription has something to send next. A delivery waits for the one before it that is about
/// the same resource, unless the subscription asks for no order.
pub(crate) async fn renew(m: &mut Mutation, subscription: &Subscription) -> Result<()> {
    let (tenant, now) = (m.tenant().clone(), m.now());
    let next = query(
        "select d.next_at from deliveries d
         where d.tenant_id = $1 and d.parent = $2 and d.state = 'PENDING' and ($3 = 1 or not exists (
             select 1 from deliveries e
             where e.tenant_id = $1 and e.parent = $2 and e.resource = d.resource
                 and e.entry_index < d.entry_index and e.state = 'PENDING'))
         order by d.next_at limit 1",
    )
    .bind(&tenant)
    .bind(&subscription.name)
    .bind(i64::from(subscription.unordered))
    .fetch_optional(m.tx())
    .await?;
    if let Some(row) = next {
        return set(m, &subscription.name, Timestamp(row.get("next_at")?)).await;
    }
    query("delete from queues where tenant_id = $1 and subscription = $2 and free_at <= $3")
        .bind(&tenant)
        .bind(&subscription.name)
        .bind(now)
        .execute(m.tx())
        .await?;
    if subscription.max_per_second > 0 {
        // What was begun still counts when something new is to be sent.
        query("update queues set due_at = $3 where tenant_id = $1 and subscription = $2")
            .bind(&tenant)
            .bind(&subscription.name)
            .bind(Timestamp(i64::MAX))
            .execute(m.tx())
            .await?;
    }
    Ok(())
}

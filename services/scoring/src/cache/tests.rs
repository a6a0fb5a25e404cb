#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{Inventory, RuleCache, Written};
use crate::SERVICE;
use crate::store::policies::Policies;
use crate::store::tasks::TaskRow;
use crate::store::{self, Head};
use remit_api::scoring::v1 as api;
use remit_core::{Result, Tenant, Timestamp};
use remit_policy::{Policy, seed};
use remit_store::testing::each_engine;
use remit_store::{Db, Records as _, counted};

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

async fn activate(db: &Db) -> Result<()> {
    db.own(&acme(), "scoring.tenants.seed", async |m| {
        store::claim(m, 0, 1).await?;
        let policy = Policy::parse(seed::INVERTED_SUM.as_bytes())?;
        let mut version = api::PolicyVersion {
            name: policy.name(),
            state: api::PolicyState::Active.into(),
            digest: policy.digest().to_owned(),
            source: seed::INVERTED_SUM.into(),
            ..Default::default()
        };
        Policies::insert(m, &mut version).await
    })
    .await
}

/// Writes a task as a use case does.
async fn write(db: &Db, rules: &RuleCache, id: &str, removed: bool) -> Result<Written> {
    db.own(&acme(), "scoring.tasks.create", async |m| {
        let head: Head = store::claim(m, 1, 0).await?;
        let rules = rules.at(m.tx(), &acme(), head).await?;
        let row = TaskRow {
            id: id.to_owned(),
            task: api::Task::default(),
            removed,
            state: api::TaskState::Unrated,
            hours_per_year: 0.0,
            content_digest: String::new(),
            decision_id: String::new(),
            pattern: None,
            decided_digest: String::new(),
            decided_function_digest: String::new(),
            decided_policy_digest: String::new(),
            revision: head.revision,
            create_time: Timestamp(0),
            update_time: Timestamp(0),
        };
        store::tasks::put(m.tx(), &acme(), std::slice::from_ref(&row)).await?;
        Ok(Written { head, changes: 1, rules, tasks: vec![(row, None)] })
    })
    .await
}

fn ids(inventory: &Inventory) -> Vec<String> {
    let mut ids: Vec<String> = inventory.with(|state| state.tasks.keys().cloned().collect());
    ids.sort();
    ids
}

#[tokio::test]
async fn what_was_written_is_taken_over_unasked_unless_another_change_came_in_between() {
    each_engine(async |database| {
        let (db, rules, inventory) = (database.open(&SERVICE.schema).await?, RuleCache::new(), Inventory::default());
        activate(&db).await?;
        let first = write(&db, &rules, "a", false).await?;
        inventory.refresh_or_log(&db, &acme(), &rules).await;
        assert_eq!(ids(&inventory), ["a"]);
        let take = async |written| counted(inventory.take(&db, &acme(), &rules, written)).await.1;
        assert_eq!(take(first).await, 0, "it is known already");

        let age = inventory.freshness().age;
        let written = write(&db, &rules, "b", false).await?;
        assert_eq!((take(written).await, ids(&inventory)), (0, vec!["a".to_owned(), "b".to_owned()]));
        assert!(inventory.freshness().age >= age, "the database was not asked, and the age says so");

        let late = write(&db, &rules, "c", false).await?;
        let removed = write(&db, &rules, "b", true).await?;
        assert!(take(removed).await > 0, "what came in between is read");
        assert_eq!(ids(&inventory), ["a", "c"]);
        assert_eq!((take(late).await, ids(&inventory)), (0, vec!["a".to_owned(), "c".to_owned()]));
        Ok(())
    })
    .await
    .unwrap();
}

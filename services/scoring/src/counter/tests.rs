#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::SERVICE;
use remit_core::ActorKind;
use remit_core::details::{Details as _, TaskChecked};
use remit_store::testing::{TestDb, each_engine};
use remit_store::{outbox, timers};
use std::path::Path;

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

fn check(task: &str, at: i64) -> Counted {
    Counted {
        key: CheckKey {
            hour: 0,
            task: task.into(),
            model_version: "models/m/versions/1".into(),
            denied: false,
            pattern: remit_policy::Pattern::HumanOnTheLoop,
            reason: "DECISION_PATTERN".into(),
        },
        at: Timestamp(at),
        actor: Actor {
            subject: "platform".into(),
            kind: ActorKind::Service,
            roles: vec!["platform".into()],
            role_groups: Vec::new(),
            on_behalf_of: None,
        },
        trace_id: String::new(),
        run_id: "run-1".into(),
        policy: "policies/p/versions/1".into(),
        decision: "decisions/d".into(),
    }
}

async fn counter(database: &TestDb, dir: &Path) -> (Counter, Db) {
    let db = database.open(&SERVICE.schema).await.unwrap();
    (Counter::open(db.clone(), dir, Recorded { every: 10, whole: 5 }).unwrap(), db)
}

async fn total(db: &Db) -> i64 {
    store::checks::totals(&mut db.read().await.unwrap(), &acme(), i64::MIN, i64::MAX).await.unwrap().0
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn what_a_process_left_behind_is_counted_once() {
    each_engine(async |database| {
        let dir = tempfile::tempdir().unwrap();
        let (first, db) = counter(&database, dir.path()).await;
        for n in 0..25 {
            first.add(&acme(), check(if n % 5 == 0 { "tasks/a" } else { "tasks/b" }, n)).unwrap();
        }
        assert_eq!((total(&db).await, first.waiting(&acme())), (0, 25));
        let (second, _) = counter(&database, dir.path()).await;
        second.recover().await?;
        assert_eq!(total(&db).await, 0, "what a living process writes is left to it");
        // The end of the process, as far as files go: what it had open is closed, and nothing is done.
        let left = files(dir.path());
        drop(first);
        second.recover().await?;
        second.recover().await?;
        assert_eq!((total(&db).await, second.waiting(&acme())), (25, 0));
        assert_eq!((left.len(), files(dir.path()).len()), (1, 0));
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_end_between_commit_and_removal_counts_nothing_twice() {
    each_engine(async |database| {
        let dir = tempfile::tempdir().unwrap();
        let (first, db) = counter(&database, dir.path()).await;
        first.add(&acme(), check("tasks/a", 1)).unwrap();
        let journal = files(dir.path()).remove(0);
        let copy = std::fs::read(&journal).unwrap();
        first.fold().await?;
        assert!(!journal.exists());
        std::fs::write(&journal, copy).unwrap();
        let (second, _) = counter(&database, dir.path()).await;
        second.recover().await?;
        assert_eq!((total(&db).await, journal.exists()), (1, false));
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_line_that_was_being_written_is_passed_over_and_a_damaged_one_keeps_its_file() {
    each_engine(async |database| {
        let dir = tempfile::tempdir().unwrap();
        let (first, db) = counter(&database, dir.path()).await;
        first.add(&acme(), check("tasks/a", 1)).unwrap();
        let journal = files(dir.path()).remove(0);
        let line = std::fs::read_to_string(&journal).unwrap();
        drop(first);
        std::fs::write(&journal, format!("{line}{}", &line[..line.len() / 2])).unwrap();
        let damaged = dir.path().join("damaged.journal");
        std::fs::write(&damaged, format!("{line}not a check\n{line}")).unwrap();
        let (second, _) = counter(&database, dir.path()).await;
        second.recover().await?;
        assert_eq!((total(&db).await, journal.exists(), damaged.exists()), (1, false, true));
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn events_do_not_depend_on_how_checks_are_grouped() {
    each_engine(async |database| {
        let dir = tempfile::tempdir().unwrap();
        let (counter, db) = counter(&database, dir.path()).await;
        let mut numbers = Vec::new();
        for group in [1, 3, 27, 4, 0, 15] {
            for n in 0..group {
                counter.add(&acme(), check("tasks/a", n)).unwrap();
            }
            counter.fold().await?;
        }
        for pending in outbox::read_batch(&mut db.read().await?, &acme(), 100).await? {
            numbers.push(pending.event.details["checks_this_hour"].as_i64().unwrap());
        }
        assert_eq!((total(&db).await, numbers), (50, vec![1, 10, 20, 30, 40, 50]));
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn every_denial_is_in_an_entry_or_a_group() {
    each_engine(async |database| {
        let dir = tempfile::tempdir().unwrap();
        let (counter, db) = counter(&database, dir.path()).await;
        let denied = |task: &str, at| {
            let mut check = check(task, at);
            check.key.denied = true;
            check
        };
        // More of one outcome than have entries of their own, brought in pieces.
        let mut at = 0;
        for piece in [1, 3, 4, 10] {
            for _ in 0..piece {
                at += 1;
                counter.add(&acme(), denied("tasks/a", at)).unwrap();
            }
            counter.fold().await?;
        }
        // And more outcomes than a tenant has such entries of: 5 + 9 * 5, of 60 denials.
        for n in 0..12 {
            for _ in 0..5 {
                counter.add(&acme(), denied(&format!("tasks/t{n:02}"), 100)).unwrap();
            }
        }
        counter.fold().await?;
        let far = Timestamp(i64::MAX);
        let due = timers::due(&mut db.read().await?, &acme(), far, None, 10).await?;
        let last = due.last().unwrap().due_at;
        assert!(timers::fire_due(&db, &counter, &acme(), last).await?.failed.is_empty());
        assert!(timers::due(&mut db.read().await?, &acme(), far, None, 10).await?.is_empty(), "nothing waits");
        let (mut whole, mut groups) = (Vec::new(), Vec::new());
        for pending in outbox::read_batch(&mut db.read().await?, &acme(), 1_000).await? {
            let found = TaskChecked::read(&pending.event.details).unwrap();
            assert_eq!(pending.event.outcome, remit_core::Outcome::Denied);
            match found.group {
                0 => whole.push((pending.event.resource, found.checks_this_hour, pending.event.occurred_at.micros())),
                _ => groups.push((pending.event.resource, found)),
            }
        }
        let of_a: Vec<_> = whole.iter().filter(|found| found.0 == "tasks/a").map(|found| (found.1, found.2)).collect();
        assert_eq!(of_a, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], "the first, each as it was");
        assert_eq!(whole.len(), 50);
        let (_, of_a) = groups.iter().find(|(task, _)| task == "tasks/a").unwrap();
        assert_eq!((of_a.group, of_a.checks_this_hour), (13, 18));
        assert_eq!(
            (of_a.first_time.clone(), of_a.last_time.clone()),
            (Timestamp(6).to_string(), Timestamp(18).to_string())
        );
        assert!(!of_a.due_time.is_empty());
        let together: i64 = groups.iter().map(|(_, found)| found.group).sum();
        assert_eq!((whole.len() as i64 + together, total(&db).await), (78, 78));
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let database = TestDb::sqlite().unwrap();
    let (counter, db) = counter(&database, dir.path()).await;
    counter.add(&acme(), check("tasks/a", 1)).unwrap();
    db.close().await;
    assert!(counter.fold().await.is_err());
    counter.add(&acme(), check("tasks/a", 2)).unwrap();
    assert_eq!(counter.waiting(&acme()), 2);
    drop(counter);
    let (counter, db) = self::counter(&database, dir.path()).await;
    counter.recover().await.unwrap();
    assert_eq!(total(&db).await, 2);
}

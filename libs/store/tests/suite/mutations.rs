//! Request ids, the outbox and the feeds.

use crate::{SCHEMA, answer, call, count, manual, put, replay, tenant};
use remit_core::details::{ActionRefused, Details as _};
use remit_core::{Actor, ActorKind, Error, Kind, Outcome, Result, Tenant, Timestamp};
use remit_store::testing::each_engine;
use remit_store::{Call, Db, Mutation, Options, Skipped, counted, feed, outbox, purge_requests, tenants};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn the_same_request_gets_the_first_answer() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let work = async |m: &mut Mutation| {
            put(m, "a").await?;
            m.record("things/a", |event| event.reason = "as asked".to_owned());
            Ok(b"answer".to_vec())
        };
        assert_eq!(db.mutate(&call("r1", 1), work).await?, b"answer");
        // A replica that shares nothing but the database knows it too.
        let replica = database.open(&SCHEMA).await?;
        assert_eq!(replay(&replica, &call("r1", 1)).await?, b"answer");

        let error = replay(&db, &call("r1", 2)).await.unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::AlreadyExists, "REQUEST_ID_REUSED"));
        assert!(error.message().contains(&"01".repeat(32)) && error.message().contains(&"02".repeat(32)));
        let mut other_method = call("r1", 1);
        other_method.method = "suite.things.delete";
        assert_eq!(replay(&db, &other_method).await.unwrap_err().reason(), "REQUEST_ID_REUSED");

        let mut other_actor = call("r1", 1);
        other_actor.actor.subject = "ben".to_owned();
        assert_eq!(answer(&db, &other_actor, b"ben's").await?, b"ben's");
        let mut other_kind = call("r1", 1);
        other_kind.actor.kind = ActorKind::Service;
        assert_eq!(answer(&db, &other_kind, b"the program's").await?, b"the program's");
        assert_eq!(replay(&db, &other_kind).await?, b"the program's");
        assert_eq!(replay(&db, &call("r1", 1)).await?, b"answer");
        let mut other_tenant = call("r1", 1);
        other_tenant.tenant = Tenant::new("globex")?;
        assert_eq!(answer(&db, &other_tenant, b"globex's").await?, b"globex's");
        let events = outbox::read_batch(&mut db.read().await?, &tenant(), 10).await?;
        assert_eq!((events.len(), events[0].event.action.as_str()), (1, "suite.things.create"));
        assert_eq!((events[0].event.resource.as_str(), events[0].event.reason.as_str()), ("things/a", "as asked"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_answer_to_a_request_that_changed_nothing_is_kept() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        assert_eq!(answer(&db, &call("r1", 1), b"nothing to do").await?, b"nothing to do");
        assert_eq!(replay(&db, &call("r1", 1)).await?, b"nothing to do");
        assert_eq!(replay(&db, &call("r1", 2)).await.unwrap_err().reason(), "REQUEST_ID_REUSED");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failed_request_leaves_nothing_and_can_be_repeated() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let done = Arc::new(AtomicBool::new(false));
        let hook = done.clone();
        let failed = db
            .mutate::<()>(&call("r1", 1), async |m| {
                put(m, "a").await?;
                m.record("things/a", |_| {});
                m.change("things", "a", Some(vec![1])).await?;
                m.on_commit(move || hook.store(true, Ordering::SeqCst));
                Err(Error::precondition("AS_INTENDED", "the work fails"))
            })
            .await;
        assert_eq!(failed.unwrap_err().reason(), "AS_INTENDED");
        assert_eq!(count(&db).await?, 0);
        assert_eq!(outbox::depth(&mut db.read().await?, &tenant()).await?.events, 0);
        assert_eq!(feed::head(&mut db.read().await?, &tenant(), "things").await?, 0);
        let hook = done.clone();
        let work = async |m: &mut Mutation| {
            assert!(!done.load(Ordering::SeqCst), "a hook of a mutation that failed");
            m.on_commit(move || hook.store(true, Ordering::SeqCst));
            put(m, "a").await
        };
        db.mutate(&call("r1", 1), work).await?;
        assert!(done.load(Ordering::SeqCst));
        assert_eq!(count(&db).await?, 1);
        Ok(())
    })
    .await
}

/// Fails as a rule does that refuses the caller.
async fn refused(db: &Db, request_id: &str) -> Error {
    let work = async |m: &mut Mutation| {
        put(m, "a").await?;
        m.record("things/a", |_| {});
        Err(Error::denied("NOT_YOURS", "ana may not touch\0 things/1"))
    };
    db.mutate::<()>(&call(request_id, 1), work).await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_leaves_an_event_and_nothing_else() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        assert_eq!(refused(&db, "r1").await.reason(), "NOT_YOURS");
        assert_eq!(count(&db).await?, 0);
        let unnamed = Call { resource: String::new(), ..call("", 1) };
        db.refuse(&unnamed, &Error::denied("NOT_YOURS", "no"), Skipped { alike: 7, in_all: 9 }).await;
        let events = outbox::read_batch(&mut db.read().await?, &tenant(), 10).await?;
        let events: Vec<_> = events.into_iter().map(|pending| pending.event).collect();
        let said: Vec<_> = events.iter().map(|event| (event.resource.as_str(), event.outcome)).collect();
        assert_eq!(said, [("things/1", Outcome::Denied), ("suite", Outcome::Denied)]);
        for (event, unrecorded) in events.iter().zip([0, 7]) {
            assert_eq!((event.action.as_str(), event.reason.as_str()), ("suite.things.create", "NOT_YOURS"));
            assert_eq!((event.actor.subject.as_str(), event.request_id.as_str()), ("ana", ""));
            let details = ActionRefused::read(&event.details).expect("details of a refusal");
            assert_eq!((details.unrecorded, details.address.as_str()), (unrecorded, "192.0.2.7:50123"));
        }
        assert!(events[0].details.to_string().contains("ana may not touch things/1"), "{}", events[0].details);
        // The request id is free, since nothing has happened under it.
        db.mutate(&call("r1", 2), async |m| put(m, "a").await).await?;
        assert_eq!(count(&db).await?, 1);
        // Other failures are no attempts at what is forbidden.
        let closed = async |_: &mut Mutation| Err(Error::precondition("CLOSED", "it is closed"));
        assert_eq!(db.mutate::<()>(&call("r2", 1), closed).await.unwrap_err().reason(), "CLOSED");
        assert_eq!(outbox::depth(&mut db.read().await?, &tenant()).await?.events, 2);
        // But of what a body decides they are: somebody tried.
        let vote = Call { method: "council.proposals.vote", ..call("r3", 1) };
        let (answer, noted) = remit_store::noting(db.mutate::<()>(&vote, closed)).await;
        assert_eq!((answer.unwrap_err().reason(), noted), ("CLOSED", true));
        assert_eq!(outbox::depth(&mut db.read().await?, &tenant()).await?.events, 3);
        let (_, noted) = remit_store::noting(db.mutate::<()>(&call("r4", 1), closed)).await;
        assert!(!noted, "nothing was put on record");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_read_is_on_record_or_fails() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open_with(&SCHEMA, Options { outbox_limit: 1, ..Options::default() }).await?;
        db.record_read(&call("r1", 1), serde_json::json!({"request": 1})).await?;
        let events = outbox::read_batch(&mut db.read().await?, &tenant(), 10).await?;
        let event = &events[0].event;
        assert_eq!((event.action.as_str(), event.resource.as_str()), ("suite.things.create", "things/1"));
        assert_eq!((event.outcome, event.request_id.as_str()), (Outcome::Success, ""));
        assert_eq!(event.details, serde_json::json!({"request": 1}));
        let failed = db.record_read(&call("r2", 1), serde_json::Value::Null).await;
        assert_eq!(failed.unwrap_err().reason(), "OUTBOX_FULL");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_full_outbox_turns_no_refusal_into_another_error() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open_with(&SCHEMA, Options { outbox_limit: 1, ..Options::default() }).await?;
        for _ in 0..3 {
            assert_eq!(refused(&db, "r1").await.reason(), "NOT_YOURS");
        }
        assert_eq!(outbox::depth(&mut db.read().await?, &tenant()).await?.events, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn own_work_is_done_under_the_one_name_of_the_service() -> Result<()> {
    each_engine(|database| async move {
        let (options, clock) = manual(10);
        let db = database.open_with(&SCHEMA, options).await?;
        let time = db
            .own(&tenant(), "suite.things.seed", async |m| {
                put(m, "a").await?;
                clock.advance_to(Timestamp(20));
                m.record("things/a", |_| {});
                clock.advance_to(Timestamp(30));
                Ok(m.now())
            })
            .await?;
        assert_eq!(time, Timestamp(20), "the time is read when it is first asked for, and stays");
        let events = outbox::read_batch(&mut db.read().await?, &tenant(), 10).await?;
        assert_eq!(events[0].event.actor, Actor::service("suite"));
        assert_eq!(events[0].event.actor.subject, "remit-suite");
        assert_eq!(
            (events[0].event.action.as_str(), events[0].event.recorded_at),
            ("suite.things.seed", Timestamp(20))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn statements_are_counted() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        answer(&db, &call("", 1), b"").await?;
        let work = async |m: &mut Mutation| {
            put(m, "a").await?;
            m.record("things/a", |_| {});
            Ok(())
        };
        let (done, statements) = counted(db.mutate(&call("r1", 1), work)).await;
        done?;
        // The claim of the request id, the row, the head of the outbox, its row, and the answer.
        assert_eq!(statements, 5);
        let (found, statements) = counted(count(&db)).await;
        assert_eq!((found?, statements), (1, 1));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_duplicates_have_one_effect_and_one_answer() -> Result<()> {
    each_engine(|database| async move {
        let replicas = [database.open(&SCHEMA).await?, database.open(&SCHEMA).await?];
        for round in 0..20 {
            let tasks = (0..4usize).map(|n| {
                let db = replicas[n % 2].clone();
                tokio::spawn(async move {
                    let mut fresh = false;
                    let answer: Vec<u8> = db
                        .mutate(&call(&format!("r{round}"), 1), async |m| {
                            fresh = true;
                            put(m, &format!("{round}-{n}")).await?;
                            m.record("things/x", |_| {});
                            Ok(vec![n as u8])
                        })
                        .await?;
                    Ok::<_, Error>((fresh, answer))
                })
            });
            let mut answers = Vec::new();
            for task in futures::future::join_all(tasks).await {
                answers.push(task.expect("a caller panicked")?);
            }
            assert_eq!(answers.iter().filter(|(fresh, _)| *fresh).count(), 1);
            assert!(answers.iter().all(|(_, answer)| *answer == answers[0].1));
        }
        assert_eq!(count(&replicas[0]).await?, 20);
        assert_eq!(outbox::depth(&mut replicas[0].read().await?, &tenant()).await?.events, 20);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn old_answers_are_purged_and_their_ids_are_new_again() -> Result<()> {
    each_engine(|database| async move {
        let (options, clock) = manual(0);
        let db = database.open_with(&SCHEMA, options).await?;
        for n in 0..10 {
            clock.advance_to(Timestamp(n));
            answer(&db, &call(&format!("r{n}"), 1), b"first").await?;
        }
        let mut tx = db.write().await?;
        assert_eq!(purge_requests(&mut tx, &tenant(), Timestamp(5), 3).await?, 3);
        assert_eq!(purge_requests(&mut tx, &tenant(), Timestamp(5), 100).await?, 2);
        tx.commit().await?;
        assert_eq!(answer(&db, &call("r4", 1), b"second").await?, b"second");
        assert_eq!(replay(&db, &call("r5", 1)).await?, b"first");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_outbox_keeps_the_order_of_commits_without_gaps() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let mut outbox_signal = db.subscribe(remit_store::Signal::Outbox);
        let writers = (0..8).map(|writer| {
            let db = db.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    let work = async |m: &mut Mutation| {
                        for part in ["first", "second"] {
                            let event = m.event(part, &format!("things/{writer}-{n}"));
                            m.record_event(event);
                        }
                        if n % 5 == 4 { Err(Error::precondition("AS_INTENDED", "the work fails")) } else { Ok(()) }
                    };
                    assert_eq!(db.mutate(&call("", 0), work).await.is_err(), n % 5 == 4);
                }
                Ok::<_, remit_core::Error>(())
            })
        });
        for writer in futures::future::join_all(writers).await {
            writer.expect("a writer panicked")?;
        }
        assert!(outbox_signal.has_changed().unwrap());
        outbox_signal.mark_unchanged();
        let mut seen = Vec::new();
        loop {
            let batch = outbox::read_batch(&mut db.read().await?, &tenant(), 37).await?;
            let Some(last) = batch.last().map(|pending| pending.seq) else { break };
            let mut tx = db.write().await?;
            outbox::ack(&mut tx, &tenant(), last).await?;
            // Acknowledging twice, as after a lost answer, changes nothing.
            outbox::ack(&mut tx, &tenant(), last).await?;
            tx.commit().await?;
            seen.extend(batch);
        }
        assert_eq!(seen.iter().map(|p| p.seq).collect::<Vec<_>>(), (1..=256).collect::<Vec<_>>());
        for pair in seen.chunks(2) {
            assert_eq!((pair[0].event.action.as_str(), pair[1].event.action.as_str()), ("first", "second"));
            assert_eq!(pair[0].event.resource, pair[1].event.resource);
        }
        let depth = outbox::depth(&mut db.read().await?, &tenant()).await?;
        assert_eq!((depth.events, depth.oldest), (0, None));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_full_outbox_refuses_changes_and_still_replays() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open_with(&SCHEMA, Options { outbox_limit: 3, ..manual(7).0 }).await?;
        let act = |id: &'static str| {
            let db = db.clone();
            async move {
                let work = async |m: &mut Mutation| {
                    m.record("things/a", |_| {});
                    Ok(vec![9])
                };
                db.mutate(&call(id, 1), work).await
            }
        };
        for id in ["r1", "r2", "r3"] {
            act(id).await?;
        }
        let error = act("r4").await.unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::ResourceExhausted, "OUTBOX_FULL"));
        assert!(error.retry_after().is_some());
        assert_eq!(replay(&db, &call("r3", 1)).await?, [9]);
        let depth = outbox::depth(&mut db.read().await?, &tenant()).await?;
        assert_eq!((depth.events, depth.oldest), (3, Some(Timestamp(7))));
        let mut tx = db.write().await?;
        outbox::ack(&mut tx, &tenant(), 2).await?;
        tx.commit().await?;
        act("r4").await.map(|_| ())
    })
    .await
}

#[tokio::test]
async fn a_feed_gives_the_current_items_and_then_the_changes() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let change = |key: &'static str, body: Option<&'static [u8]>| {
            let db = db.clone();
            async move {
                db.mutate(&call("", 0), async |m| {
                    m.change("things", key, body.map(<[u8]>::to_vec)).await?;
                    m.change("other", "x", Some(Vec::new())).await
                })
                .await
            }
        };
        change("a", Some(b"1")).await?;
        change("b", Some(b"1")).await?;
        change("a", Some(b"2")).await?;
        change("c", Some(b"1")).await?;
        change("b", None).await?;
        let mut tx = db.snapshot().await?;
        assert_eq!(feed::head(&mut tx, &tenant(), "things").await?, 5);
        let first = feed::snapshot(&mut tx, &tenant(), "things", "", 1).await?;
        assert_eq!((first[0].key.as_str(), first[0].revision, first[0].body.as_deref()), ("a", 3, Some(&b"2"[..])));
        let rest = feed::snapshot(&mut tx, &tenant(), "things", "a", 10).await?;
        assert_eq!(rest.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(), ["c"]);
        let since = feed::read_since(&mut tx, &tenant(), "things", 2, 10).await?;
        let seen: Vec<_> = since.iter().map(|i| (i.revision, i.key.as_str(), i.body.is_some())).collect();
        assert_eq!(seen, [(3, "a", true), (4, "c", true), (5, "b", false)]);
        drop(tx);

        let mut tx = db.write().await?;
        assert_eq!(feed::purge_deletions(&mut tx, &tenant(), "things", 5).await?, 1);
        tx.commit().await?;
        let mut tx = db.read().await?;
        let expired = feed::read_since(&mut tx, &tenant(), "things", 2, 10).await.unwrap_err();
        assert_eq!((expired.kind(), expired.reason()), (Kind::FailedPrecondition, "FEED_CURSOR_EXPIRED"));
        assert!(feed::read_since(&mut tx, &tenant(), "things", 6, 10).await.is_err(), "a cursor from the future");
        assert!(feed::read_since(&mut tx, &tenant(), "things", 5, 10).await?.is_empty());
        assert!(feed::read_since(&mut tx, &Tenant::new("globex")?, "things", 0, 10).await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_follows_a_feed_misses_nothing() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                let db = db.clone();
                tokio::spawn(async move {
                    for n in 0..30u8 {
                        let work = async |m: &mut Mutation| {
                            let feeds = if writer % 2 == 0 { ["f", "g"] } else { ["g", "f"] };
                            for feed in feeds {
                                m.change(feed, &format!("{writer}-{n}"), Some(vec![n])).await?;
                            }
                            Ok(())
                        };
                        db.mutate(&call("", 0), work).await?;
                    }
                    Ok::<_, remit_core::Error>(())
                })
            })
            .collect();
        let (mut revision, mut seen) = (0, Vec::new());
        let mut changed = db.subscribe(remit_store::Signal::Feeds);
        while seen.len() < 180 {
            let items = feed::read_since(&mut db.read().await?, &tenant(), "f", revision, 7).await?;
            if items.is_empty() {
                let _ = tokio::time::timeout(std::time::Duration::from_millis(100), changed.changed()).await;
            }
            revision = items.last().map_or(revision, |item| item.revision);
            seen.extend(items.into_iter().map(|item| item.revision));
        }
        for writer in writers {
            writer.await.expect("a writer panicked")?;
        }
        assert_eq!(seen, (1..=180).collect::<Vec<i64>>());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn tenants_are_remembered() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let replica = database.open(&SCHEMA).await?;
        assert!(tenants::known(&db).is_empty());
        answer(&db, &call("", 0), b"").await?;
        assert_eq!(tenants::known(&db), [tenant()]);
        assert!(tenants::known(&replica).is_empty());
        assert_eq!(tenants::refresh(&replica).await?, [tenant()]);
        assert_eq!(tenants::known(&database.open(&SCHEMA).await?), [tenant()]);
        Ok(())
    })
    .await
}

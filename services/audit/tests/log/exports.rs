use super::{Fixture, witness};
use remit_api::audit::v1 as api;
use remit_audit::export_verify::{Beforehand, verify_export};
use remit_core::Result;
use remit_store::query;
use remit_store::testing::{TestDb, each_engine};
use remit_tlog::Error as LogError;

fn beforehand(fixture: &Fixture) -> Beforehand {
    Beforehand { key: Some(fixture.log_key()), ..Default::default() }
}

#[tokio::test]
async fn exports_of_any_part_verify_and_resume() -> Result<()> {
    each_engine(|database| async move {
        let fixture = Fixture::new(&database).await?;
        fixture.fill(0, 260).await?;
        let early = fixture.checkpoint(0).await?;
        fixture.fill(260, 700).await?;
        for (start_index, end_index, size) in
            [(0, 0, 0), (0, 10, 0), (255, 513, 600), (699, 700, 700), (700, 700, 700), (3, 260, 260)]
        {
            let request = api::ExportRequest { start_index, end_index, size, ..Default::default() };
            let export = fixture.export(request).await?;
            let verified = verify_export(export.as_slice(), &beforehand(&fixture)).unwrap();
            assert_eq!(verified.entries, verified.end - verified.start);
            assert!(verified.key_pinned);
        }
        let whole = fixture.export(api::ExportRequest::default()).await?;
        let trusted = Beforehand { earlier: Some(early.note.clone()), ..beforehand(&fixture) };
        assert_eq!(verify_export(whole.as_slice(), &trusted).unwrap().extends, Some(260));
        let part =
            fixture.export(api::ExportRequest { start_index: 300, known_size: 260, ..Default::default() }).await?;
        assert_eq!(verify_export(part.as_slice(), &trusted).unwrap().extends, Some(260));
        let untied = fixture.export(api::ExportRequest { start_index: 300, ..Default::default() }).await?;
        assert!(verify_export(untied.as_slice(), &trusted).unwrap_err().what.contains("known_size 260"));

        // Interrupted after each piece and resumed, the bytes are the same, although the log has grown.
        let mut export = fixture.log.begin_export(&fixture.tenant, &api::ExportRequest::default()).await?;
        let first = fixture.log.export_next(&mut export).await?.unwrap();
        fixture.fill(700, 720).await?;
        let resumed = api::ExportRequest { resume_index: first.next_index, size: first.size, ..Default::default() };
        let rest = fixture.export(resumed).await?;
        assert_eq!([first.data, rest].concat(), whole);
        let wrong = api::ExportRequest { start_index: 5, end_index: 4, ..Default::default() };
        assert_eq!(fixture.export(wrong).await.unwrap_err().reason(), "SIZE_INVALID");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn any_altered_byte_and_any_cut_is_found() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = Fixture::new(&database).await?;
    fixture
        .append(vec![fixture.event("a"), fixture.personal("b", "leads/1", "x@example.com"), fixture.event("c")])
        .await?;
    let note = fixture.checkpoint(0).await?.note;
    let parsed = remit_tlog::Note::parse(&note).unwrap();
    let cosigned = format!("{note}{}", witness().sign(&parsed.text, 1_767_225_600));
    fixture.cosign(&cosigned).await?;
    let request = api::ExportRequest { size: 3, known_size: 2, include_sealed: true, ..Default::default() };
    let export = fixture.export(request).await?;
    let verified = verify_export(export.as_slice(), &Beforehand::default()).unwrap();
    assert_eq!((verified.entries, verified.sealed, verified.key_pinned), (3, 1, false));
    let trusted = Beforehand { witnesses: vec![witness().verifier().clone()], quorum: 1, ..beforehand(&fixture) };
    assert_eq!(verify_export(export.as_slice(), &trusted).unwrap().witnesses, 1);

    for at in 0..export.len() {
        for flip in [1u8, 0x20] {
            let mut altered = export.clone();
            altered[at] ^= flip;
            let outcome = verify_export(altered.as_slice(), &beforehand(&fixture));
            assert!(outcome.is_err(), "byte {at} changed from {:?} and not found", export[at] as char);
        }
        assert!(verify_export(&export[..at], &beforehand(&fixture)).is_err(), "cut at {at} and not found");
    }
    let named = String::from_utf8(export.clone()).unwrap().replacen("\"id\":\"c\"", "\"id\":\"d\"", 1);
    let error = verify_export(named.as_bytes(), &beforehand(&fixture)).unwrap_err();
    assert_eq!(error.line, 4);
    assert!(error.what.contains("entry 2 was altered"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_cut_tail_and_a_second_history_fail_against_an_earlier_checkpoint() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = Fixture::new(&database).await?;
    fixture.fill(0, 20).await?;
    let earlier = fixture.checkpoint(0).await?.note;
    // The log as it was before its last entries: sound in itself.
    let cut = fixture.export(api::ExportRequest { size: 15, ..Default::default() }).await?;
    assert!(verify_export(cut.as_slice(), &beforehand(&fixture)).is_ok());
    let trusted = Beforehand { earlier: Some(earlier), ..beforehand(&fixture) };
    let error = verify_export(cut.as_slice(), &trusted).unwrap_err();
    assert_eq!(error.cause, Some(LogError::Rollback { seen: 20, offered: 15 }));

    let other = TestDb::sqlite()?;
    let forged = Fixture::new(&other).await?;
    forged.fill(100, 130).await?;
    let export = forged.export(api::ExportRequest::default()).await?;
    let error = verify_export(export.as_slice(), &trusted).unwrap_err();
    assert!(matches!(error.cause, Some(LogError::Fork { size: 20, .. })), "{error}");

    let stranger = remit_tlog::VerifierKey::new(
        "remit.example/acme",
        remit_tlog::note::Algorithm::Ed25519,
        ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key(),
    );
    let stranger = Beforehand { key: Some(stranger.unwrap()), ..Default::default() };
    assert!(verify_export(export.as_slice(), &stranger).unwrap_err().what.contains("is trusted"));
    Ok(())
}

#[tokio::test]
async fn cosignatures_are_taken_from_known_witnesses_only() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        fixture.fill(0, 5).await?;
        assert_eq!(fixture.checkpoint(1).await.unwrap_err().reason(), "NOT_COSIGNED");
        let note = fixture.checkpoint(0).await?.note;
        let text = remit_tlog::Note::parse(&note).unwrap().text;
        let add = |note: String| async move { fixture.cosign(&note).await };
        let key = ed25519_dalek::SigningKey::from_bytes(&[77; 32]);
        let unknown = remit_tlog::Signer::new("w1.example", remit_tlog::note::Algorithm::CosignatureV1, key).unwrap();
        assert_eq!(add(format!("{note}{}", unknown.sign(&text, 1))).await.unwrap_err().reason(), "WITNESS_UNKNOWN");
        assert_eq!(add(note.clone()).await.unwrap_err().reason(), "WITNESS_UNKNOWN");
        assert_eq!(add("nonsense".into()).await.unwrap_err().reason(), "NOTE_INVALID");
        let cosigned = add(format!("{note}{}", witness().sign(&text, 1_700_000_000))).await?;
        assert_eq!((cosigned.size, cosigned.cosignatures[0].witness.as_str()), (5, "w1.example"));
        fixture.fill(5, 8).await?;
        assert_eq!(fixture.checkpoint(1).await?, cosigned);
        assert_eq!(fixture.checkpoint(2).await.unwrap_err().reason(), "NOT_COSIGNED");
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}

/// A log of which retention has removed most of two tiles, under a hold: entry 572 is the pruning, 573 has sealed data.
pub async fn pruned(fixture: &Fixture) -> Result<()> {
    fixture.fill(0, 560).await?;
    fixture.tick(400 * 86_400);
    let keep = Some(prost_types::Duration { seconds: 200 * 86_400, nanos: 0 });
    let retention_policy = Some(api::RetentionPolicy { keep, ..Default::default() });
    let retention = api::UpdateRetentionPolicyRequest { retention_policy, ..Default::default() };
    fixture.log.update_retention_policy(&fixture.cx("audit.retention.update"), retention).await?;
    fixture.fill(600, 610).await?;
    hold(fixture, "h1", "models/lead-scorer/versions/e10").await?;
    assert_eq!(prune(fixture).await?, 512 - 11);
    fixture.append(vec![fixture.personal("q", "leads/1", "x@example.com")]).await.map(drop)
}

async fn hold(fixture: &Fixture, id: &str, resource_prefix: &str) -> Result<()> {
    let legal_hold =
        api::LegalHold { reason: "matter".into(), resource_prefix: resource_prefix.into(), ..Default::default() };
    let request =
        api::CreateLegalHoldRequest { legal_hold_id: id.into(), legal_hold: Some(legal_hold), ..Default::default() };
    fixture.log.create_legal_hold(&fixture.cx("audit.legalHolds.create"), request).await.map(drop)
}

async fn prune(fixture: &Fixture) -> Result<i64> {
    let request = api::PruneEntriesRequest::default();
    fixture.log.prune_entries(&fixture.cx("audit.entries.prune"), request).await.map(|done| done.pruned_count)
}

/// A line of an export cut to its index and leaf hash.
fn withheld(line: &str) -> String {
    let (begin, _) = line.split_once("\",\"").unwrap();
    format!("{begin}\"}}")
}

/// What is edited, how, and what the refusal says.
pub type Edit = (&'static str, fn(&mut Vec<String>), &'static str);

/// Line 0 is the manifest, 1 the pruning, 2 + N that of entry N, the last one the end.
pub const EDITS: &[Edit] = &[
    ("an entry is withheld", |lines| lines[2 + 515] = withheld(&lines[2 + 515]), "no content of 515,"),
    ("a held entry is withheld", |lines| lines[2 + 105] = withheld(&lines[2 + 105]), "no content of 105,"),
    ("the pruning is withheld", |lines| lines[2 + 572] = withheld(&lines[2 + 572]), "no content of 572,"),
    ("the pruning is not stated", |lines| drop(lines.remove(1)), "no content of 0 to 9, 11 to 99, 110 to 511,"),
    ("it is stated twice", |lines| lines.insert(1, lines[1].clone()), "doubled or out of order"),
    ("it is stated to be more", |lines| lines[1] = lines[1].replacen("0-10,", "0-9,", 1), "states the digest"),
    (
        "it is stated to be elsewhere",
        |lines| lines[1] = lines[1].replacen(":572,", ":571,", 1),
        "does not have the entry",
    ),
    ("its proof is cut", |lines| cut_proof(&mut lines[1]), "does not have the entry"),
    ("its entry is altered", |lines| lines[1] = lines[1].replacen("200", "100", 1), "does not have the entry"),
    ("its form is another", |lines| lines[1] = lines[1].replacen(",\"proof\"", ", \"proof\"", 1), "one form"),
    ("an entry is left out", |lines| drop(lines.remove(2 + 520)), "must begin with"),
    ("a removed one is left out", |lines| drop(lines.remove(2 + 5)), "must begin with"),
    ("an entry is doubled", |lines| lines.insert(2 + 520, lines[2 + 520].clone()), "must begin with"),
    ("two are exchanged", |lines| lines.swap(2 + 520, 2 + 521), "must begin with"),
    ("a content is altered", |lines| lines[2 + 520] = lines[2 + 520].replacen("ann", "bob", 1), "520 was altered"),
    ("a leaf hash is altered", |lines| other_hash(&mut lines[2 + 520]), "520 was altered"),
    ("that of a removed one", |lines| other_hash(&mut lines[2 + 5]), "do not give the root hash"),
    (
        "sealed data is altered",
        |lines| lines[2 + 573] = lines[2 + 573].replacen("\"sealed\":\"", "\"sealed\":\"AAAA", 1),
        "sealed",
    ),
    ("the end is another", |lines| *lines.last_mut().unwrap() = "{\"end\":9}".into(), "must be {\"end\":574}"),
    ("the end is left out", |lines| drop(lines.pop()), "was cut"),
    ("something follows", |lines| lines.push("{}".into()), "nothing may follow"),
    ("the manifest is left out", |lines| drop(lines.remove(0)), "not a manifest"),
    ("another format", |lines| manifest(lines, "export/1", "export/2"), "is not known here"),
    ("another start", |lines| manifest(lines, "\"start\":0", "\"start\":1"), "does not begin"),
    ("another end", |lines| manifest(lines, "\"end\":574", "\"end\":573"), "must be {\"end\":573}"),
    ("another size", |lines| manifest(lines, "\"size\":574", "\"size\":575"), "the manifest of 575"),
    ("another left edge", |lines| manifest(lines, "\"left\":[]", "\"left\":[\"\"]"), "a hash in the manifest"),
    ("another right edge", |lines| manifest(lines, "\"right\":[]", "\"right\":[\"\"]"), "a hash in the manifest"),
    ("another earlier size", |lines| manifest(lines, "\"known_size\":260", "\"known_size\":261"), "consistency"),
    ("another checkpoint", |lines| manifest(lines, "\\n574\\n", "\\n573\\n"), "not valid for this text"),
    ("another key", |lines| manifest(lines, "\"key\":\"remit.example/acme+", "\"key\":\"remit.example/acne+"), "key"),
    ("a witness too many", |lines| manifest(lines, "\"witnesses\":[]", "\"witnesses\":[\"w\"]"), "witness key"),
];

fn manifest(lines: &mut [String], from: &str, to: &str) {
    assert!(lines[0].contains(from), "{from} is not in {}", lines[0]);
    lines[0] = lines[0].replacen(from, to, 1);
}

fn other_hash(line: &mut String) {
    let at = line.find("leaf_hash\":\"").unwrap() + 12;
    let digit = if line[at..].starts_with('0') { "1" } else { "0" };
    line.replace_range(at..=at, digit);
}

fn cut_proof(line: &mut String) {
    let (start, end) = (line.find("\"proof\":[").unwrap() + 9, line.find("],\"entry\"").unwrap());
    line.replace_range(start..end, "");
}

#[tokio::test]
async fn each_edit_of_one_line_is_named() -> Result<()> {
    let database = TestDb::sqlite()?;
    let fixture = Fixture::new(&database).await?;
    pruned(&fixture).await?;
    let request = api::ExportRequest { known_size: 260, include_sealed: true, ..Default::default() };
    let export = String::from_utf8(fixture.export(request).await?).unwrap();
    let verified = verify_export(export.as_bytes(), &beforehand(&fixture)).unwrap();
    let [pruning] = verified.prunings.as_slice() else { panic!("{:?}", verified.prunings) };
    assert_eq!((verified.pruned, pruning.index, pruning.entries, pruning.compared), (501, 572, 501, true));
    assert_eq!((pruning.actor.as_str(), pruning.keep_days, pruning.spans.len()), ("dpo", 200, 3));
    let lines: Vec<String> = export.lines().map(str::to_owned).collect();
    for (name, edit, expected) in EDITS {
        let mut edited = lines.clone();
        edit(&mut edited);
        assert_ne!(edited, lines, "{name}: nothing was edited");
        let text = edited.join("\n") + "\n";
        match verify_export(text.as_bytes(), &beforehand(&fixture)) {
            Ok(_) => panic!("{name}: not found"),
            Err(refused) => assert!(refused.to_string().contains(expected), "{name}: {refused}"),
        }
    }
    // A part of the log brings the pruning along, and cannot be compared with the holds before it.
    let part = api::ExportRequest { start_index: 200, end_index: 300, ..Default::default() };
    let part = verify_export(fixture.export(part).await?.as_slice(), &beforehand(&fixture)).unwrap();
    assert_eq!((part.pruned, part.prunings[0].index, part.prunings[0].compared), (100, 572, false));
    // A log that ends before the pruning cannot account for what is missing.
    let early = api::ExportRequest { size: 572, ..Default::default() };
    assert_eq!(fixture.export(early).await.unwrap_err().reason(), "EXPORT_PRUNED_SINCE");
    // What a hold kept and a later run removed has a pruning of its own.
    let release = api::ReleaseLegalHoldRequest { name: "legalHolds/h1".into(), ..Default::default() };
    fixture.log.release_legal_hold(&fixture.cx("audit.legalHolds.release"), release).await?;
    assert_eq!(prune(&fixture).await?, 11);
    let export = fixture.export(api::ExportRequest::default()).await?;
    let verified = verify_export(export.as_slice(), &beforehand(&fixture)).unwrap();
    assert_eq!((verified.pruned, verified.prunings.len()), (512, 2));
    assert!(verified.prunings.iter().all(|pruning| pruning.compared));
    Ok(())
}

#[tokio::test]
async fn a_hole_that_no_lawful_pruning_left_is_refused_on_both_sides() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        pruned(fixture).await?;
        let delete = async |id: &str| {
            let mut tx = fixture.db.write().await?;
            query("delete from entries where idx = 105").execute(&mut tx).await?;
            let sql = "insert into prunings values ('acme', 105, 106, $1, 1)";
            if !id.is_empty() {
                query(sql).bind(id).execute(&mut tx).await?;
            }
            tx.commit().await
        };
        let whole = api::ExportRequest::default;
        let refused = async || {
            let export = fixture.export(api::ExportRequest { allow_gaps: true, ..whole() }).await?;
            Ok::<_, remit_core::Error>(verify_export(export.as_slice(), &beforehand(fixture)).unwrap_err().to_string())
        };
        delete("").await?;
        let error = fixture.export(whole()).await.unwrap_err();
        assert_eq!(error.reason(), "EXPORT_INCOMPLETE");
        assert!(error.message().contains("entry 105"), "{error}");
        assert!(refused().await?.contains("no content of 105,"));
        // Everything is under a hold when somebody who can make the service's entries makes one that fits the row.
        hold(fixture, "h2", "").await?;
        let spans_digest = remit_core::digest::sha256(b"105-106\n");
        let details = remit_core::details::EntriesPruned {
            keep_days: Some(200),
            end_index: 512,
            pruned: 1,
            holds: vec!["legalHolds/h1".into(), "legalHolds/h2".into()],
            first_index: Some(105),
            last_index: Some(105),
            spans: 1,
            spans_digest,
            ..Default::default()
        };
        let details_json = remit_core::details::Details::json(&details).to_string();
        let (action, service) = ("audit.entries.prune".into(), "audit".into());
        fixture.append(vec![api::Event { action, service, details_json, ..fixture.event("forged") }]).await?;
        delete("forged").await?;
        assert!(fixture.export(whole()).await.is_ok(), "row and entry agree");
        let refused = refused().await?;
        assert!(refused.contains("legalHolds/h2 was in force on everything"), "{refused}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_log_does_not_grow_by_being_witnessed() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        fixture.fill(0, 5).await?;
        let cosign = async |time: u64| {
            let note = fixture.checkpoint(0).await?.note;
            let text = remit_tlog::Note::parse(&note).unwrap().text;
            fixture.cosign(&format!("{note}{}", witness().sign(&text, time))).await
        };
        for time in [1, 4_102_444_800] {
            let error = cosign(time).await.unwrap_err();
            assert!(error.reason() == "NOTE_INVALID" && error.message().contains("w1.example"), "{error}");
        }
        // The first is an entry, which the next covers; from then on nothing changes.
        for size in [5, 6, 6, 6] {
            assert_eq!(cosign(1_767_225_600).await?.size, size);
        }
        let newest = fixture.checkpoint(1).await?;
        assert_eq!((newest.size, fixture.checkpoint(0).await?.size), (6, 6), "the newest checkpoint can be cosigned");
        let export = fixture.export(api::ExportRequest::default()).await?;
        let witnesses = vec![witness().verifier().clone()];
        let trusted = Beforehand { witnesses, quorum: 1, now: Some(1_767_225_600), ..beforehand(fixture) };
        let verified = verify_export(export.as_slice(), &trusted).unwrap();
        assert_eq!((verified.witnesses, verified.untimely.len()), (1, 0));
        let before = Beforehand { now: Some(1_700_000_000), ..trusted };
        let refused = verify_export(export.as_slice(), &before).unwrap_err();
        assert!(matches!(refused.cause, Some(LogError::Untimely { .. })), "{refused}");
        assert_eq!(fixture.findings().await?, []);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_selection_proves_each_entry_and_claims_no_more() -> Result<()> {
    each_engine(|database| async move {
        let fixture = &Fixture::new(&database).await?;
        pruned(fixture).await?;
        let early = fixture.checkpoint(0).await?;
        fixture.fill(700, 1_300).await?;
        let request = |filter: &str| api::ExportRequest { filter: filter.into(), ..Default::default() };
        let filter = "resource = \"models/lead-scorer/versions/e10*\"";
        let export = fixture.export(api::ExportRequest { known_size: early.size, ..request(filter) }).await?;
        let trusted = Beforehand { earlier: Some(early.note), ..beforehand(fixture) };
        let verified = verify_export(export.as_slice(), &trusted).unwrap();
        // What a hold kept among what was pruned, and what came later; of the rest nothing is said.
        assert_eq!((verified.entries, verified.pruned), (111, 0));
        assert_eq!((verified.selection.as_deref(), verified.extends), (Some(filter), Some(early.size as u64)));

        // In several pieces, of a part of the log, with what is sealed, and resumed although the log has grown.
        let part =
            api::ExportRequest { start_index: 500, end_index: 1_150, include_sealed: true, ..request("actor = ANN") };
        let whole = fixture.export(part.clone()).await?;
        let verified = verify_export(whole.as_slice(), &beforehand(fixture)).unwrap();
        assert_eq!((verified.start, verified.end, verified.sealed), (500, 1_150, 1));
        assert!(verified.entries > 600, "{}", verified.entries);
        let mut begun = fixture.log.begin_export(&fixture.tenant, &part).await?;
        let first = fixture.log.export_next(&mut begun).await?.unwrap();
        fixture.fill(1_300, 1_310).await?;
        let resumed = api::ExportRequest { resume_index: first.next_index, size: first.size, ..part };
        assert_eq!([first.data, fixture.export(resumed).await?].concat(), whole);
        let none = fixture.export(request("actor = nobody")).await?;
        assert_eq!(verify_export(none.as_slice(), &beforehand(fixture)).unwrap().entries, 0);
        assert_eq!(fixture.export(request("actor =")).await.unwrap_err().reason(), "FILTER_INVALID");

        let lines: Vec<String> = String::from_utf8(export).unwrap().lines().map(str::to_owned).collect();
        let check = |edit: &dyn Fn(&mut Vec<String>)| {
            let mut lines = lines.clone();
            edit(&mut lines);
            verify_export((lines.join("\n") + "\n").as_bytes(), &beforehand(fixture))
        };
        assert_eq!(
            check(&|lines| drop(lines.remove(5))).unwrap().entries,
            110,
            "nobody can prove that none is left out"
        );
        type Change<'a> = &'a dyn Fn(&mut Vec<String>);
        let refused: [(Change<'_>, &str); 9] = [
            (&|lines| lines[3] = lines[3].replace("\"id\":\"e", "\"id\":\"f"), "was altered"),
            (&|lines| lines.insert(4, lines[3].clone()), "doubled"),
            (&|lines| lines.swap(3, 4), "out of order"),
            (&|lines| lines[3] = lines[3].replace("\"proof\":[\"", "\"proof\":[\"AAAA"), "proof"),
            (&|lines| lines[3] = lines[3].replace("\"index\":", "\"index\":0"), "must begin with"),
            (
                &|lines| {
                    lines[3] = lines[4].split("\"index\"").next().unwrap().to_owned()
                        + &lines[3][lines[3].find("\"index\"").unwrap()..]
                },
                "not in the log",
            ),
            (&|lines| drop(lines.pop()), "cut"),
            (&|lines| lines[0] = lines[0].replace("selection/1", "export/1"), "format"),
            (&|lines| lines[0] = lines[0].replace("\"left\":[]", "\"left\":[\"AAAA\"]"), "surroundings"),
        ];
        for (at, (edit, what)) in refused.into_iter().enumerate() {
            let error = check(edit).unwrap_err();
            assert!(error.what.contains(what), "{at}: {error} does not say {what}");
        }
        Ok(())
    })
    .await
}

//! That each rule of the contract can fail: what tells a wrong answer is given the answers that there used to be,
//! when six services spoke six dialects.

use super::answers::unlike;
use super::wire::methods;
use super::{actors, names, pages, paths, ranges, updates};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use remit_api::scoring::v1::Task;
use remit_api::types::{Actor, ActorKind};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

type Answer = Result<DynamicMessage, Status>;

fn refusal(code: Code, reason: &str, field: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "remit", []);
    details.add_bad_request_violation(field, "is wrong");
    Status::with_error_details(code, "no", details)
}

fn refused(code: Code, reason: &str) -> Answer {
    Err(refusal(code, reason, "name"))
}

fn answered(task: &Task) -> DynamicMessage {
    let kind = remit_api::pool().get_message_by_name("remit.scoring.v1.Task").expect("the type exists");
    DynamicMessage::decode(kind, task.encode_to_vec().as_slice()).expect("a task")
}

fn method(name: &str) -> MethodDescriptor {
    methods().into_iter().find(|method| method.name() == name).expect("the method exists")
}

/// Each answer is found wrong, and the right one is not.
#[track_caller]
fn proves(rule: impl Fn(&Answer) -> Option<String>, right: &Answer, wrong: &[Answer]) {
    assert_eq!(rule(right), None);
    for wrong in wrong {
        assert!(rule(wrong).is_some(), "{wrong:?} passes");
    }
}

#[test]
fn a_refusal_must_be_one_and_of_its_kind() {
    let rule = |answer: &Answer| unlike(answer, Code::NotFound, &["_NOT_FOUND"]);
    let wrong = [
        Ok(answered(&Task::default())),
        refused(Code::NotFound, "KPI_UNKNOWN"),
        refused(Code::InvalidArgument, "KPI_NOT_FOUND"),
    ];
    proves(rule, &refused(Code::NotFound, "KPI_NOT_FOUND"), &wrong);
}

#[test]
fn names_that_were_refused_in_dialect_are_found() {
    let wrong = [refused(Code::NotFound, "KPI_UNKNOWN"), refused(Code::InvalidArgument, "GATE_INVALID")];
    proves(names::not_missing, &refused(Code::NotFound, "KPI_NOT_FOUND"), &wrong);
    let wrong = [refused(Code::InvalidArgument, "HANDOFF_INVALID"), refused(Code::NotFound, "HANDOFF_NOT_FOUND")];
    proves(names::not_refused, &refused(Code::InvalidArgument, "NAME_INVALID"), &wrong);
    let wrong = [refused(Code::InvalidArgument, "GATE_INVALID"), refused(Code::InvalidArgument, "NAME_INVALID")];
    proves(|answer| names::not_an_id(answer, false), &refused(Code::InvalidArgument, "ID_INVALID"), &wrong);
    let wrong = [refused(Code::InvalidArgument, "ID_INVALID")];
    proves(|answer| names::not_an_id(answer, true), &refused(Code::InvalidArgument, "FIELD_INVALID"), &wrong);
}

#[test]
fn pages_that_were_refused_in_dialect_are_found() {
    let (page, bad) = (Ok(answered(&Task::default())), refused(Code::InvalidArgument, "FIELD_INVALID"));
    proves(pages::not_cut, &page, &[refused(Code::InvalidArgument, "PAGE_SIZE_INVALID")]);
    let wrong = [page.clone(), refused(Code::InvalidArgument, "PAGE_SIZE_INVALID")];
    proves(pages::not_refused, &bad, &wrong);
    proves(pages::not_its_token, &refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID"), &[page.clone(), bad]);
    // Lists inside an unknown parent that are empty, or say that something else is missing.
    let rule = |answer: &Answer| pages::not_missing(answer, "models");
    let wrong = [page.clone(), refused(Code::NotFound, "MODEL_VERSION_NOT_FOUND")];
    proves(rule, &refused(Code::NotFound, "MODEL_NOT_FOUND"), &wrong);
    let nameless = refused(Code::InvalidArgument, "NAME_INVALID");
    proves(|answer| pages::not_across(answer, false), &page, std::slice::from_ref(&nameless));
    proves(|answer| pages::not_across(answer, true), &nameless, std::slice::from_ref(&page));
}

#[test]
fn ranges_that_were_refused_in_dialect_are_found() {
    let wrong = [
        Ok(answered(&Task::default())),
        refused(Code::InvalidArgument, "RANGE_INVALID"),
        refused(Code::InvalidArgument, "TIME_IN_FUTURE"),
    ];
    proves(ranges::not_refused, &refused(Code::InvalidArgument, "TIME_RANGE_INVALID"), &wrong);
}

#[test]
fn updates_that_were_answered_in_dialect_are_found() {
    let task = Task { name: "tasks/a".into(), etag: "r3".into(), ..Default::default() };
    let (first, mask) = (answered(&task), refused(Code::InvalidArgument, "UPDATE_MASK_INVALID"));
    // A mask `*` that is refused.
    proves(updates::not_made, &Ok(first.clone()), std::slice::from_ref(&mask));
    let wrong = [
        Ok(first.clone()),
        refused(Code::InvalidArgument, "FIELD_IMMUTABLE"),
        refused(Code::InvalidArgument, "KPI_FIELD_FIXED"),
        refused(Code::InvalidArgument, "FIELD_INVALID"),
    ];
    proves(updates::not_refused, &mask, &wrong);
    let wrong = [Ok(first.clone()), refused(Code::FailedPrecondition, "ETAG_MISMATCH")];
    proves(updates::not_stale, &refused(Code::Aborted, "ETAG_MISMATCH"), &wrong);
    // A revision for nothing, its time alone, and an audit entry for nothing.
    let later = Task { update_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }), ..task.clone() };
    let wrong = [Ok(answered(&Task { etag: "r4".into(), ..task })), Ok(answered(&later)), mask];
    proves(|answer| updates::not_the_same(&first, answer, 0), &Ok(first.clone()), &wrong);
    assert!(updates::not_the_same(&first, &Ok(first.clone()), 1).is_some());
}

#[test]
fn etags_of_old_are_found() {
    assert!(updates::is_revision("r3"));
    for old in ["3", "\"r1\"", "r", "", "rx", "R3"] {
        assert!(!updates::is_revision(old), "{old}");
    }
}

#[test]
fn fields_that_lack_their_path_are_found() {
    let create = method("CreateCalendar");
    let of = |code, field| paths::astray(&create, &refusal(code, "CALENDAR_INVALID", field));
    assert_eq!(of(Code::InvalidArgument, "time_zone").len(), 1);
    assert_eq!(of(Code::InvalidArgument, "calendar.time_zone"), Vec::<String>::new());
}

#[test]
fn services_under_other_names_are_found() {
    let actor =
        |kind: ActorKind, subject: &str| Actor { subject: subject.into(), kind: kind.into(), ..Default::default() };
    for old in ["service:scoring", "scoring", "remit:scoring"] {
        assert!(actors::misnamed(&actor(ActorKind::Service, old)).is_some(), "{old}");
    }
    for right in ["remit-scoring", "platform"] {
        assert_eq!(actors::misnamed(&actor(ActorKind::Service, right)), None);
    }
    assert_eq!(actors::misnamed(&actor(ActorKind::Human, "scoring")), None, "a person may be called so");
}

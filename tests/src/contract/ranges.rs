//! Ranges of time: they begin before they end.

use super::answers::{Remit, holds, nothing, unlike, valid};
use super::wire::methods;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use tonic::{Code, Status};

const RANGE: &str = "remit.type.v1.TimeRange";

/// Where a range stands in a message: its field, or a field of one of its messages.
fn places(message: &MessageDescriptor) -> Vec<Vec<FieldDescriptor>> {
    let mut found = Vec::new();
    for field in message.fields().filter(|field| !field.is_list() && !field.is_map()) {
        if holds(&field, RANGE) {
            found.push(vec![field]);
        } else if let Kind::Message(inner) = field.kind() {
            let inner = inner.fields().filter(|inner| holds(inner, RANGE));
            found.extend(inner.map(|inner| vec![field.clone(), inner]));
        }
    }
    found
}

fn set(message: &mut DynamicMessage, place: &[FieldDescriptor], range: DynamicMessage) {
    match place {
        [field] => message.set_field(field, Value::Message(range)),
        [field, rest @ ..] => {
            let inner = message.get_field_mut(field).as_message_mut();
            set(inner.expect("a field of messages"), rest, range);
        }
        [] => {}
    }
}

fn range(start: &str, end: &str) -> DynamicMessage {
    let kind = remit_api::pool().get_message_by_name(RANGE).expect("the type exists");
    let json = format!("{{\"startTime\": \"{start}\", \"endTime\": \"{end}\"}}");
    DynamicMessage::deserialize(kind, &mut serde_json::Deserializer::from_str(&json)).expect("a range")
}

/// What is wrong with the answer to a range that is empty or turned round.
pub(super) fn not_refused(answer: &Result<DynamicMessage, Status>) -> Option<String> {
    unlike(answer, Code::InvalidArgument, &["TIME_RANGE_INVALID"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_empty_or_turned_round_is_refused() {
    let remit = Remit::start().await;
    let mut broken = Vec::new();
    let mut tried = 0;
    for method in methods() {
        for place in places(&method.input()) {
            // Every other range of the request is good.
            let mut request = valid(&method);
            for other in places(&method.input()) {
                set(&mut request, &other, range("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"));
            }
            for (start, end) in
                [("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"), ("2026-01-03T00:00:00Z", "2026-01-02T00:00:00Z")]
            {
                set(&mut request, &place, range(start, end));
                let answer = remit.ask(&method, &request).await;
                let shown: Vec<_> = place.iter().map(FieldDescriptor::name).collect();
                let found = not_refused(&answer);
                broken.extend(found.map(|what| format!("{} {}: {what}", method.name(), shown.join("."))));
                tried += 1;
            }
        }
    }
    assert!(tried >= 20, "only {tried} ranges");
    nothing(broken);
    remit.stop().await;
}

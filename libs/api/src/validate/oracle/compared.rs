//! The tables against the interpreter: both say the same of the same messages, path by path and text by text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::{MAX_VIOLATIONS, bounded, find};
use prost::Message as _;
use prost::bytes::Bytes;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use std::collections::HashMap;

const SEED: u64 = 0x5eed_0001;
/// Messages of each type.
const EACH: usize = 16;
const LENGTHS: [usize; 12] = [2, 20, 63, 64, 100, 101, 200, 201, 250, 1_001, 2_000, 2_001];
const TEXTS: [&str; 8] = ["", "a", "ada", "models/m/versions/1", "kpis/x", "12", "a\u{0}b", "PT24H"];
const WHOLE: [i64; 12] = [-1, 0, 1, 2, 5, 6, 59, 100, 1_000, 1_000_001, 2_000_000_000, -62_135_596_801];
const REAL: [f64; 9] = [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.5, 1.0, 1.5, 100.0, 1e12];

/// Random messages, the same at every run.
struct Random<'a> {
    state: u64,
    /// What the mask of the request may name.
    allowed: &'a [&'static str],
}

impl Random<'_> {
    fn below(&mut self, most: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % u64::try_from(most).unwrap()).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        let full = self.below(3) > 0;
        for field in descriptor.fields() {
            if self.below(if full { 8 } else { 2 }) == 0 || depth > 5 {
                continue;
            }
            let value = if field.is_map() {
                let Kind::Message(entry) = field.kind() else { panic!("a map is of entries") };
                let count = self.below(3);
                let pairs = (0..count).map(|_| {
                    let key = MapKey::String(self.of(&TEXTS).to_owned());
                    (key, self.value(&entry.map_entry_value_field(), depth))
                });
                Value::Map(pairs.collect::<HashMap<_, _>>())
            } else if field.is_list() {
                let count = self.below(4);
                Value::List((0..count).map(|_| self.value(&field, depth)).collect())
            } else {
                self.value(&field, depth)
            };
            message.set_field(&field, value);
        }
        message
    }

    fn value(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        match field.kind() {
            Kind::Bool => Value::Bool(self.below(2) == 0),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                Value::I32(i32::try_from(self.of(&WHOLE)).unwrap_or_default())
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.of(&WHOLE)),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::try_from(self.of(&WHOLE)).unwrap_or_default()),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::try_from(self.of(&WHOLE)).unwrap_or_default()),
            Kind::Float => Value::F32(0.5),
            Kind::Double => Value::F64(self.of(&REAL)),
            Kind::Bytes => Value::Bytes(vec![7; self.of(&LENGTHS)].into()),
            Kind::Enum(words) => {
                let known: Vec<i32> = words.values().map(|word| word.number()).chain([99, -1]).collect();
                Value::EnumNumber(self.of(&known))
            }
            Kind::String if field.full_name() == "google.protobuf.FieldMask.paths" && self.below(20) > 0 => {
                Value::String(if self.allowed.is_empty() { "*" } else { self.of(self.allowed) }.to_owned())
            }
            Kind::String => Value::String(match self.below(6) {
                0 => self.of(&["x", "\u{df}"]).repeat(self.of(&LENGTHS)),
                1 => format!("sha256:{}", "0a".repeat(32)),
                _ => self.of(&TEXTS).to_owned(),
            }),
            Kind::Message(inner) => Value::Message(self.message(&inner, depth + 1)),
        }
    }
}

#[test]
fn the_tables_and_the_interpreter_say_the_same() {
    let (mut refused, mut taken) = (0, 0);
    for (name, ruled) in crate::tree::RULED {
        let request = find(crate::tree::REQUESTS, name).unwrap();
        let descriptor = crate::pool().get_message_by_name(name).unwrap();
        let allowed = request.mask.as_ref().map(|mask| mask.allowed).unwrap_or_default();
        let mut random = Random { state: SEED, allowed };
        for round in 0..EACH {
            let message =
                if round == 0 { DynamicMessage::new(descriptor.clone()) } else { random.message(&descriptor, 0) };
            let bytes = Bytes::from(message.encode_to_vec());
            // Zeros are dropped and NaN stays: what was sent is what both look at.
            let sent = DynamicMessage::decode(descriptor.clone(), bytes.clone()).unwrap();
            let (ours, theirs) = (ruled(bytes.clone(), request), super::check(descriptor.clone(), &bytes));
            let shown = |answer: &Result<(), tonic::Status>| {
                answer
                    .as_ref()
                    .err()
                    .map(|status| (status.code(), status.message().to_owned(), status.details().to_vec()))
            };
            assert_eq!(shown(&ours), shown(&theirs), "{name}: {sent}");
            if theirs.is_ok() {
                assert!(
                    bounded(&bytes, request).is_ok(),
                    "{name} is within its rules and not within its bounds: {sent}"
                );
                taken += 1;
            } else {
                refused += 1;
            }
            let mut all = super::violations(&sent).unwrap();
            all.truncate(MAX_VIOLATIONS);
            assert_eq!(crate::validate::violations(&sent).unwrap(), all, "{name}: {sent}");
        }
    }
    assert!(refused >= 1_000 && taken >= 50, "{refused} refused, {taken} taken");
}

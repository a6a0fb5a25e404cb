//! Whatever bytes a client sends to whatever method, it gets an answer that is not a defect, in bounded memory, and
//! everybody else goes on being served.
//!
//! `REMIT_TEST_FUZZ_ROUNDS=100` goes on for longer and `REMIT_TEST_FUZZ_SEED=7` elsewhere.

use super::answers::{Remit, named, nothing, valid};
use super::wire::methods;
use futures::StreamExt as _;
use prost_reflect::prost::Message as _;
use prost_reflect::prost::bytes::Bytes;
use prost_reflect::prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MethodDescriptor, ReflectMessage as _, Value};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tonic::{Code, Status};

const SEED: u64 = 20_260_105;
/// What the process may grow by while millions of empty items are thrown at it, in KiB. Each message has at most 8 MiB,
/// two are under way at once, and client and server stand in the same process.
const MOST_GROWTH: u64 = 256 << 10;
/// The clock of the suite would stand in another century, and every token be out of date.
const APART: [&str; 1] = ["AdvanceClock"];
const TEXTS: [&str; 10] = [
    "",
    "c",
    "models/c",
    "models/c/versions/1",
    "tasks/c",
    "../../x",
    "-",
    "a\u{0}b",
    "\u{202e}\u{fffd}",
    "x = \"y\" AND (",
];

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Random choices, the same at every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(most.max(1)).expect("it fits")).expect("it fits")
    }

    fn whole(&mut self) -> i64 {
        match self.below(4) {
            0 => i64::try_from(self.below(10)).expect("it fits") - 2,
            1 => i64::try_from(self.below(5_000_000_000)).expect("it fits"),
            2 => i64::MAX - i64::try_from(self.below(3)).expect("it fits"),
            _ => i64::from_le_bytes(self.next().to_le_bytes()),
        }
    }

    fn value(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        match field.kind() {
            Kind::Bool => Value::Bool(self.below(2) == 0),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(i32::try_from(self.whole()).unwrap_or(i32::MIN)),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.whole()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::try_from(self.whole()).unwrap_or(u32::MAX)),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.next()),
            Kind::Float => Value::F32(f32::INFINITY),
            Kind::Double => Value::F64([f64::NAN, f64::MAX, -0.5, 0.5, 3.0][self.below(5)]),
            Kind::Enum(_) => Value::EnumNumber(i32::try_from(self.below(12)).expect("it fits") - 1),
            Kind::Bytes => Value::Bytes(vec![0xff; self.below(300)].into()),
            Kind::String => Value::String(TEXTS[self.below(TEXTS.len())].repeat(1 + self.below(3))),
            Kind::Message(inner) => {
                let mut message = DynamicMessage::new(inner);
                let fields = if depth < 4 { self.below(4) } else { 0 };
                for _ in 0..fields {
                    self.alter(&mut message, depth + 1);
                }
                Value::Message(message)
            }
        }
    }

    /// Changes one field, here or inside.
    fn alter(&mut self, message: &mut DynamicMessage, depth: usize) {
        let fields: Vec<FieldDescriptor> = message.descriptor().fields().collect();
        let Some(field) = fields.get(self.below(fields.len())) else { return };
        if message.has_field(field)
            && self.below(3) > 0
            && let Some(inner) = message.get_field_mut(field).as_message_mut()
        {
            return self.alter(inner, depth + 1);
        }
        let count = self.below(4);
        let value = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let (key, value) =
                    (MapKey::String(TEXTS[self.below(TEXTS.len())].to_owned()), entry.map_entry_value_field());
                Value::Map(HashMap::from([(key, self.value(&value, depth))]))
            }
            _ if field.is_list() => Value::List((0..count).map(|_| self.value(field, depth)).collect()),
            _ => self.value(field, depth),
        };
        message.set_field(field, value);
    }

    /// Breaks bytes as no encoder would write them.
    fn broken(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        let at = self.below(bytes.len() + 1);
        match self.below(6) {
            0 => bytes.truncate(at),
            1 => (0..=self.below(4)).for_each(|_| {
                let at = self.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }),
            2 => {
                let noise = self.next().to_le_bytes();
                bytes.splice(at..at, noise);
            }
            3 => {
                // A length that is not there.
                encode_key(u32::try_from(1 + self.below(30)).expect("it fits"), WireType::LengthDelimited, &mut bytes);
                encode_varint(u64::MAX >> self.below(40), &mut bytes);
            }
            4 => bytes = bytes.repeat(40),
            _ => {
                let tail = bytes.split_off(at);
                bytes.splice(0..0, tail);
            }
        }
        bytes
    }
}

/// A field with this number that holds `inner`.
fn within(field: u32, inner: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(inner.len() + 12);
    encode_key(field, WireType::LengthDelimited, &mut bytes);
    encode_varint(u64::try_from(inner.len()).expect("it fits"), &mut bytes);
    bytes.extend_from_slice(inner);
    bytes
}

/// Every repeated field that a message can hold, by the fields that lead to it.
fn repeated(
    message: &prost_reflect::MessageDescriptor,
    above: &[FieldDescriptor],
    found: &mut Vec<Vec<FieldDescriptor>>,
) {
    for field in message.fields() {
        let path = [above, std::slice::from_ref(&field)].concat();
        if field.is_list() || field.is_map() {
            found.push(path.clone());
        }
        let Kind::Message(inner) = field.kind() else { continue };
        let within_itself = above.iter().any(|above| above.kind() == field.kind());
        if !inner.is_map_entry() && !within_itself {
            repeated(&inner, &path, found);
        }
    }
}

/// A million empty items in the field that `path` leads to, or as many as the method's messages have room for.
fn bomb(path: &[FieldDescriptor], most: usize) -> Option<Vec<u8>> {
    let (field, above) = path.split_last()?;
    let room = most.checked_sub(12 * path.len())?;
    let of = |item: &[u8]| item.repeat((room / item.len()).min(1_000_000));
    let mut bytes = match field.kind() {
        Kind::String | Kind::Bytes | Kind::Message(_) => of(&within(field.number(), &[])),
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => within(field.number(), &of(&[0; 8])),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => within(field.number(), &of(&[0; 4])),
        _ => within(field.number(), &of(&[1])),
    };
    for field in above.iter().rev() {
        bytes = within(field.number(), &bytes);
    }
    Some(bytes)
}

/// Messages in messages, and groups, which nobody has used for fifteen years.
fn deep(method: &MethodDescriptor) -> Vec<Vec<u8>> {
    let fields = method.input().fields().collect::<Vec<_>>();
    let message = fields.iter().find(|field| matches!(field.kind(), Kind::Message(_))).or(fields.first());
    let mut nested = Vec::new();
    for _ in 0..2_000 {
        nested = within(message.map_or(1, FieldDescriptor::number), &nested);
    }
    vec![nested, vec![0x0b; 10_000]]
}

/// Kilobytes of this process, by their name in `/proc`; `None` where there is none.
fn memory(of: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(of)?.split_whitespace().next()?.parse().ok())
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is wrong with an answer, if it is one that nobody should get.
fn defect(method: &MethodDescriptor, bytes: &[u8], answer: &Result<Bytes, Status>) -> Option<String> {
    let status = answer.as_ref().err()?;
    let defect = matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss);
    let start = hex::encode(bytes.get(..bytes.len().min(200)).unwrap_or_default());
    let (name, code, text) = (method.name(), status.code(), status.message());
    defect.then(|| format!("{name}: {code:?} {text}: {} bytes, {start}", bytes.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_make_a_defect_or_take_the_memory() {
    let (seed, rounds) = (number("REMIT_TEST_FUZZ_SEED", SEED), number("REMIT_TEST_FUZZ_ROUNDS", 1));
    println!("seed {seed}, {rounds} rounds");
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        report(panic);
    }));
    let remit = Remit::start().await;
    let before = memory("VmRSS:");

    // Bombs first, so that the peak is theirs.
    let mut bombs = Vec::new();
    for method in methods() {
        let most = remit_api::validate::most_bytes(method.input().full_name()).expect("every request has a bound");
        let mut paths = Vec::new();
        repeated(&method.input(), &[], &mut paths);
        bombs.extend(paths.into_iter().map(|path| (method.clone(), path, most)));
    }
    assert!(bombs.len() >= 200, "only {} repeated fields", bombs.len());
    let mut broken = Vec::new();
    let mut bounded = 0;
    let count = bombs.len();
    let mut thrown = futures::stream::iter(bombs.into_iter().filter_map(|(method, path, most)| {
        let bytes = Bytes::from(bomb(&path, most)?);
        let (remit, place) = (&remit, path.iter().map(|field| field.name().to_owned()).collect::<Vec<_>>().join("."));
        Some(async move {
            let answer = remit.throw(&method, bytes.clone(), Duration::from_secs(20)).await;
            (defect(&method, &bytes, &answer), answer, format!("{}: {place}", method.name()))
        })
    }))
    .buffer_unordered(2);
    while let Some((defect, answer, place)) = thrown.next().await {
        broken.extend(defect);
        match answer {
            Ok(_) => broken.push(format!("{place}: a million empty items were taken")),
            Err(status) => {
                bounded += usize::from(matches!(status.code(), Code::InvalidArgument | Code::ResourceExhausted));
            }
        }
    }
    drop(thrown);
    nothing(broken);
    assert!(bounded * 10 >= count * 9, "only {bounded} of {count} bombs met a bound");
    if let (Some(before), Some(peak)) = (before, memory("VmHWM:")) {
        println!("{count} bombs: {before} KiB before, {peak} KiB at most");
        assert!(peak < before + MOST_GROWTH, "the process grew from {before} to {peak} KiB");
    }

    let mut random = Random(seed | 1);
    let mut jobs = Vec::new();
    for method in methods().into_iter().filter(|method| !APART.contains(&method.name())) {
        jobs.extend(deep(&method).into_iter().map(|bytes| (method.clone(), bytes)));
        for _ in 0..rounds {
            let good = valid(&method);
            jobs.push((method.clone(), good.encode_to_vec()));
            let mut altered = good.clone();
            for _ in 0..3 {
                random.alter(&mut altered, 0);
                jobs.push((method.clone(), altered.encode_to_vec()));
            }
            let bytes = [good.encode_to_vec(), altered.encode_to_vec()];
            jobs.extend((0..4).map(|at| (method.clone(), random.broken(&bytes[at % 2]))));
        }
    }
    let mut answered = BTreeSet::new();
    let mut refused = BTreeSet::new();
    let mut broken = Vec::new();
    let mut thrown = futures::stream::iter(jobs.into_iter().map(|(method, bytes)| {
        let (remit, bytes) = (&remit, Bytes::from(bytes));
        async move {
            let answer = remit.throw(&method, bytes.clone(), Duration::from_millis(100)).await;
            (defect(&method, &bytes, &answer), answer.is_ok(), method.name().to_owned())
        }
    }))
    .buffer_unordered(4);
    while let Some((defect, taken, method)) = thrown.next().await {
        broken.extend(defect);
        if taken {
            answered.insert(method)
        } else {
            refused.insert(method)
        };
    }
    drop(thrown);
    nothing(broken);
    assert!(answered.len() >= 30 && refused.len() >= 200, "{} answered, {} refused", answered.len(), refused.len());
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "something panicked");
    let info = named("GetInfo");
    remit.ask(&info, &valid(&info)).await.expect("the suite still answers");
    remit.stop().await;
}

#[test]
fn a_bomb_is_as_large_as_its_method_takes() {
    let method = named("RecordEvents");
    let mut paths = Vec::new();
    repeated(&method.input(), &[], &mut paths);
    let names: Vec<Vec<_>> =
        paths.iter().map(|path| path.iter().map(|field| field.name().to_owned()).collect()).collect();
    assert_eq!(names, [vec!["events"], vec!["events", "dimensions"]]);
    let bytes = bomb(&paths[0], 1_000).expect("there is room");
    assert!((900..=1_000).contains(&bytes.len()), "{}", bytes.len());
    let events = DynamicMessage::decode(method.input(), bytes.as_slice()).expect("it is a request");
    assert_eq!(events.get_field_by_name("events").and_then(|events| events.as_list().map(<[Value]>::len)), Some(494));
}

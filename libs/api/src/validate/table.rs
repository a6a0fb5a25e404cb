//! What the contract says of every message that a request can hold, in the form in which the build script writes it
//! down: one [`Plan`] a message type, made from the descriptors when the contract is built.

use super::view::Seen;
use regex::Regex;
use std::sync::LazyLock;

/// A field that is one value stands at most so often in a message: parsers of protobuf merge what is sent twice, no
/// encoder sends it, and a message that is sent a million times over would be merged a million times.
pub(crate) const MOST_MERGED: u32 = 16;
/// A list or map without a bound of its own has at most so many items: those are fields that the server fills, and
/// that come back in an update.
pub(crate) const MOST_ITEMS: u32 = 2_000;
/// No message has more fields, so that they can be counted without allocating. The build script holds it.
pub(crate) const MOST_FIELDS: usize = 64;

/// One type of message.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Its full name.
    pub name: &'static str,
    pub sort: Sort,
    /// In the order of their numbers.
    pub fields: &'static [Field],
    pub oneofs: &'static [Oneof],
}

impl Plan {
    /// The field with this number, and its place.
    pub fn numbered(&self, number: u32) -> Option<(usize, &'static Field)> {
        // Most messages number their fields without gaps.
        let near = usize::try_from(number).ok()?.checked_sub(1)?;
        let at = match self.fields.get(near) {
            Some(field) if field.number == number => near,
            _ => self.fields.binary_search_by_key(&number, |field| field.number).ok()?,
        };
        Some((at, self.fields.get(at)?))
    }

    /// The field with this name.
    pub fn named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// One of ours, with rules inside.
    Ours,
    /// A `google.protobuf.Timestamp`, which must lie in the calendar.
    Time,
    /// Another of the well-known types, which have no rules inside.
    Known,
}

/// A oneof, without those that stand for `optional`.
#[derive(Debug)]
pub(crate) struct Oneof {
    pub name: &'static str,
    pub required: bool,
    /// Numbers and names, as they stand in the proto file.
    pub fields: &'static [(u32, &'static str)],
}

/// How a value is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    /// With its length before it: text, bytes and messages.
    Sized,
    Fixed32,
}

impl Wire {
    /// The number of the wire type.
    pub fn number(self) -> u8 {
        match self {
            Self::Varint => 0,
            Self::Fixed64 => 1,
            Self::Sized => 2,
            Self::Fixed32 => 5,
        }
    }
}

/// How many values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Many {
    One,
    List,
    Map,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub number: u32,
    pub name: &'static str,
    pub many: Many,
    /// Of the value, the items, or the values of the map.
    pub wire: Wire,
    /// The most values on the wire.
    pub most: u32,
    /// The most bytes of a text or byte string.
    pub longest: usize,
    /// Whether not being set differs from being zero.
    pub presence: bool,
    /// Whether there is anything to check, here or inside.
    pub checked: bool,
    pub required: bool,
    pub ignore_zero: bool,
    pub unique: bool,
    pub rules: &'static [Rule],
    pub items: &'static [Rule],
    pub keys: &'static [Rule],
    pub values: &'static [Rule],
    /// The numbers and names of an enum.
    pub words: Words,
    /// The message that a value is.
    pub inner: Option<&'static Plan>,
}

/// What a field is unless the table says otherwise.
pub(crate) const FIELD: Field = Field {
    number: 0,
    name: "",
    many: Many::One,
    wire: Wire::Sized,
    most: MOST_MERGED,
    longest: usize::MAX,
    presence: false,
    checked: false,
    required: false,
    ignore_zero: false,
    unique: false,
    rules: &[],
    items: &[],
    keys: &[],
    values: &[],
    words: &[],
    inner: None,
};

/// The numbers and names of an enum; empty for what is none.
pub(crate) type Words = &'static [(i32, &'static str)];

/// A pattern, compiled at its first use; `None` if it is none, which a test finds.
pub(crate) type Pattern = LazyLock<Option<Regex>>;

/// One rule of one value: those of protovalidate that the build script knows.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "which of the rules are in use, the proto files say")]
pub(crate) enum Rule {
    /// Characters of a string.
    MinLen(usize),
    MaxLen(usize),
    Len(usize),
    /// Bytes of a string or byte string.
    MinBytes(usize),
    MaxBytes(usize),
    Pattern(&'static str, &'static Pattern),
    Prefix(&'static str),
    Suffix(&'static str),
    Contains(&'static str),
    Uuid,
    /// Numbers, durations and timestamps, compared on one scale.
    Gt(Scalar<'static>),
    Gte(Scalar<'static>),
    Lt(Scalar<'static>),
    Lte(Scalar<'static>),
    Finite,
    Const(Scalar<'static>),
    In(&'static [Scalar<'static>]),
    NotIn(&'static [Scalar<'static>]),
    DefinedOnly,
    /// Items of a list or pairs of a map.
    MinItems(usize),
    MaxItems(usize),
}

/// A value that can be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(dead_code, reason = "which of the rules are in use, the proto files say")]
pub(crate) enum Scalar<'a> {
    Int(i128),
    Float(f64),
    Text(&'a str),
    Bool(bool),
}

impl<'a> Scalar<'a> {
    /// The comparable form of a value; durations and timestamps in nanoseconds.
    pub fn of(seen: Seen<'a>) -> Option<Self> {
        Some(match seen {
            Seen::Bool(value) => Self::Bool(value),
            Seen::Int(value) => Self::Int(value),
            Seen::Float(value) => Self::Float(value),
            Seen::Text(value) => Self::Text(value),
            Seen::Message(time) => match (time.at(1), time.at(2)) {
                (Seen::Int(seconds), Seen::Int(nanos)) => Self::Int(seconds * 1_000_000_000 + nanos),
                _ => return None,
            },
            Seen::Absent | Seen::Bytes(_) | Seen::List(_) | Seen::Map(_) => return None,
        })
    }

    /// Ordered as the rules need it: nothing is less, equal or greater than NaN.
    pub fn compare(&self, other: &Scalar<'_>) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Int(a), Scalar::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Scalar::Float(b)) => a.partial_cmp(b),
            (Self::Text(a), Scalar::Text(b)) => Some((*a).cmp(*b)),
            (Self::Bool(a), Scalar::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    pub fn shown(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => format!("{value:?}"),
            Self::Bool(value) => value.to_string(),
        }
    }
}

/// What an update may change.
#[derive(Debug)]
pub(crate) struct Mask {
    /// The number of the mask's field; the first field of the request is the resource.
    pub number: u32,
    pub allowed: &'static [&'static str],
}

/// How a request is read.
#[derive(Debug)]
pub(crate) struct Request {
    pub plan: &'static Plan,
    /// The most bytes that it may have.
    pub most: usize,
    pub mask: Option<Mask>,
}

//! Decoded messages as the rules see them: one way to look at values of every type, without copying any.

use prost_types::value::Kind;
use prost_types::{Duration, FieldMask, ListValue, Struct, Timestamp, Value};
use std::collections::BTreeMap;

/// A value that the rules can look at. The build script implements it for every message that a request can hold.
pub(crate) trait View {
    /// The value itself.
    fn seen(&self) -> Seen<'_>;
    /// The field of a message by its number; absent in what is no message.
    fn at(&self, _number: u32) -> Seen<'_> {
        Seen::Absent
    }
}

/// What a value is.
#[derive(Clone, Copy)]
pub(crate) enum Seen<'a> {
    /// A field with presence that is not set.
    Absent,
    Bool(bool),
    /// Whole numbers and the numbers of enums.
    Int(i128),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Message(&'a dyn View),
    List(&'a dyn List),
    Map(&'a dyn Map),
}

impl Seen<'_> {
    /// Whether it is what a field without presence is when it is not set.
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Bool(value) => !value,
            Self::Int(value) => *value == 0,
            Self::Float(value) => *value == 0.0,
            Self::Text(value) => value.is_empty(),
            Self::Bytes(value) => value.is_empty(),
            Self::Message(_) => false,
            Self::List(list) => list.count() == 0,
            Self::Map(map) => map.count() == 0,
        }
    }
}

/// The items of a repeated field.
pub(crate) trait List {
    fn count(&self) -> usize;
    /// Absent after the last.
    fn item(&self, at: usize) -> Seen<'_>;
}

/// The pairs of a map.
pub(crate) trait Map {
    fn count(&self) -> usize;
    /// Shows each pair, in the order of the keys.
    fn each(&self, visit: &mut dyn FnMut(Seen<'_>, Seen<'_>));
}

impl<T: View> List for Vec<T> {
    fn count(&self) -> usize {
        self.len()
    }

    fn item(&self, at: usize) -> Seen<'_> {
        self.get(at).map_or(Seen::Absent, View::seen)
    }
}

impl<K: View, V: View> Map for BTreeMap<K, V> {
    fn count(&self) -> usize {
        self.len()
    }

    fn each(&self, visit: &mut dyn FnMut(Seen<'_>, Seen<'_>)) {
        self.iter().for_each(|(key, value)| visit(key.seen(), value.seen()));
    }
}

impl<T: View> View for Vec<T> {
    fn seen(&self) -> Seen<'_> {
        Seen::List(self)
    }
}

impl View for Vec<u8> {
    fn seen(&self) -> Seen<'_> {
        Seen::Bytes(self)
    }
}

impl<K: View, V: View> View for BTreeMap<K, V> {
    fn seen(&self) -> Seen<'_> {
        Seen::Map(self)
    }
}

impl<T: View> View for Option<T> {
    fn seen(&self) -> Seen<'_> {
        self.as_ref().map_or(Seen::Absent, View::seen)
    }
}

impl View for String {
    fn seen(&self) -> Seen<'_> {
        Seen::Text(self)
    }
}

impl View for bool {
    fn seen(&self) -> Seen<'_> {
        Seen::Bool(*self)
    }
}

impl View for f64 {
    fn seen(&self) -> Seen<'_> {
        Seen::Float(*self)
    }
}

impl View for f32 {
    fn seen(&self) -> Seen<'_> {
        Seen::Float(f64::from(*self))
    }
}

macro_rules! whole {
    ($($number:ty)*) => { $(
        impl View for $number {
            fn seen(&self) -> Seen<'_> {
                Seen::Int(i128::from(*self))
            }
        }
    )* };
}

whole!(i32 i64 u32 u64);

macro_rules! known {
    ($message:ty, $this:ident, $number:ident => $at:expr) => {
        impl View for $message {
            fn seen(&self) -> Seen<'_> {
                Seen::Message(self)
            }

            fn at(&self, $number: u32) -> Seen<'_> {
                let $this = self;
                $at
            }
        }
    };
}

known!(Timestamp, this, number => match number {
    1 => this.seconds.seen(),
    2 => this.nanos.seen(),
    _ => Seen::Absent,
});
known!(Duration, this, number => match number {
    1 => this.seconds.seen(),
    2 => this.nanos.seen(),
    _ => Seen::Absent,
});
known!(FieldMask, this, number => if number == 1 { this.paths.seen() } else { Seen::Absent });
known!(Struct, this, number => if number == 1 { this.fields.seen() } else { Seen::Absent });
known!(ListValue, this, number => if number == 1 { this.values.seen() } else { Seen::Absent });
known!(Value, this, number => match (number, &this.kind) {
    (1, Some(Kind::NullValue(value))) => value.seen(),
    (2, Some(Kind::NumberValue(value))) => value.seen(),
    (3, Some(Kind::StringValue(value))) => value.seen(),
    (4, Some(Kind::BoolValue(value))) => value.seen(),
    (5, Some(Kind::StructValue(value))) => value.seen(),
    (6, Some(Kind::ListValue(value))) => value.seen(),
    _ => Seen::Absent,
});

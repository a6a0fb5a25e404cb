//! Messages that are known by their descriptor alone, as the tests of the contract make them.

use super::view::{List, Map, Seen, View};
use super::walk::Walk;
use super::{Violation, plan_of};
use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage as _, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// The violations in `message`, in the order of the fields: the first fifty of them.
///
/// # Errors
/// If no request can hold such a message, so that nothing is known of its rules.
pub fn violations(message: &DynamicMessage) -> Result<Vec<Violation>, String> {
    let descriptor = message.descriptor();
    let name = descriptor.full_name();
    let plan = plan_of(name).ok_or_else(|| format!("{name} is part of no request"))?;
    let mut walk = Walk::default();
    walk.request(message, plan, None);
    Ok(walk.found)
}

impl View for DynamicMessage {
    fn seen(&self) -> Seen<'_> {
        Seen::Message(self)
    }

    fn at(&self, number: u32) -> Seen<'_> {
        let Some(field) = self.descriptor().get_field(number) else { return Seen::Absent };
        if self.has_field(&field) {
            // What is set is lent, not made.
            return if let Cow::Borrowed(value) = self.get_field(&field) { value.seen() } else { Seen::Absent };
        }
        match field.kind() {
            _ if field.supports_presence() => Seen::Absent,
            _ if field.is_list() => Seen::List(&NO_ITEMS),
            _ if field.is_map() => Seen::Map(&NO_ITEMS),
            Kind::Bool => Seen::Bool(false),
            Kind::String => Seen::Text(""),
            Kind::Bytes => Seen::Bytes(&[]),
            Kind::Float | Kind::Double => Seen::Float(0.0),
            _ => Seen::Int(0),
        }
    }
}

/// A list or map without anything in it.
struct Nothing;

static NO_ITEMS: Nothing = Nothing;

impl List for Nothing {
    fn count(&self) -> usize {
        0
    }

    fn item(&self, _: usize) -> Seen<'_> {
        Seen::Absent
    }
}

impl Map for Nothing {
    fn count(&self) -> usize {
        0
    }

    fn each(&self, _: &mut dyn FnMut(Seen<'_>, Seen<'_>)) {}
}

impl View for Value {
    fn seen(&self) -> Seen<'_> {
        match self {
            Self::Bool(value) => Seen::Bool(*value),
            Self::I32(value) | Self::EnumNumber(value) => value.seen(),
            Self::I64(value) => value.seen(),
            Self::U32(value) => value.seen(),
            Self::U64(value) => value.seen(),
            Self::F32(value) => value.seen(),
            Self::F64(value) => value.seen(),
            Self::String(value) => value.seen(),
            Self::Bytes(value) => Seen::Bytes(value),
            Self::Message(value) => value.seen(),
            Self::List(values) => values.seen(),
            Self::Map(pairs) => Seen::Map(pairs),
        }
    }
}

impl View for MapKey {
    fn seen(&self) -> Seen<'_> {
        match self {
            Self::Bool(key) => key.seen(),
            Self::I32(key) => key.seen(),
            Self::I64(key) => key.seen(),
            Self::U32(key) => key.seen(),
            Self::U64(key) => key.seen(),
            Self::String(key) => key.seen(),
        }
    }
}

impl Map for HashMap<MapKey, Value> {
    fn count(&self) -> usize {
        self.len()
    }

    fn each(&self, visit: &mut dyn FnMut(Seen<'_>, Seen<'_>)) {
        let mut keys: Vec<_> = self.keys().collect();
        keys.sort_by_key(|key| format!("{key:?}"));
        keys.into_iter().filter_map(|key| Some((key, self.get(key)?))).for_each(|(key, value)| {
            visit(key.seen(), value.seen());
        });
    }
}

//! Update masks (AIP-134, AIP-161).

use super::Updatable;
use crate::validate::plan_of;
use crate::validate::table::{Many, Oneof, Plan, Request};
use crate::validate::view::{Seen, View};
use prost::{Message, Name};
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use prost_types::FieldMask;
use remit_core::{Error, Result};

/// The reason for a mask that names what an update cannot change.
pub const REASON: &str = "UPDATE_MASK_INVALID";
/// The field of that refusal.
pub const FIELD: &str = "update_mask";

/// The resource as an update wants it; `None` where that is as it is: the update is then answered with the resource
/// as it is, and nothing is written or recorded.
///
/// # Errors
/// As [`apply`].
pub fn update<M: Updatable>(current: &M, given: &M, mask: Option<&FieldMask>) -> Result<Option<M>> {
    let wanted = apply(current, given, mask, M::UPDATABLE)?;
    Ok((wanted != *current).then_some(wanted))
}

/// The fields of `current` that `mask` names, as `given` has them: the resource as the caller wants it.
///
/// Without paths, and with `*`, the mask means all of `allowed`. A path may lead into a message among them,
/// `brief.audience`, or name a oneof, which stands for its fields. What the mask does not name stays as it is, whatever `given` says.
///
/// # Errors
/// `InvalidArgument` (`UPDATE_MASK_INVALID`), naming `update_mask`, for a path that is not in `allowed`.
pub fn apply<M: Message + Name + Default>(
    current: &M,
    given: &M,
    mask: Option<&FieldMask>,
    allowed: &[&str],
) -> Result<M> {
    let named: Vec<&str> = mask.into_iter().flat_map(|mask| mask.paths.iter().map(String::as_str)).collect();
    let wrong = |rule: String| Error::invalid(REASON, FIELD, rule);
    let resource = plan_of(&M::full_name()).ok_or_else(broken::<M>)?;
    check(resource, &named, allowed).map_err(wrong)?;
    let (mut target, source) = (dynamic(current)?, dynamic(given)?);
    for path in if is_all(&named) { allowed } else { named.as_slice() } {
        copy(&mut target, &source, path).ok_or_else(|| wrong(format!("{path} is not a field")))?;
    }
    target.transcode_to().map_err(|_| broken::<M>())
}

/// What the mask of an update request asks for.
pub(crate) struct Asked<'a> {
    /// The type of the resource.
    resource: &'static Plan,
    named: Vec<&'a str>,
    allowed: &'static [&'static str],
}

impl<'a> Asked<'a> {
    /// Of a request that has a mask.
    pub(crate) fn of(message: &'a dyn View, request: &Request) -> Option<Self> {
        let mask = request.mask.as_ref()?;
        let resource = request.plan.fields.first()?.inner?;
        let mut named = Vec::new();
        if let Seen::Message(given) = message.at(mask.number)
            && let Seen::List(paths) = given.at(1)
        {
            named.extend((0..paths.count()).filter_map(|at| match paths.item(at) {
                Seen::Text(path) => Some(path),
                _ => None,
            }));
        }
        Some(Self { resource, named, allowed: mask.allowed })
    }

    /// What is wrong with the mask, if anything is. It comes before the rules of the fields, which are about what
    /// the mask names.
    pub(crate) fn refused(&self) -> Option<String> {
        check(self.resource, &self.named, self.allowed).err()
    }

    /// Whether a field or oneof of the resource is a part that the update leaves as it is: that need not be right.
    pub(crate) fn leaves(&self, name: &str) -> bool {
        let counts = if is_all(&self.named) { self.allowed } else { self.named.as_slice() };
        // A path may name a oneof, which stands for its fields.
        let within = |oneof: &&Oneof| oneof.fields.iter().any(|(_, field)| *field == name);
        let oneof = self.resource.oneofs.iter().find(within).map(|oneof| oneof.name);
        let means = |path: &str| path == name || oneof == Some(path);
        !["name", "etag"].contains(&name) && !counts.iter().any(|path| path.split('.').next().is_some_and(means))
    }
}

/// Whether these paths mean all that may change.
fn is_all(paths: &[&str]) -> bool {
    paths.is_empty() || paths.contains(&"*")
}

/// Checks that each path names something of `allowed`, or something inside it; what stands beside `*` changes nothing,
/// and must be right all the same.
fn check(resource: &Plan, paths: &[&str], allowed: &[&str]) -> Result<(), String> {
    for path in paths.iter().filter(|path| **path != "*") {
        let first = path.split('.').next().unwrap_or_default();
        if !allowed.contains(&first) || !leads(resource, path) {
            return Err(format!("{path} cannot be updated; use {}", allowed.join(", ")));
        }
    }
    Ok(())
}

/// Whether a path leads through messages to a field, or to a oneof.
fn leads(message: &Plan, path: &str) -> bool {
    let Some((first, rest)) = path.split_once('.') else {
        return message.named(path).is_some() || message.oneofs.iter().any(|oneof| oneof.name == path);
    };
    let field = message.named(first).filter(|field| field.many == Many::One);
    field.and_then(|field| field.inner).is_some_and(|inner| leads(inner, rest))
}

/// The mask of those of `allowed` that `given` sets. Where it sets none, the mask is empty, which [`apply`]
/// takes for all of them.
///
/// # Errors
/// `Internal` if the message does not fit its descriptor.
pub fn set<M: Message + Name>(given: &M, allowed: &[&str]) -> Result<FieldMask> {
    let given = dynamic(given)?;
    let fields = given.descriptor();
    let set = |path: &&&str| fields.get_field_by_name(path).is_some_and(|field| given.has_field(&field));
    Ok(FieldMask { paths: allowed.iter().filter(set).map(|path| (*path).to_owned()).collect() })
}

fn broken<M: Name>() -> Error {
    Error::internal(format!("{} cannot be read through its descriptor", M::NAME))
}

fn dynamic<M: Message + Name>(message: &M) -> Result<DynamicMessage> {
    let descriptor = crate::pool().get_message_by_name(&M::full_name()).ok_or_else(broken::<M>)?;
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(|_| broken::<M>())
}

/// Copies one path; `None` if it does not lead through messages to a field.
fn copy(target: &mut DynamicMessage, source: &DynamicMessage, path: &str) -> Option<()> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let descriptor = target.descriptor();
    if let Some(oneof) = descriptor.oneofs().find(|oneof| rest.is_none() && oneof.name() == first) {
        return oneof.fields().try_for_each(|field| copy(target, source, field.name()));
    }
    let field = descriptor.get_field_by_name(first)?;
    let Some(rest) = rest else {
        if source.has_field(&field) {
            target.set_field(&field, source.get_field(&field).into_owned());
        } else {
            target.clear_field(&field);
        }
        return Some(());
    };
    let Value::Message(inner) = source.get_field(&field).into_owned() else { return None };
    if !source.has_field(&field) && !target.has_field(&field) {
        // Nothing inside nothing: not even an empty message.
        return Some(());
    }
    copy(target.get_field_mut(&field).as_message_mut()?, &inner, rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::handoff::v1::{Brief, Handoff};

    fn mask(paths: &[&str]) -> Option<FieldMask> {
        Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
    }

    fn handoff(name: &str, channel: &str, audience: &str, message: &str) -> Handoff {
        let brief = Brief { audience: audience.to_owned(), message: message.to_owned(), ..Default::default() };
        let brief = Some(brief).filter(|brief| !brief.audience.is_empty());
        Handoff { name: name.to_owned(), channel: channel.to_owned(), brief, ..Default::default() }
    }

    #[test]
    fn only_what_the_mask_names_changes() {
        let (current, given) = (handoff("handoffs/a", "email", "x", "y"), handoff("handoffs/b", "web", "z", "w"));
        let apply = |paths: Option<FieldMask>| apply(&current, &given, paths.as_ref(), &["channel", "brief"]);
        let all = handoff("handoffs/a", "web", "z", "w");
        assert_eq!(apply(None).unwrap(), all);
        assert_eq!(apply(mask(&[])).unwrap(), all);
        assert_eq!(apply(mask(&["*"])).unwrap(), all);
        assert_eq!(apply(mask(&["channel"])).unwrap(), handoff("handoffs/a", "web", "x", "y"));
        assert_eq!(apply(mask(&["brief.audience"])).unwrap(), handoff("handoffs/a", "email", "z", "y"));
        for path in ["name", "state", "no_such_field", "brief.no_such_field", "channel.x"] {
            let error = apply(mask(&[path])).unwrap_err();
            let found = (error.reason(), error.violations()[0].field.as_str());
            assert_eq!(found, ("UPDATE_MASK_INVALID", "update_mask"), "{path}");
            assert!(apply(mask(&["*", path])).is_err(), "{path}");
        }
    }

    #[test]
    fn a_oneof_stands_for_its_fields() {
        use crate::kpi::v1::alert_rule::Condition;
        use crate::kpi::v1::{AlertRule, CrossLayerCondition, GuardCondition};
        let rule = |condition| AlertRule { condition: Some(condition), ..AlertRule::default() };
        let current = rule(Condition::Guard(GuardCondition { kpi: "kpis/k".to_owned(), ..Default::default() }));
        let given = rule(Condition::CrossLayer(CrossLayerCondition::default()));
        for paths in [&["condition"][..], &["cross_layer"], &[]] {
            assert_eq!(apply(&current, &given, mask(paths).as_ref(), &["condition", "cross_layer"]).unwrap(), given);
        }
        assert!(apply(&current, &given, mask(&["condition.guard"]).as_ref(), &["condition"]).is_err());
    }

    #[test]
    fn what_a_message_sets_is_a_mask() {
        let given = handoff("handoffs/b", "", "z", "");
        assert_eq!(set(&given, &["channel", "brief"]).unwrap().paths, ["brief"]);
        assert!(set(&Handoff::default(), &["channel", "brief"]).unwrap().paths.is_empty());
    }

    #[test]
    fn what_is_named_and_not_given_is_cleared() {
        let (current, given) = (handoff("handoffs/a", "email", "x", "y"), handoff("", "", "", ""));
        let cleared = apply(&current, &given, mask(&["brief"]).as_ref(), &["channel", "brief"]).unwrap();
        assert_eq!(cleared, handoff("handoffs/a", "email", "", ""));
    }

    #[test]
    fn an_update_that_changes_nothing_is_none() {
        let current = handoff("handoffs/a", "email", "x", "y");
        let given = handoff("", "email", "x", "z");
        assert_eq!(update(&current, &given, mask(&["channel"]).as_ref()).unwrap(), None);
        assert_eq!(update(&current, &given, mask(&["brief.audience"]).as_ref()).unwrap(), None);
        let bare = handoff("handoffs/a", "email", "", "");
        assert_eq!(update(&bare, &bare, mask(&["brief.audience"]).as_ref()).unwrap(), None);
        let changed = update(&current, &given, mask(&["brief"]).as_ref()).unwrap();
        assert_eq!(changed, Some(handoff("handoffs/a", "email", "x", "z")));
    }

    #[test]
    fn every_update_says_what_may_change() {
        let requests = crate::pool().all_messages().filter(|message| message.get_field_by_name(FIELD).is_some());
        let mut found = 0;
        for request in requests {
            let name = request.full_name();
            let known = crate::tree::REQUESTS.iter().find(|(known, _)| *known == name);
            let mask = known.and_then(|(_, request)| request.mask.as_ref());
            let fields = mask.map(|mask| mask.allowed).unwrap_or_default();
            assert!(!fields.is_empty(), "{name} says nothing of its mask");
            let resource = request.fields().next().unwrap().kind();
            let resource = plan_of(resource.as_message().unwrap().full_name()).unwrap();
            for field in fields {
                assert!(leads(resource, field) && !field.contains('.'), "{name}: {field}");
                assert!(!["name", "etag"].contains(field), "{name}: {field}");
            }
            found += 1;
        }
        assert!(found >= 15, "only {found} updates");
    }
}

//! Update masks (AIP-134, AIP-161).

use prost::{Message, Name};
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use prost_types::FieldMask;
use remit_core::{Error, Result};

/// The fields of `current` that `mask` names, as `given` has them: the resource as the caller wants it.
///
/// Without paths, and with `*`, the mask means all of `allowed`. A path may lead into a message among them,
/// `brief.audience`, or name a oneof, which stands for its fields. What the mask does not name stays as it is, whatever `given` says.
///
/// # Errors
/// `InvalidArgument`, naming `update_mask`: `FIELD_IMMUTABLE` for a path in `immutable`, `UPDATE_MASK_INVALID` for
/// any other that is not in `allowed`.
pub fn apply<M: Message + Name + Default>(
    current: &M,
    given: &M,
    mask: Option<&FieldMask>,
    allowed: &[&str],
    immutable: &[&str],
) -> Result<M> {
    let paths = paths(mask, allowed, immutable)?;
    let (mut target, source) = (dynamic(current)?, dynamic(given)?);
    for path in paths {
        copy(&mut target, &source, path).ok_or_else(|| {
            let rule = format!("{path} is not a field; use {}", allowed.join(", "));
            Error::invalid("UPDATE_MASK_INVALID", "update_mask", rule)
        })?;
    }
    target.transcode_to().map_err(|_| broken::<M>())
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

/// The paths that a mask names.
fn paths<'a>(mask: Option<&'a FieldMask>, allowed: &[&'a str], immutable: &[&str]) -> Result<Vec<&'a str>> {
    let mut named: Vec<&str> = mask.into_iter().flat_map(|mask| mask.paths.iter().map(String::as_str)).collect();
    let all = named.is_empty() || named.contains(&"*");
    named.retain(|path| *path != "*");
    for path in &named {
        let first = path.split('.').next().unwrap_or_default();
        if immutable.contains(&first) {
            return Err(Error::invalid("FIELD_IMMUTABLE", "update_mask", format!("{path} cannot change")));
        }
        if !allowed.contains(&first) {
            let rule = format!("{path} cannot be updated; use {}", allowed.join(", "));
            return Err(Error::invalid("UPDATE_MASK_INVALID", "update_mask", rule));
        }
    }
    // What stands beside `*` changes nothing, and must be right all the same.
    Ok(if all { [allowed, &named].concat() } else { named })
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
        let apply =
            |paths: Option<FieldMask>| apply(&current, &given, paths.as_ref(), &["channel", "brief"], &["name"]);
        let all = handoff("handoffs/a", "web", "z", "w");
        assert_eq!(apply(None).unwrap(), all);
        assert_eq!(apply(mask(&[])).unwrap(), all);
        assert_eq!(apply(mask(&["*"])).unwrap(), all);
        assert_eq!(apply(mask(&["channel"])).unwrap(), handoff("handoffs/a", "web", "x", "y"));
        assert_eq!(apply(mask(&["brief.audience"])).unwrap(), handoff("handoffs/a", "email", "z", "y"));
        for (path, reason) in [
            ("name", "FIELD_IMMUTABLE"),
            ("state", "UPDATE_MASK_INVALID"),
            ("no_such_field", "UPDATE_MASK_INVALID"),
            ("brief.no_such_field", "UPDATE_MASK_INVALID"),
            ("channel.x", "UPDATE_MASK_INVALID"),
        ] {
            let error = apply(mask(&[path])).unwrap_err();
            assert_eq!((error.reason(), error.violations()[0].field.as_str()), (reason, "update_mask"), "{path}");
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
            assert_eq!(
                apply(&current, &given, mask(paths).as_ref(), &["condition", "cross_layer"], &[]).unwrap(),
                given
            );
        }
        assert!(apply(&current, &given, mask(&["condition.guard"]).as_ref(), &["condition"], &[]).is_err());
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
        let cleared = apply(&current, &given, mask(&["brief"]).as_ref(), &["channel", "brief"], &[]).unwrap();
        assert_eq!(cleared, handoff("handoffs/a", "email", "", ""));
    }
}

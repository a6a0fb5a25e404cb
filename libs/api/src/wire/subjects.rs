//! The subjects in a request: every field that the contract marks with `(remit.fields.v1.subject)`.

use remit_core::FieldViolation;
use remit_core::subject::canonical;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// A message with what it says of people and programs. Implemented for every message of the contract, by its options.
pub trait Subjects {
    /// Brings every subject in it into canonical form, and adds to `found` those that have none. An empty one stays
    /// empty: whether it may be is for the other rules of its field.
    fn settle(&mut self, at: At<'_>, found: &mut Vec<FieldViolation>) {
        let _ = (at, found);
    }
}

/// `google.protobuf.Empty`.
impl Subjects for () {}

/// Where a message or a field stands in a request. It becomes text only if there is something to say of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct At<'a> {
    outer: Option<&'a At<'a>>,
    field: &'static str,
    item: Option<usize>,
}

impl At<'_> {
    /// A field in here.
    pub fn field(&self, field: &'static str) -> At<'_> {
        At { outer: Some(self), field, item: None }
    }

    /// An item of this list.
    #[must_use]
    pub fn item(self, item: usize) -> Self {
        Self { item: Some(item), ..self }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer.filter(|outer| !outer.field.is_empty()) {
            write!(f, "{outer}.")?;
        }
        f.write_str(self.field)?;
        self.item.map_or(Ok(()), |item| write!(f, "[{item}]"))
    }
}

/// Brings one subject into canonical form.
pub(crate) fn subject(text: &mut String, at: At<'_>, found: &mut Vec<FieldViolation>) {
    if text.is_empty() {
        return;
    }
    match canonical(text) {
        Ok(Cow::Borrowed(_)) => {}
        Ok(Cow::Owned(form)) => *text = form,
        Err(rule) => found.push(FieldViolation { field: at.to_string(), description: rule.to_owned() }),
    }
}

/// Brings a list of subjects into canonical form, in which nobody may stand twice.
pub(crate) fn subjects(list: &mut [String], at: At<'_>, found: &mut Vec<FieldViolation>) {
    for (item, text) in list.iter_mut().enumerate() {
        subject(text, at.item(item), found);
    }
    let mut seen = BTreeSet::new();
    if let Some(item) = list.iter().position(|text| !seen.insert(text.as_str())) {
        let description = "must not be somebody of an earlier item".to_owned();
        found.push(FieldViolation { field: at.item(item).to_string(), description });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::council::v1::{Action, BootstrapRequest, FoundingBody, GrantWaiver, NewSeat, Proposal, action};
    use crate::handoff::v1::gate_version::Rules;
    use crate::handoff::v1::{GateVersion, Principal, RoutingRules, principal};
    use crate::types::Actor;

    fn settle<M: Subjects>(message: &mut M) -> Vec<String> {
        let mut found = Vec::new();
        message.settle(At::default(), &mut found);
        found.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn subjects_are_found_in_lists_messages_and_choices() {
        let seat = |subject: &str| NewSeat { subject: subject.into(), member_id: "Ann".into(), ..Default::default() };
        let body = FoundingBody { seats: vec![seat("Ann"), seat("mal\u{200b}"), seat("")], ..Default::default() };
        let mut bootstrap = BootstrapRequest { bodies: vec![FoundingBody::default(), body], ..Default::default() };
        assert_eq!(settle(&mut bootstrap), ["bodies[1].seats[1].subject"]);
        let seat = &bootstrap.bodies[1].seats[0];
        assert_eq!((seat.subject.as_str(), seat.member_id.as_str()), ("ann", "Ann"));

        let waiver = GrantWaiver { beneficiary: " MALLORY".into(), ..Default::default() };
        let action = Action { kind: Some(action::Kind::GrantWaiver(waiver)) };
        let mut proposal = Proposal { action: Some(action), ..Default::default() };
        assert!(settle(&mut proposal).is_empty());
        let Some(action::Kind::GrantWaiver(waiver)) = proposal.action.unwrap().kind else { unreachable!() };
        assert_eq!(waiver.beneficiary, "mallory");

        let owner = Some(Principal { who: Some(principal::Who::Subject("Carl".into())) });
        let routing = RoutingRules { sales_owners: vec!["Sam".into(), "sam".into()], ..Default::default() };
        let mut gate = GateVersion { owner, rules: Some(Rules::Routing(routing)), ..Default::default() };
        assert_eq!(settle(&mut gate), ["routing.sales_owners[1]"]);
        assert_eq!(gate.owner.unwrap().who, Some(principal::Who::Subject("carl".into())));

        let mut actor = Actor { subject: "A".into(), on_behalf_of: "B".into(), ..Default::default() };
        assert!(settle(&mut actor).is_empty());
        assert_eq!((actor.subject.as_str(), actor.on_behalf_of.as_str()), ("a", "b"));
    }
}

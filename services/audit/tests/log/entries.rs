//! Entries at random, and filters at random with what they say in Rust.

use remit_api::audit::v1 as api;
use remit_api::types;
use remit_api::wire::time::stamp;
use remit_core::Timestamp;

/// A source of small numbers that are the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        // The constants of Knuth's MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn of<'t>(&mut self, words: &[&'t str]) -> &'t str {
        words[self.roll(words.len() as u64) as usize]
    }
}

const ACTORS: [&str; 4] = ["ann", "bob", "eve", "platform"];
const ACTIONS: [&str; 4] =
    ["council.holds.engage", "council.holds.release", "handoff.leads.route", "registry.versions.transition"];
/// One has what means something to SQL, to patterns, to names or to nobody.
const REASONS: [&str; 5] = ["", "drift", "drift again", "asked for", "50%_of ä∂'s/.x;--"];
const VERSIONS: [&str; 3] = ["", "models/m1/versions/1", "models/m2/versions/7"];
const STATES: [&str; 3] = ["", "ACTIVE", "SUSPENDED"];
const OUTCOMES: [&str; 3] = ["SUCCESS", "DENIED", "FAILURE"];

/// What filters can ask of an entry.
#[derive(Debug, Clone)]
pub struct Facts {
    pub n: u64,
    pub actor: &'static str,
    behalf: &'static str,
    action: &'static str,
    resource: String,
    outcome: &'static str,
    reason: &'static str,
    model: &'static str,
    policy: &'static str,
    state: &'static str,
    proposal: String,
    subject: String,
    recorded: i64,
    occurred: i64,
}

impl Facts {
    pub fn roll(dice: &mut Dice, n: u64) -> Self {
        // One entry an hour, some of which were told of late; one of each kind is rare.
        let recorded = super::START.0 + n as i64 * 3_600_000_000;
        let outcome = if dice.roll(40) == 0 { dice.of(&OUTCOMES) } else { "SUCCESS" };
        Self {
            n,
            actor: dice.of(&ACTORS),
            behalf: if dice.roll(20) == 0 { dice.of(&ACTORS) } else { "" },
            action: dice.of(&ACTIONS),
            resource: match dice.roll(4) {
                0 => format!("leads/{n}"),
                1 => format!("leads/ä.%_{}/x", dice.roll(3)),
                _ => format!("models/m{}/versions/{}", dice.roll(6), dice.roll(4)),
            },
            outcome,
            reason: dice.of(&REASONS),
            model: dice.of(&VERSIONS),
            policy: if dice.roll(50) == 0 { "policies/p/versions/3" } else { "" },
            state: dice.of(&STATES),
            proposal: if dice.roll(30) == 0 { format!("proposals/{}", dice.roll(5)) } else { String::new() },
            subject: if dice.roll(25) == 0 { format!("leads/{}", dice.roll(4)) } else { String::new() },
            recorded,
            occurred: recorded - dice.roll(90) as i64 * 3_600_000_000,
        }
    }

    pub fn event(&self) -> api::Event {
        let details = serde_json::json!({"to": self.state, "proposal": self.proposal});
        let outcome = match self.outcome {
            "DENIED" => api::Outcome::Denied,
            "FAILURE" => api::Outcome::Failure,
            _ => api::Outcome::Success,
        };
        let fields = || [("email".to_owned(), "x@example.com".to_owned())].into();
        api::Event {
            id: format!("e{}", self.n),
            actor: Some(types::Actor {
                subject: self.actor.into(),
                kind: types::ActorKind::Human.into(),
                on_behalf_of: self.behalf.into(),
                ..Default::default()
            }),
            action: self.action.into(),
            resource: self.resource.clone(),
            outcome: outcome.into(),
            reason: self.reason.into(),
            service: self.service().into(),
            policy_version: self.policy.into(),
            model_version: self.model.into(),
            details_json: details.to_string(),
            occurred_at: Some(stamp(Timestamp(self.occurred))),
            recorded_at: Some(stamp(Timestamp(self.recorded))),
            personal: (!self.subject.is_empty())
                .then(|| api::PersonalData { subject: self.subject.clone(), fields: fields() }),
            ..Default::default()
        }
    }

    fn service(&self) -> &str {
        self.action.split('.').next().unwrap_or_default()
    }
}

/// What a filter says, in Rust.
pub type Passes = Box<dyn Fn(&Facts) -> bool + Send + Sync>;

fn case(text: String, passes: impl Fn(&Facts) -> bool + Send + Sync + 'static) -> (String, Passes) {
    (text, Box::new(passes))
}

/// A comparison with an entry of a log of `size`.
fn comparison(dice: &mut Dice, size: u64) -> (String, Passes) {
    let (n, number) = (dice.roll(size), dice.roll(6));
    let (actor, action) = (dice.of(&ACTORS), dice.of(&ACTIONS));
    let at = Timestamp(super::START.0 + n as i64 * 3_600_000_000);
    let day = 86_400_000_000;
    let date = at.to_string()[..10].to_owned();
    let midnight = at.0 - at.0.rem_euclid(day);
    match dice.roll(28) {
        0 => case(format!("actor = \"{}\"", actor.to_uppercase()), move |f| f.actor == actor),
        1 => case(format!("actor != '{actor}'"), move |f| f.actor != actor),
        2 => case(format!("action = \"{action}\""), move |f| f.action == action),
        3 => case("action = \"council.*\"".into(), |f| f.action.starts_with("council.")),
        4 => case(format!("resource = \"models/m{number}/*\""), move |f| {
            f.resource.starts_with(&format!("models/m{number}/"))
        }),
        5 => case(format!("resource:\"m{number}/\""), move |f| f.resource.contains(&format!("m{number}/"))),
        6 => case("outcome = DENIED".into(), |f| f.outcome == "DENIED"),
        7 => case("outcome != SUCCESS".into(), |f| f.outcome != "SUCCESS"),
        8 => case("reason = \"drift*\"".into(), |f| f.reason.starts_with("drift")),
        9 => case("reason = 'asked for'".into(), |f| f.reason == "asked for"),
        10 => case("model_version = \"models/m1/versions/1\"".into(), |f| f.model == "models/m1/versions/1"),
        11 => case("policy_version = null".into(), |f| f.policy.is_empty()),
        12 => case("policy_version = \"policies/p/versions/3\"".into(), |f| !f.policy.is_empty()),
        13 => case("details.to = SUSPENDED".into(), |f| f.state == "SUSPENDED"),
        14 => case(format!("details.proposal = \"proposals/{number}\""), move |f| {
            f.proposal == format!("proposals/{number}")
        }),
        15 => case(format!("subject = \"leads/{number}\""), move |f| f.subject == format!("leads/{number}")),
        16 => case("service = council".into(), |f| f.service() == "council"),
        17 => case(format!("index >= {n} AND index < {}", n + 300), move |f| (n..n + 300).contains(&f.n)),
        18 => case(format!("recorded_at < \"{at}\""), move |f| f.recorded < at.0),
        19 => case(format!("occurred_at > \"{date}\""), move |f| f.occurred >= midnight + day),
        20 => case(format!("occurred_at = {date} OR actor_kind = ai"), move |f| {
            (midnight..midnight + day).contains(&f.occurred)
        }),
        21 => case("reason = \"50%_of ä∂'s/.x;--\"".into(), |f| f.reason.starts_with("50%")),
        22 => case("reason = \"50%_of ä*\"".into(), |f| f.reason.starts_with("50%")),
        23 => case("reason:\"%_of\"".into(), |f| f.reason.starts_with("50%")),
        24 => case(format!("resource = \"leads/ä.%_{number}/*\""), move |f| {
            f.resource.starts_with(&format!("leads/ä.%_{number}/"))
        }),
        25 => case("resource = \"leads/ä*\"".into(), |f| f.resource.starts_with("leads/ä")),
        26 => case(format!("recorded_at >= \"{at}\" AND outcome = DENIED"), move |f| {
            f.recorded >= at.0 && f.outcome == "DENIED"
        }),
        _ => case(format!("on_behalf_of = {actor}"), move |f| f.behalf == actor),
    }
}

/// A filter of at most `depth` levels over a log of `size`.
pub fn filter(dice: &mut Dice, depth: u64, size: u64) -> (String, Passes) {
    if depth == 0 {
        return comparison(dice, size);
    }
    let ((one, first), (other, second)) = (filter(dice, depth - 1, size), filter(dice, depth - 1, size));
    match dice.roll(6) {
        0 | 1 => case(format!("(({one}) AND ({other}))"), move |f| first(f) && second(f)),
        2 | 3 => case(format!("(({one}) OR ({other}))"), move |f| first(f) || second(f)),
        4 => case(format!("NOT ({one})"), move |f| !first(f)),
        _ => comparison(dice, size),
    }
}

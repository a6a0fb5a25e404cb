//! `remit council`: the constitution.

use super::Group;
use super::connect::{Session, answer, message};
use super::output::{Column, Output};
use super::words;
use clap::Subcommand;
use remit_api::council::v1::constitution_service_client::ConstitutionServiceClient;
use remit_api::council::v1::{
    BootstrapRequest, Constitution, GetConstitutionRequest, NewSeat, RecoverConstitutionRequest,
};
use remit_core::authority::STEERING_GROUP;
use remit_core::{Error, Result};
use std::path::PathBuf;

/// What to do with the constitution.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Seat the first members of both bodies, once. From then on seats and rules change by proposals.
    Bootstrap {
        /// A file (YAML or JSON) with `bodies`: each with `body`, its `seats` (`member_id`, `subject`, `role_group`) and,
        /// if wanted, `quorum`, `class_rules`, `zone` and `cut_off_day`. A class rule is such as
        /// `{change_class: CHANGE_CLASS_EMERGENCY, voting_period: 86400s}`: the classes are CHANGE_CLASS_STANDARD,
        /// CHANGE_CLASS_NORMAL and CHANGE_CLASS_EMERGENCY, and the period is in seconds, from 60s to 7776000s.
        file: PathBuf,
    },
    /// Show bodies, seats, rules, and which body decides what.
    Show,
    /// Seat people in the steering group when its members cannot meet its rule any more. Two administrators call it with
    /// the same seats, the second within 24 hours.
    Recover {
        /// A seat, as MEMBER_ID:SUBJECT:ROLE_GROUP, such as leo:leo@example.com:legal. May be repeated.
        #[arg(long = "seat", value_name = "SEAT", required = true)]
        seats: Vec<String>,
        /// A member who is gone without having resigned, and has been silent for 30 days while a vote ran out; the seat
        /// ends. May be repeated.
        #[arg(long = "gone", value_name = "MEMBER")]
        gone: Vec<String>,
        /// Why nobody else can; it is kept in the audit log.
        #[arg(long)]
        reason: String,
    },
}

const BODY_COLUMNS: &[Column] = &[
    ("BODY", "name", "bodies/"),
    ("ROLE GROUPS", "roleGroups", ""),
    ("RULE", "rule", ""),
    ("DECIDES", "jurisdiction", ""),
    ("ZONE", "zone", ""),
];
const MEMBER_COLUMNS: &[Column] = &[
    ("MEMBER", "name", "bodies/"),
    ("SUBJECT", "subject", ""),
    ("ROLE GROUP", "roleGroup", ""),
    ("SINCE", "createTime", ""),
];
const ACT_COLUMNS: &[Column] = &[
    ("ACT", "kind", ""),
    ("WHAT", "what", ""),
    ("DECIDED BY", "bodies", "bodies/"),
    ("AT LEAST", "minApprovals", ""),
    ("FROM EACH OF", "roleGroups", ""),
];
const RECOVERY_COLUMNS: &[Column] = &[
    ("RECOVERY", "state", "RECOVERY_STATE_"),
    ("ASKED BY", "asker.subject", ""),
    ("CONFIRMED BY", "confirmer.subject", ""),
    ("UNTIL", "expireTime", ""),
    ("REASON", "reason", ""),
];

fn seat(text: &str) -> Result<NewSeat> {
    let parts = text.split_once(':').and_then(|(id, rest)| Some((id, rest.rsplit_once(':')?)));
    match parts {
        Some((member_id, (subject, role_group))) => Ok(NewSeat {
            member_id: member_id.to_owned(),
            subject: subject.to_owned(),
            role_group: role_group.to_owned(),
        }),
        None => Err(Error::invalid("SEAT_INVALID", "seat", format!("{text} must be MEMBER_ID:SUBJECT:ROLE_GROUP"))),
    }
}

/// The full name of a member of the steering group.
fn member(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("{STEERING_GROUP}/members/{name}") }
}

fn present(out: Output, constitution: &Constitution) -> Result<()> {
    if out.json {
        return out.show(constitution);
    }
    if constitution.create_time.is_none() {
        out.note("nobody has a seat yet: remit council bootstrap FILE");
    }
    out.in_words(&constitution.bodies, BODY_COLUMNS, words::body)?;
    out.part(&constitution.members, MEMBER_COLUMNS)?;
    out.list(&constitution.acts, ACT_COLUMNS)?;
    out.part(&constitution.recoveries, RECOVERY_COLUMNS)
}

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    // What is wrong with a file is said before anybody is asked.
    let founding = match &group.command {
        Command::Bootstrap { file } => message::<BootstrapRequest>(file, "CONSTITUTION_FILE_INVALID")?,
        Command::Show | Command::Recover { .. } => BootstrapRequest::default(),
    };
    let session = Session::open(&group.connection).await?;
    let mut client = ConstitutionServiceClient::new(session.wire());
    let constitution = match group.command {
        Command::Bootstrap { .. } => {
            let request = BootstrapRequest { request_id: session.request_id(), ..founding };
            answer(client.bootstrap(request).await)?
        }
        Command::Show => answer(client.get_constitution(GetConstitutionRequest {}).await)?,
        Command::Recover { seats, gone, reason } => {
            let seats = seats.iter().map(|text| seat(text)).collect::<Result<_>>()?;
            let departed = gone.iter().map(|name| member(name)).collect();
            let request = RecoverConstitutionRequest { seats, departed, reason, request_id: session.request_id() };
            answer(client.recover_constitution(request).await)?
        }
    };
    present(session.out, &constitution)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::connect::parse;
    use super::*;

    const FILE: &str = "
bodies:
  - body: bodies/steering-group
    zone: Europe/Zurich
    seats:
      - { member_id: ada, subject: ada@example.com, role_group: marketing_lead }
      - { member_id: ben, subject: ben@example.com, role_group: legal }
  - body: bodies/automation-council
    seats:
      - { memberId: sol, subject: sol@example.com, roleGroup: sales_ops }
    quorum: { group_minimums: { sales_ops: 1 } }
";

    #[test]
    fn a_constitution_is_read_from_a_file() {
        let request: BootstrapRequest = parse(FILE).unwrap();
        let [steering, council] = &request.bodies[..] else { panic!("{request:?}") };
        assert_eq!((steering.zone.as_str(), steering.seats.len()), ("Europe/Zurich", 2));
        assert_eq!(council.seats[0].role_group, "sales_ops");
        assert_eq!(council.quorum.as_ref().unwrap().group_minimums["sales_ops"], 1);
    }

    #[test]
    fn a_key_that_is_given_twice_or_unknown_is_refused() {
        for wrong in [
            "bodies: []\nbodies: []\n",
            "bodies:\n  - {body: a, body: b}\n",
            "bodies:\n  - {quorum: {group_minimums: {legal: 1, legal: 2}}}\n",
            "people: []\n",
            "bodies: 3\n",
            "",
        ] {
            assert!(parse::<BootstrapRequest>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_seat_is_given_in_one_word() {
        let read = seat("leo:urn:people:leo:legal").unwrap();
        assert_eq!((read.member_id.as_str(), read.subject.as_str()), ("leo", "urn:people:leo"));
        assert_eq!(seat("leo:legal").unwrap_err().reason(), "SEAT_INVALID");
    }
}

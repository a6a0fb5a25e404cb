//! What may be said of tokens: the rules of revocations and role assignments, without a database.

use crate::time::at;
use remit_api::council::v1::{Revocation, RoleAssignment};
use remit_api::wire::time::{parse, past, stamp};
use remit_core::{Actor, Error, Kind, Result, SERVICE_PREFIX, Tenant, Timestamp};
use remit_runtime::Config;
use remit_runtime::auth::{DEVELOPMENT_ISSUER, SERVICE_ROLE, grants};
use remit_runtime::config::{Grants, Issuer};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many revocations, and how many role assignments, a tenant may have in force: every process keeps them in memory.
const MOST: i64 = 10_000;

/// How many revocations of one caller may be in force.
const MOST_OWN: i64 = 1_000;

/// The permission that lifts a block.
const LIFT: &str = "council.revocations.delete";

/// What the configuration says of tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// The longest that a token may live.
    lifetime: Duration,
    /// How far the clocks of issuer and server may differ.
    leeway: Duration,
    /// The issuer of the suite itself.
    suite: String,
    /// Those of people and programs by name.
    issuers: BTreeMap<String, Speaks>,
    roles: BTreeSet<String>,
    /// The roles that may lift a block, and so block a member.
    lifters: BTreeSet<String>,
}

/// For whom an issuer speaks.
#[derive(Debug, Default)]
struct Speaks {
    /// All tenants for `*`.
    tenants: Vec<String>,
    /// What its subjects begin with.
    prefix: String,
    /// The most that it may grant.
    grants: Grants,
}

impl Tokens {
    /// Reads the configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let auth = &config.auth;
        let mut issuers: BTreeMap<String, Speaks> = auth.issuers.iter().map(speaks).collect();
        if issuers.is_empty() {
            issuers
                .insert(DEVELOPMENT_ISSUER.to_owned(), Speaks { tenants: vec!["*".to_owned()], ..Speaks::default() });
        }
        Self {
            lifetime: auth.max_lifetime.get(),
            leeway: auth.leeway.get(),
            suite: auth.service_issuer.clone(),
            issuers,
            roles: config.roles.keys().cloned().collect(),
            lifters: config
                .roles
                .iter()
                .filter(|(_, patterns)| grants(patterns, LIFT))
                .map(|(role, _)| role.clone())
                .collect(),
        }
    }

    /// When a token that was issued at `issued` has expired by every clock: it may say so late by the leeway, and is
    /// accepted for as long after its end.
    fn end(&self, issued: Timestamp) -> Timestamp {
        issued.plus(self.lifetime).plus(self.leeway * 2)
    }

    /// Refuses a subject that no token of the issuer has: what is said of it would never have effect.
    fn of_issuer(&self, subject: &str, issuer: &str, field: &str) -> Result<()> {
        let Some(Speaks { prefix, .. }) = self.issuers.get(issuer).filter(|_| !subject.is_empty()) else {
            return Ok(());
        };
        if subject.strip_prefix(prefix.as_str()).is_none_or(str::is_empty) {
            let what = format!(
                "no token of {issuer} has this subject: its subjects begin with its subject_prefix, as in {prefix}{subject}"
            );
            return Err(Error::invalid("SUBJECT_NOT_OF_ISSUER", field, what));
        }
        Ok(())
    }

    /// Refuses an issuer that has no tokens in a tenant: what is said of them would never have effect. None is any.
    ///
    /// # Errors
    /// `InvalidArgument` (`ISSUER_UNKNOWN`), naming the field.
    pub(crate) fn speaks_for(&self, tenant: &Tenant, issuer: &str, field: &str) -> Result<()> {
        if issuer.is_empty() {
            return Ok(());
        }
        let what = match self.issuers.get(issuer) {
            None => "must be an issuer of the configuration".to_owned(),
            Some(of) if of.tenants.iter().any(|name| name == "*" || name == tenant.as_str()) => return Ok(()),
            Some(_) => format!("may not speak for {tenant}: see tenants in its table of auth.issuers"),
        };
        Err(Error::invalid("ISSUER_UNKNOWN", field, what))
    }

    /// Whose the one token is that is revoked, as subjects are shown here.
    ///
    /// # Errors
    /// `InvalidArgument` (`FIELD_NOT_ALLOWED`) where it is not about one token.
    pub(crate) fn holder(&self, revocation: &Revocation) -> Result<String> {
        let given = &revocation.token_subject;
        if given.is_empty() {
            return Ok(String::new());
        }
        if revocation.token_id.is_empty() {
            let what = "is for the revocation of one token: give revocation.subject alone";
            return Err(Error::invalid("FIELD_NOT_ALLOWED", "revocation.token_subject", what));
        }
        let prefix = self.issuers.get(&revocation.issuer).map_or("", |of| of.prefix.as_str());
        if given.starts_with(prefix) { Ok(given.clone()) } else { Ok(format!("{prefix}{given}")) }
    }

    /// Completes a revocation as `by` asks for it.
    ///
    /// # Errors
    /// `InvalidArgument` naming the field: `FIELD_REQUIRED`, `FIELD_NOT_ALLOWED`, `TIME_OUT_OF_RANGE`,
    /// `SUBJECT_RESERVED`, `SUBJECT_NOT_OF_ISSUER`. `PermissionDenied`: `BLOCK_NEEDS_PERSON`, `SELF_BLOCK`.
    pub(crate) fn revocation(&self, given: Revocation, by: &Actor, now: Timestamp) -> Result<Revocation> {
        if given.token_id.is_empty() && given.subject.is_empty() {
            let what = "must be given, or revocation.token_id";
            return Err(Error::invalid("FIELD_REQUIRED", "revocation.subject", what));
        }
        not_reserved(&given.subject, "revocation.subject")?;
        if !given.issuer.is_empty() && given.issuer == self.suite {
            let what = "is the suite's own, whose tokens are not revoked: withdraw its key";
            return Err(Error::invalid("SUBJECT_RESERVED", "revocation.issuer", what));
        }
        self.of_issuer(&given.subject, &given.issuer, "revocation.subject")?;
        let one = !given.token_id.is_empty();
        if one && given.block {
            let what = "must not be set for one token: block its subject";
            return Err(Error::invalid("FIELD_NOT_ALLOWED", "revocation.block", what));
        }
        if given.block && !by.is_human() {
            let what = "only a person blocks a subject: revoke the tokens issued until now instead";
            return Err(Error::denied("BLOCK_NEEDS_PERSON", what));
        }
        if given.block && given.subject == by.subject {
            let what = "another person must block you; what you can revoke yourself are your tokens issued until now";
            return Err(Error::denied("SELF_BLOCK", what));
        }
        let revoke_time = match &given.revoke_time {
            Some(_) if one => {
                let what = "must be empty for one token, which is revoked at once";
                return Err(Error::invalid("FIELD_NOT_ALLOWED", "revocation.revoke_time", what));
            }
            None if one => now,
            None => now.plus(self.leeway),
            given => past(given.as_ref(), now, "revocation.revoke_time")?,
        };
        let end = self.end(revoke_time.max(now));
        let expire_time = match &given.expire_time {
            Some(asked) => {
                let asked = future(asked, now, "revocation.expire_time")?;
                if !given.block && asked > end {
                    let what = format!("must be at most {end}, when the last of the tokens has expired by itself");
                    return Err(Error::invalid("TIME_OUT_OF_RANGE", "revocation.expire_time", what));
                }
                Some(asked)
            }
            None => (!given.block).then_some(end),
        };
        Ok(Revocation {
            revoke_time: Some(stamp(revoke_time)),
            expire_time: expire_time.map(stamp),
            revoker: Some(remit_api::wire::actor(by)),
            ..given
        })
    }

    /// Refuses to let anybody but an administrator block whoever has a seat, which `seat` names: the council would be for
    /// whoever runs the daily work to silence.
    ///
    /// # Errors
    /// `PermissionDenied` (`MEMBER_BLOCK_NEEDS_ADMIN`).
    pub(crate) fn check_block(&self, seat: Option<&str>, by: &Actor) -> Result<()> {
        match seat {
            Some(seat) if !by.roles.iter().any(|role| self.lifters.contains(role)) => {
                let what = format!(
                    "the subject sits as {seat}: revoke the tokens issued until now, and let somebody with {LIFT} block"
                );
                Err(Error::denied("MEMBER_BLOCK_NEEDS_ADMIN", what))
            }
            _ => Ok(()),
        }
    }

    /// Checks what is assigned to whom, as `by` asks for it.
    ///
    /// # Errors
    /// `InvalidArgument` naming the field: `FIELD_REQUIRED`, `FIELD_NOT_ALLOWED`, `TIME_OUT_OF_RANGE`, `ISSUER_UNKNOWN`,
    /// `ROLE_UNKNOWN`, `ROLE_RESERVED`, `ROLE_NOT_GRANTABLE`, `SUBJECT_RESERVED`, `SUBJECT_NOT_OF_ISSUER`.
    /// `PermissionDenied` (`SELF_ASSIGNMENT`).
    pub(crate) fn assignment(&self, given: &RoleAssignment, by: &Actor, now: Timestamp) -> Result<()> {
        match (given.subject.is_empty(), given.email.is_empty()) {
            (true, true) => {
                let what = "must be given, or role_assignment.email";
                return Err(Error::invalid("FIELD_REQUIRED", "role_assignment.subject", what));
            }
            (false, false) => {
                let what = "must be empty where role_assignment.subject is given";
                return Err(Error::invalid("FIELD_NOT_ALLOWED", "role_assignment.email", what));
            }
            _ => {}
        }
        not_reserved(&given.subject, "role_assignment.subject")?;
        let Some(Speaks { grants, .. }) = self.issuers.get(&given.issuer) else {
            let known = self.issuers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let what = format!("must be an issuer of the configuration: {known}");
            return Err(Error::invalid("ISSUER_UNKNOWN", "role_assignment.issuer", what));
        };
        self.of_issuer(&given.subject, &given.issuer, "role_assignment.subject")?;
        if given.roles.is_empty() && given.role_groups.is_empty() {
            let what = "must be given, or role_assignment.role_groups";
            return Err(Error::invalid("FIELD_REQUIRED", "role_assignment.roles", what));
        }
        for (index, role) in given.roles.iter().enumerate() {
            let field = format!("role_assignment.roles[{index}]");
            if role == SERVICE_ROLE {
                let what = "is the role of the suite's own services, which nobody is given";
                return Err(Error::invalid("ROLE_RESERVED", field, what));
            }
            if !self.roles.contains(role) {
                let known = self.roles.iter().filter(|role| *role != SERVICE_ROLE).map(String::as_str);
                let what = format!("must be a role of the configuration: {}", known.collect::<Vec<_>>().join(", "));
                return Err(Error::invalid("ROLE_UNKNOWN", field, what));
            }
            if !grants.role(role) {
                return Err(not_grantable(field, &given.issuer));
            }
        }
        if let Some(index) = given.role_groups.iter().position(|group| !grants.role_group(group)) {
            return Err(not_grantable(format!("role_assignment.role_groups[{index}]"), &given.issuer));
        }
        if let Some(end) = &given.expire_time {
            future(end, now, "role_assignment.expire_time")?;
        }
        // By e-mail address too: whoever assigns something is not given it, which is looked at where it takes effect.
        if given.subject == by.subject {
            return Err(Error::denied("SELF_ASSIGNMENT", "another administrator must give you roles"));
        }
        Ok(())
    }
}

fn speaks(issuer: &Issuer) -> (String, Speaks) {
    let (tenants, prefix, grants) = (issuer.tenants.clone(), issuer.subject_prefix.clone(), issuer.grants.clone());
    (issuer.issuer.clone(), Speaks { tenants, prefix, grants })
}

fn not_grantable(field: String, issuer: &str) -> Error {
    let what = format!("is beyond what people of {issuer} may be given: see grants in its table of auth.issuers");
    Error::invalid("ROLE_NOT_GRANTABLE", field, what)
}

/// A time to come.
fn future(asked: &prost_types::Timestamp, now: Timestamp, field: &str) -> Result<Timestamp> {
    let asked = parse(asked, field)?;
    if asked <= now {
        return Err(Error::invalid("TIME_OUT_OF_RANGE", field, format!("must be after {now}")));
    }
    Ok(asked)
}

fn not_reserved(subject: &str, field: &str) -> Result<()> {
    if subject.trim_start().to_ascii_lowercase().starts_with(SERVICE_PREFIX) {
        let what = "names one of the suite's own services, which are known by their keys alone: withdraw its key";
        return Err(Error::invalid("SUBJECT_RESERVED", field, what));
    }
    Ok(())
}

/// Refuses one more than every process can keep, of which `own` are the caller's: whoever has a stolen token must not be
/// able to fill the list, so that nobody can revoke it.
///
/// # Errors
/// `ResourceExhausted` (`ACCESS_FULL`).
pub(crate) fn room(in_force: i64, own: i64) -> Result<()> {
    let what = match () {
        () if own >= MOST_OWN => format!("{MOST_OWN} of yours are in force already: let another person do it"),
        () if in_force >= MOST => format!("{MOST} are in force already: lift or take back what is no longer needed"),
        () => return Ok(()),
    };
    Err(Error::new(Kind::ResourceExhausted, "ACCESS_FULL", what).with_retry_after(Duration::from_secs(60)))
}

/// Refuses to let anybody lift what is about herself.
///
/// # Errors
/// `PermissionDenied` (`OWN_REVOCATION`).
pub(crate) fn liftable(revocation: &Revocation, by: &Actor) -> Result<()> {
    let about = [&revocation.subject, &revocation.token_subject];
    if about.iter().any(|subject| !subject.is_empty() && **subject == by.subject) {
        return Err(Error::denied("OWN_REVOCATION", "another administrator must lift what is about you"));
    }
    Ok(())
}

/// When something is over, as text; empty if it lasts.
pub(crate) fn end_text(expire_time: &Option<prost_types::Timestamp>) -> String {
    expire_time.as_ref().map(|_| at(expire_time).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use remit_core::ActorKind;

    const NOW: Timestamp = Timestamp(1_780_000_000_000_000);

    fn tokens() -> Tokens {
        Tokens::new(&Config::from_toml("[auth]\nmax_lifetime = \"1h\"\nleeway = \"10s\"\n").unwrap())
    }

    fn ann(kind: ActorKind) -> Actor {
        Actor { subject: "ann".to_owned(), kind, roles: Vec::new(), role_groups: Vec::new(), on_behalf_of: None }
    }

    fn revoked(given: Revocation, kind: ActorKind) -> std::result::Result<Revocation, &'static str> {
        tokens().revocation(given, &ann(kind), NOW).map_err(|error| error.reason())
    }

    fn of(subject: &str) -> Revocation {
        Revocation { subject: subject.to_owned(), ..Revocation::default() }
    }

    fn seconds(after: i64) -> Option<prost_types::Timestamp> {
        Some(stamp(Timestamp(NOW.0 + after * 1_000_000)))
    }

    #[test]
    fn a_revocation_lasts_as_long_as_the_tokens_could_and_a_block_until_it_is_lifted() {
        let human = ActorKind::Human;
        let made = revoked(of("bob"), human).unwrap();
        assert_eq!((made.revoke_time, made.expire_time), (seconds(10), seconds(3_600 + 30)));
        assert_eq!(made.revoker.unwrap().subject, "ann");
        let one = Revocation { token_id: "t1".to_owned(), ..Revocation::default() };
        let made = revoked(one.clone(), human).unwrap();
        assert_eq!((made.revoke_time, made.expire_time), (seconds(0), seconds(3_600 + 20)));
        let made = revoked(Revocation { block: true, ..of("bob") }, human).unwrap();
        assert_eq!(made.expire_time, None);
        let made = revoked(Revocation { block: true, expire_time: seconds(90_000), ..of("bob") }, human).unwrap();
        assert_eq!(made.expire_time, seconds(90_000));
        let earlier = Revocation { revoke_time: seconds(-60), expire_time: seconds(60), ..of("bob") };
        let made = revoked(earlier, human).unwrap();
        assert_eq!((made.revoke_time, made.expire_time), (seconds(-60), seconds(60)));
        // What was issued long ago may have been issued for long.
        let old = revoked(Revocation { revoke_time: seconds(-90_000), ..of("bob") }, human).unwrap();
        assert_eq!(old.expire_time, seconds(3_600 + 20));
        for (wrong, reason) in [
            (Revocation::default(), "FIELD_REQUIRED"),
            (Revocation { block: true, ..one.clone() }, "FIELD_NOT_ALLOWED"),
            (Revocation { revoke_time: seconds(0), ..one }, "FIELD_NOT_ALLOWED"),
            (Revocation { revoke_time: seconds(301), ..of("bob") }, "TIME_OUT_OF_RANGE"),
            (Revocation { expire_time: seconds(0), ..of("bob") }, "TIME_OUT_OF_RANGE"),
            (Revocation { expire_time: seconds(3_631), ..of("bob") }, "TIME_OUT_OF_RANGE"),
            (of("remit-audit"), "SUBJECT_RESERVED"),
            (of(" Remit-x"), "SUBJECT_RESERVED"),
            (Revocation { issuer: "remit".to_owned(), ..of("bob") }, "SUBJECT_RESERVED"),
        ] {
            assert_eq!(revoked(wrong.clone(), human).unwrap_err(), reason, "{wrong:?}");
        }
    }

    #[test]
    fn a_program_stops_and_does_not_block_and_nobody_blocks_or_frees_herself() {
        let block = |subject| Revocation { block: true, ..of(subject) };
        revoked(of("bob"), ActorKind::Service).unwrap();
        revoked(of("ann"), ActorKind::Human).expect("one's own tokens can be revoked");
        assert_eq!(revoked(block("bob"), ActorKind::Service).unwrap_err(), "BLOCK_NEEDS_PERSON");
        assert_eq!(revoked(block("ann"), ActorKind::Human).unwrap_err(), "SELF_BLOCK");
        let by = |role: &str| Actor { roles: vec![role.to_owned()], ..ann(ActorKind::Human) };
        let seated = |role, seat| tokens().check_block(seat, &by(role)).map_err(|error| error.reason());
        let seat = Some("bodies/b/members/bob");
        assert_eq!(seated("operator", seat), Err("MEMBER_BLOCK_NEEDS_ADMIN"));
        assert_eq!((seated("admin", seat), seated("operator", None)), (Ok(()), Ok(())));
        let lifted = |subject| liftable(&of(subject), &ann(ActorKind::Human)).map_err(|error| error.reason());
        assert_eq!((lifted("bob"), lifted(""), lifted("ann")), (Ok(()), Ok(()), Err("OWN_REVOCATION")));
        let token = Revocation { token_id: "t".to_owned(), token_subject: "ann".to_owned(), ..Revocation::default() };
        let lifted = liftable(&token, &ann(ActorKind::Human)).map_err(|error| error.reason());
        assert_eq!(lifted, Err("OWN_REVOCATION"), "nor by another token of hers");
        let full = |all, own| room(all, own).map_err(|error| (error.reason(), error.retry_after().is_some()));
        assert_eq!(full(9_999, 999), Ok(()));
        for (all, own) in [(10_000, 0), (1_000, 1_000)] {
            assert_eq!(full(all, own), Err(("ACCESS_FULL", true)));
        }
    }

    #[test]
    fn a_subject_that_the_issuer_can_never_have_is_refused() {
        let config =
            "[[auth.issuers]]\nissuer = \"https://idp\"\ntenants = [\"*\"]\nsubject_prefix = \"own:\"\njwks = \"k\"\n";
        let tokens = Tokens::new(&Config::from_toml(config).unwrap());
        let by = ann(ActorKind::Human);
        let assigned = |subject: &str| {
            let given = RoleAssignment {
                subject: subject.to_owned(),
                issuer: "https://idp".to_owned(),
                roles: vec!["operator".to_owned()],
                ..RoleAssignment::default()
            };
            tokens.assignment(&given, &by, NOW).map_err(|error| error.reason())
        };
        let revoked = |subject: &str, issuer: &str| {
            let given = Revocation { issuer: issuer.to_owned(), ..of(subject) };
            tokens.revocation(given, &by, NOW).map(drop).map_err(|error| error.reason())
        };
        assigned("own:carl").unwrap();
        revoked("own:carl", "https://idp").unwrap();
        revoked("carl", "").expect("of every issuer");
        revoked("carl", "https://gone").expect("an issuer that is configured no more");
        for wrong in ["carl", "own:"] {
            assert_eq!(assigned(wrong), Err("SUBJECT_NOT_OF_ISSUER"));
            assert_eq!(revoked(wrong, "https://idp"), Err("SUBJECT_NOT_OF_ISSUER"));
        }
    }

    #[test]
    fn an_issuer_without_tokens_in_the_tenant_is_refused_and_a_token_has_its_holders_name_here() {
        let tables = "[[auth.issuers]]\nissuer = \"https://a\"\njwks = \"a.json\"\ntenants = [\"acme\"]\n\
                      subject_prefix = \"a:\"\n[[auth.issuers]]\nissuer = \"https://b\"\njwks = \"b.json\"\n\
                      tenants = [\"*\"]\n";
        let several = Tokens::new(&Config::from_toml(tables).unwrap());
        let speaks = |tokens: &Tokens, tenant: &str, issuer: &str| {
            tokens.speaks_for(&Tenant::new(tenant).unwrap(), issuer, "f").map_err(|error| error.reason())
        };
        for (tenant, issuer) in [("acme", "https://a"), ("beta", "https://b"), ("beta", "")] {
            assert_eq!(speaks(&several, tenant, issuer), Ok(()), "{tenant} {issuer}");
        }
        for (tenant, issuer) in [("beta", "https://a"), ("acme", "https://c"), ("acme", DEVELOPMENT_ISSUER)] {
            assert_eq!(speaks(&several, tenant, issuer), Err("ISSUER_UNKNOWN"), "{tenant} {issuer}");
        }
        assert_eq!(speaks(&tokens(), "acme", DEVELOPMENT_ISSUER), Ok(()));
        let holder = |issuer: &str, token_id: &str, subject: &str| {
            let (issuer, token_id, token_subject) = (issuer.to_owned(), token_id.to_owned(), subject.to_owned());
            let given = Revocation { issuer, token_id, token_subject, ..Revocation::default() };
            several.holder(&given).map_err(|error| error.reason())
        };
        assert_eq!(holder("https://a", "t", "ann").as_deref(), Ok("a:ann"));
        assert_eq!(holder("https://a", "t", "a:ann").as_deref(), Ok("a:ann"));
        assert_eq!(holder("https://b", "t", "ann").as_deref(), Ok("ann"));
        assert_eq!(holder("https://b", "", ""), Ok(String::new()));
        assert_eq!(holder("https://b", "", "ann"), Err("FIELD_NOT_ALLOWED"));
    }

    #[test]
    fn roles_are_given_to_others_of_a_known_issuer_and_never_that_of_services() {
        let good = RoleAssignment {
            subject: "bob".to_owned(),
            issuer: DEVELOPMENT_ISSUER.to_owned(),
            roles: vec!["operator".to_owned()],
            ..RoleAssignment::default()
        };
        let check = |given: &RoleAssignment| {
            tokens().assignment(given, &ann(ActorKind::Human), NOW).map_err(|error| error.reason())
        };
        check(&good).unwrap();
        let by_mail = RoleAssignment { subject: String::new(), email: "bob@example.com".to_owned(), ..good.clone() };
        check(&by_mail).unwrap();
        check(&RoleAssignment { roles: Vec::new(), role_groups: vec!["legal".to_owned()], ..good.clone() }).unwrap();
        for (wrong, reason) in [
            (RoleAssignment { email: "b@example.com".to_owned(), ..good.clone() }, "FIELD_NOT_ALLOWED"),
            (RoleAssignment { subject: String::new(), ..good.clone() }, "FIELD_REQUIRED"),
            (RoleAssignment { roles: Vec::new(), ..good.clone() }, "FIELD_REQUIRED"),
            (RoleAssignment { issuer: "https://other".to_owned(), ..good.clone() }, "ISSUER_UNKNOWN"),
            (RoleAssignment { roles: vec!["service".to_owned()], ..good.clone() }, "ROLE_RESERVED"),
            (RoleAssignment { roles: vec!["emperor".to_owned()], ..good.clone() }, "ROLE_UNKNOWN"),
            (RoleAssignment { subject: "remit-kpi".to_owned(), ..good.clone() }, "SUBJECT_RESERVED"),
            (RoleAssignment { subject: "ann".to_owned(), ..good.clone() }, "SELF_ASSIGNMENT"),
            (RoleAssignment { expire_time: seconds(0), ..good.clone() }, "TIME_OUT_OF_RANGE"),
        ] {
            assert_eq!(check(&wrong).unwrap_err(), reason, "{wrong:?}");
        }
    }
}

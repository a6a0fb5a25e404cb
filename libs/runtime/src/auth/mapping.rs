//! What the claims of a token mean in Remit, and the most they may mean.

use super::claims::ClaimPath;
use super::rules::{Rules, Words};
use super::speaker::Speaker;
use super::trace::Exam;
use super::{SERVICE_ROLE, refuse};
use crate::config::KindRule;
use remit_core::{ActorKind, Error, Result, SERVICE_PREFIX, Tenant, email, subject};
use serde_json::Value;

/// The most roles, and the most role groups, that one caller has.
const MOST_WORDS: usize = 32;

/// How many of the words that were left out are named in an explanation.
const MOST_NAMED: usize = 12;

/// What the mapping made of a token's claims.
#[derive(Debug)]
pub(super) struct Received {
    pub sub: String,
    pub tenant: Tenant,
    pub kind: ActorKind,
    pub roles: Vec<String>,
    pub role_groups: Vec<String>,
    pub on_behalf_of: Option<String>,
    pub email: Option<String>,
}

fn wrong(what: impl Into<String>) -> Error {
    refuse("TOKEN_CLAIMS", what)
}

fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Words that were found, those that are kept, and why the others are not.
#[derive(Default)]
struct Found {
    raw: Vec<String>,
    kept: Vec<String>,
    left_out: Vec<(String, &'static str)>,
}

impl Found {
    fn keep(&mut self, word: &str, fits: Result<(), &'static str>) {
        match fits {
            Ok(()) if self.kept.iter().any(|kept| kept == word) => {}
            Ok(()) => self.kept.push(word.to_owned()),
            Err(why) => self.left_out.push((word.to_owned(), why)),
        }
    }

    fn describe(&self) -> String {
        let list = |words: &[String]| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
        let shown = |words: &[String]| match words.split_at_checked(MOST_NAMED) {
            Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
            _ => list(words),
        };
        let left: Vec<String> = self.left_out.iter().map(|(word, why)| format!("{word} ({why})")).collect();
        let left = if left.is_empty() { String::new() } else { format!("; left out: {}", shown(&left)) };
        format!("{}; in the token: {}{left}", list(&self.kept), shown(&self.raw))
    }
}

impl Rules {
    /// Reads who a token speaks for, an actor of one of the `kinds`, or of any if there are none.
    ///
    /// # Errors
    /// `Unauthenticated`: `TOKEN_CLAIMS`, `TOKEN_TENANT`.
    pub(super) fn map(&self, body: &Value, kinds: &[ActorKind], exam: &mut Exam) -> Result<Received> {
        let tenant = exam.find("tenant", self.tenant(body), |(tenant, why)| format!("{tenant} ({why})"))?;
        let kind = exam.find("kind", self.kind(body, kinds), |(kind, why)| format!("{} ({why})", kind.as_str()))?;
        let subject =
            exam.find("subject", self.subject(body), |(subject, claim)| format!("{subject} (from {claim})"))?;
        let email = self.email(body);
        exam.note("e-mail", || email.clone().unwrap_or_else(|| "none that is verified".to_owned()));
        let behalf = self.on_behalf_of(body, kind.as_ref().map(|(kind, _)| *kind));
        let behalf =
            exam.find("on behalf of", behalf, |other| other.clone().unwrap_or_else(|| "nobody else".to_owned()))?;
        let roles = exam.find("roles", self.words_of_roles(body), Found::describe)?;
        let groups = exam.find("role groups", self.words_of_groups(body), Found::describe)?;
        self.note_overage(body, exam);
        let (Some((tenant, _)), Some((kind, _)), Some((sub, _)), Some(on_behalf_of), Some(roles), Some(groups)) =
            (tenant, kind, subject, behalf, roles, groups)
        else {
            return Err(Exam::over());
        };
        Ok(Received { sub, tenant, kind, roles: roles.kept, role_groups: groups.kept, on_behalf_of, email })
    }

    fn tenant(&self, body: &Value) -> Result<(Tenant, String)> {
        let said = self.tenant.as_ref().map(|path| Ok::<_, Error>((path, path.text(body)?))).transpose()?;
        let Some((path, Some(said))) = said else {
            return match (self.tenants.only(), said) {
                (Some(tenant), _) if !self.tenant_required => Ok((tenant.clone(), "the issuer's only one".to_owned())),
                (_, Some((path, _))) => Err(wrong(format!("the token names no tenant: it has no {path}"))),
                (_, None) => Err(wrong("the token names no tenant")),
            };
        };
        let tenant = if self.tenant_values.is_empty() {
            Tenant::new(said).map_err(|error| wrong(format!("the token's {}", error.message())))?
        } else {
            let what =
                || refuse("TOKEN_TENANT", format!("tenant.values of the issuer does not have the token's {path}"));
            self.tenant_values.get(said).ok_or_else(what)?.clone()
        };
        if self.tenants.has(&tenant) && self.reserved.as_ref() != Some(&tenant) {
            return Ok((tenant, format!("{path} is {said}")));
        }
        Err(refuse("TOKEN_TENANT", format!("the issuer may not speak for the tenant {tenant}")))
    }

    /// Who a token with the right signature speaks for, as far as that can be shown if it is refused all the same; none
    /// if it names no tenant that its issuer may speak for.
    pub(super) fn speaker(&self, issuer: &str, body: &Value) -> Option<Speaker> {
        let (tenant, _) = self.tenant(body).ok()?;
        let subject = self.subject(body).map(|(subject, _)| subject).unwrap_or_default();
        Some(Speaker { tenant, issuer: issuer.to_owned(), subject })
    }

    fn kind(&self, body: &Value, kinds: &[ActorKind]) -> Result<(ActorKind, String)> {
        // What a provider says there is about this very thing: a slip must not make a person of a program.
        let said = body.get("kind").filter(|said| !said.is_null());
        if said.is_some_and(|said| serde_json::from_value::<ActorKind>(said.clone()).is_err()) {
            return Err(wrong("the token's kind must be human, ai or service, in small letters, or not be there"));
        }
        let fits = |(path, rule): &&(ClaimPath, KindRule)| fits(body, path, rule);
        let (kind, why) = if let Some((path, rule)) = self.kind_rules.iter().find(fits) {
            (rule.kind, format!("by the rule on {path}"))
        } else if let Some((path, value)) =
            self.kind_claim.as_ref().and_then(|path| path.find(body).map(|value| (path, value)))
        {
            let kind = serde_json::from_value(value.clone());
            let what = || {
                wrong(format!(
                    "the token's {path} must be human, ai or service, unless kind.rules of the issuer's table tell the \
                     kind by another claim"
                ))
            };
            (kind.map_err(|_| what())?, format!("{path} says so"))
        } else {
            let kind = self.kind.ok_or_else(|| {
                let lacks = self.kind_claim.as_ref().map(|path| format!("it has no {path}, ")).unwrap_or_default();
                wrong(format!(
                    "the token does not tell the kind of actor: {lacks}no rule of kind.rules fits, and the issuer's \
                     table has no kind.default"
                ))
            })?;
            (kind, "as nothing else is said".to_owned())
        };
        if !kinds.is_empty() && !kinds.contains(&kind) {
            return Err(wrong(format!("the issuer may not speak for actors of kind {}", kind.as_str())));
        }
        // RFC 8693, section 4.1: whoever `act` names is the one who acts, and she whose name is the subject does not.
        if kind == ActorKind::Human && body.get("act").is_some_and(|act| !act.is_null()) {
            return Err(wrong("the token's act says that somebody acts for a person, who acts for herself"));
        }
        Ok((kind, why))
    }

    fn subject(&self, body: &Value) -> Result<(String, &ClaimPath)> {
        let Some(path) = self.subject.iter().find(|path| path.find(body).is_some()) else {
            let names: Vec<String> = self.subject.iter().map(ToString::to_string).collect();
            return Err(wrong(format!("the token names no subject: it has no {}", names.join(" and no "))));
        };
        let said = path.text(body)?.unwrap_or_default();
        // By whatever path: an address that nobody verified is anybody's.
        let address = path.find(body).zip(self.email.find(body)).is_some_and(|(one, other)| std::ptr::eq(one, other));
        if address && self.email(body).is_none() {
            let what = format!("the token's {path} is no subject unless its {} is true", self.email_verified);
            return Err(wrong(what));
        }
        let name = self.named(said, &path.to_string())?;
        // Folding takes some letters for others, such as the Kelvin sign for k: addresses of two people.
        if address && email::canonical(said).is_ok_and(|plain| !name.ends_with(&plain)) {
            return Err(wrong(format!("the token's {path} has letters for which an address here has others")));
        }
        Ok((name, path))
    }

    /// The name in Remit of somebody whom the issuer calls `said`, in `claim`.
    fn named(&self, said: &str, claim: &str) -> Result<String> {
        // The one place where a caller gets her subject: everything inside knows its canonical form only, without the
        // differences that do not make another person.
        let unfit = |rule: &str| wrong(format!("the token's {claim} {rule}"));
        let said = subject::canonical(said).map_err(unfit)?;
        let subject = subject::canonical(&format!("{}{said}", self.prefix)).map_err(unfit)?.into_owned();
        if let Some(prefix) = self.foreign.iter().find(|prefix| subject.starts_with(prefix.as_str())) {
            return Err(wrong(format!("the token's {claim} begins with {prefix}, as another issuer's subjects do")));
        }
        Ok(subject)
    }

    /// The e-mail address, if there is one that the issuer has verified.
    fn email(&self, body: &Value) -> Option<String> {
        let verified = self.email_verified.find(body) == Some(&Value::Bool(true));
        let address = self.email.find(body)?.as_str().filter(|_| verified)?;
        email::canonical(address).is_ok().then(|| address.trim().to_owned())
    }

    fn on_behalf_of(&self, body: &Value, kind: Option<ActorKind>) -> Result<Option<String>> {
        let Some(path) = &self.on_behalf_of else { return Ok(None) };
        let Some(said) = path.text(body)? else { return Ok(None) };
        if kind == Some(ActorKind::Human) {
            let what = format!("the token is a person's, who acts for herself: it may not say {path}");
            return Err(wrong(what));
        }
        let other = self.named(said, &path.to_string())?;
        if !self.suite && other.starts_with(SERVICE_PREFIX) {
            return Err(wrong(format!("the token's {path} names one of the suite's own services")));
        }
        Ok(Some(other))
    }

    fn words_of_roles(&self, body: &Value) -> Result<Found> {
        let fits = |role: &str| match () {
            () if self.suite => Ok(()),
            // A role that anybody's issuer may write into a token would be no proof of anything.
            () if role == SERVICE_ROLE => Err("the suite's own"),
            () if !self.known.contains(role) => Err("not among [roles]"),
            () if !self.grants.role(role) => Err("not among grants.roles"),
            () => Ok(()),
        };
        let worth = |group: &str| self.worth.get(group).map(|worth| worth.roles.as_slice());
        self.gather(body, &self.roles, worth, fits, "roles")
    }

    fn words_of_groups(&self, body: &Value) -> Result<Found> {
        let fits = |group: &str| match () {
            () if !is_text(group, 63) => Err("not 1 to 63 characters"),
            () if !self.grants.role_group(group) => Err("not among grants.role_groups"),
            () => Ok(()),
        };
        let worth = |group: &str| self.worth.get(group).map(|worth| worth.role_groups.as_slice());
        self.gather(body, &self.role_groups, worth, fits, "role_groups")
    }

    /// The words that stand in `from`, and what the provider's groups are worth. However many the provider has, only
    /// what remains is bounded.
    fn gather<'a>(
        &'a self,
        body: &Value,
        from: &'a Words,
        worth: impl Fn(&str) -> Option<&'a [String]>,
        fits: impl Fn(&str) -> Result<(), &'static str>,
        what: &str,
    ) -> Result<Found> {
        let mut found = Found::default();
        for path in &from.claims {
            for word in path.words(body)? {
                found.raw.push(word.to_owned());
                match from.values.as_ref().map(|values| values.get(word)) {
                    None => found.keep(word, fits(word)),
                    Some(None) => found.keep(word, Err("not in the table")),
                    Some(Some(worth)) => worth.iter().for_each(|worth| found.keep(worth, fits(worth))),
                }
            }
        }
        for path in &self.groups {
            for group in path.words(body)? {
                found.raw.push(group.to_owned());
                match worth(group) {
                    None => found.keep(group, Err("not in groups.values")),
                    Some(worth) => worth.iter().for_each(|worth| found.keep(worth, fits(worth))),
                }
            }
        }
        if found.kept.is_empty() {
            from.default.iter().for_each(|word| found.keep(word, fits(word)));
        }
        if found.kept.len() > MOST_WORDS {
            return Err(wrong(format!("the token's {what} must be at most {MOST_WORDS}, after the mapping")));
        }
        Ok(found)
    }

    /// Entra leaves the groups of somebody with more than 200 out of the token, and says so in it.
    fn note_overage(&self, body: &Value, exam: &mut Exam) {
        let named = body.get("_claim_names").and_then(|names| names.get("groups")).is_some();
        if !self.groups.is_empty() && (named || body.get("hasgroups").is_some()) {
            exam.note("groups", || {
                "the provider left them out, being too many: give app roles, or only the groups of the application"
                    .to_owned()
            });
        }
    }
}

fn fits(body: &Value, path: &ClaimPath, rule: &KindRule) -> bool {
    let conditions = [&rule.equals, &rule.starts_with, &rule.ends_with, &rule.contains];
    if conditions.iter().all(|condition| condition.is_none()) {
        return path.find(body).is_some_and(|said| is_there(said, rule.kind));
    }
    // What makes somebody less than a person does not fail by a capital.
    let lessens = rule.kind != ActorKind::Human;
    let same = |one: &str, other: &str| one == other || (lessens && one.eq_ignore_ascii_case(other));
    let begins = |said: &str, text: &str| said.get(..text.len()).is_some_and(|begin| same(begin, text));
    let ends = |said: &str, text: &str| {
        said.len().checked_sub(text.len()).and_then(|at| said.get(at..)).is_some_and(|end| same(end, text))
    };
    path.says(body, |said| {
        rule.equals.as_ref().is_none_or(|text| said == text)
            && rule.starts_with.as_ref().is_none_or(|text| begins(said, text))
            && rule.ends_with.as_ref().is_none_or(|text| ends(said, text))
            && rule.contains.as_ref().is_none_or(|text| said.contains(text.as_str()))
    })
}

/// Whether a claim says anything by being there. It takes more to be a person than to be none.
fn is_there(said: &Value, kind: ActorKind) -> bool {
    match said {
        Value::String(text) => !text.trim().is_empty(),
        Value::Bool(said) => *said,
        Value::Number(_) => true,
        Value::Array(list) => kind != ActorKind::Human && !list.is_empty(),
        Value::Object(members) => kind != ActorKind::Human && !members.is_empty(),
        Value::Null => false,
    }
}

//! The one way of a token from its text to an identity. Verifying and explaining walk it alike, so that they cannot
//! disagree.

use super::claims::{Head, Token, malformed, quoted};
use super::keys::{Key, KeySet};
use super::mapping::Received;
use super::rules::{Rules, name_of};
use super::times::{Bounds, Times};
use super::tokens::{Authenticator, Identity, now};
use super::trace::{Exam, Step};
use super::{SERVICE_ROLE, refuse};
use remit_core::{Actor, Kind, Result};
use serde_json::Value;
use std::sync::Arc;

/// How many of a token's audiences are repeated to its bearer.
const MOST_AUDIENCES: usize = 3;

/// What a token becomes, step by step.
#[derive(Debug)]
pub struct Explanation {
    /// What was looked at, in order.
    pub steps: Vec<Step>,
    /// Whom the token speaks for, or the first refusal: what a call with this token is answered.
    pub outcome: Result<Identity>,
    /// Whether the signature was left aside because the keys could not be had, so that nothing is proved.
    pub unsigned: bool,
}

impl Authenticator {
    /// Explains what a token becomes and why, and goes on after a refusal as far as that makes sense. With `offline` the
    /// signature is left aside if the issuer's keys cannot be had.
    pub async fn explain(&self, token: &str, offline: bool) -> Explanation {
        let mut exam = Exam::explaining(offline);
        let found = self.examine(token, &mut exam).await;
        let unsigned = exam.is_unsigned();
        let (steps, first) = exam.end();
        Explanation { steps, outcome: first.map_or(found, Err), unsigned }
    }

    /// Reads whom a token speaks for.
    ///
    /// # Errors
    /// As [`Authenticator::verify`].
    pub(super) async fn examine(&self, token: &str, exam: &mut Exam) -> Result<Identity> {
        let read = if token.len() > self.max_bytes {
            let most = self.max_bytes;
            Err(malformed(format!("the token has {} bytes, more than auth.max_token_bytes, {most}", token.len())))
        } else {
            Token::read(token)
        };
        let token = exam.find("header", read, |token| describe(&token.head))?.ok_or_else(Exam::over)?;
        let found = self.issuer(&token.body);
        let found = exam.find("issuer", found, |(set, rules)| format!("{} (preset: {})", set.issuer, rules.preset))?;
        let Some((set, rules)) = found else {
            exam.add(|| format!("configured: {}", self.issuers()));
            return Err(Exam::over());
        };
        let key = self.signature(&token, set, rules, exam).await?;
        if key.is_none() {
            exam.doubt();
        }
        self.said(&token, set, rules, key.as_deref(), exam).map_err(|error| {
            match rules.speaker(&set.issuer, &token.body) {
                Some(speaker) if error.kind() == Kind::Unauthenticated => error.with_source(speaker),
                _ => error,
            }
        })
    }

    /// Reads whom a token speaks for whose signature was looked at.
    fn said(
        &self,
        token: &Token<'_>,
        set: &KeySet,
        rules: &Rules,
        key: Option<&Key>,
        exam: &mut Exam,
    ) -> Result<Identity> {
        exam.find("type", rules.check_type(&token.head, &token.body), |kind| (*kind).to_owned())?;
        let times = exam.find("times", Times::read(&token.body), |times| describe_times(*times))?;
        if let Some(times) = times
            && let Err(error) = times.check(self.bounds(set))
        {
            exam.refuse("times", error)?;
        }
        if exam.find("audience", rules.check_audience(&token.body), ToString::to_string)?.is_none() {
            exam.add(|| format!("wanted: {}", rules.audiences.join(" or ")));
        }
        let token_id = exam.find("token id", rules.token_id.text(&token.body), |id| id.unwrap_or("none").to_owned())?;
        let claims = rules.map(&token.body, &set.kinds, exam)?;
        match (self.service(set, key, &claims), times, token_id) {
            (Ok(service), Some(times), Some(token_id)) => Ok(identity(set, claims, service, times, token_id)),
            (Ok(_), ..) => Err(Exam::over()),
            (Err(error), ..) => {
                exam.refuse("subject", error)?;
                Err(Exam::over())
            }
        }
    }

    /// The key set and the rules of the issuer that a token names.
    fn issuer(&self, body: &Value) -> Result<(&Arc<KeySet>, &Rules)> {
        let issuer = body.get("iss").and_then(Value::as_str);
        let set = issuer.and_then(|issuer| self.sets.iter().find(|set| set.issuer == issuer));
        let rules = issuer.and_then(|issuer| self.rules.get(issuer));
        set.zip(rules).ok_or_else(|| {
            let what = match issuer {
                Some(issuer) => format!("the token's issuer is not trusted: its iss is {}", quoted(issuer)),
                None => "the token names no issuer: it has no text as iss".to_owned(),
            };
            refuse("TOKEN_ISSUER", what)
        })
    }

    /// The configured issuers, for whoever may read the configuration.
    fn issuers(&self) -> String {
        self.sets.iter().map(|set| set.issuer.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The key that a token is signed with; none where an explanation goes on without it.
    async fn signature(
        &self,
        token: &Token<'_>,
        set: &Arc<KeySet>,
        rules: &Rules,
        exam: &mut Exam,
    ) -> Result<Option<Arc<Key>>> {
        let Some(algorithm) = rules.algorithms.iter().copied().find(|known| name_of(*known) == token.head.alg) else {
            exam.refuse("algorithm", refuse("TOKEN_ALGORITHM", "the token's algorithm is not allowed"))?;
            return Ok(None);
        };
        if exam.may_skip_signature() && !set.is_loaded() {
            exam.skip_signature("not checked: the issuer's keys cannot be had offline".to_owned());
            return Ok(None);
        }
        let key = self.key(set, token.head.kid.as_deref()).await;
        let Some(key) = exam.find("key", key, |key| format!("found, for {}", name_of(key.algorithm)))? else {
            return Ok(None);
        };
        if key.algorithm != algorithm {
            let what = "the token's algorithm is not that of its key";
            exam.refuse("algorithm", refuse("TOKEN_ALGORITHM", what))?;
            return Ok(None);
        }
        if !token.is_signed_by(&key) {
            exam.refuse("signature", refuse("TOKEN_SIGNATURE", "the token's signature is wrong"))?;
            return Ok(None);
        }
        exam.note("signature", || "right".to_owned());
        Ok(Some(key))
    }

    fn bounds(&self, set: &KeySet) -> Bounds {
        let own = set.issuer == self.suite;
        let lifetime = if own { self.max_lifetime.min(self.service_lifetime) } else { self.max_lifetime };
        Bounds { now: now(), leeway: self.leeway as f64, lifetime: lifetime as f64 }
    }
}

impl Rules {
    /// Whether a token is one that a program may be called with: an access token, or an ID token where they count.
    ///
    /// Providers sign many kinds of token with one key (RFC 8725, section 3.11). The header tells most of them; where it
    /// only says JWT, the payload does: `typ` of Keycloak, `events` of logout tokens (RFC 8417), and claims that a
    /// provider's access tokens always have and its ID tokens never.
    ///
    /// # Errors
    /// `Unauthenticated` (`TOKEN_TYPE`).
    pub(super) fn check_type(&self, head: &Head, body: &Value) -> Result<&'static str> {
        let typ = head.typ.as_deref().map(str::to_ascii_lowercase);
        let declared = match typ.as_deref() {
            None | Some("jwt") => false,
            Some("at+jwt" | "application/at+jwt") => true,
            Some(_) => {
                return Err(refuse("TOKEN_TYPE", "the header's typ is neither JWT nor at+jwt: this is another token"));
            }
        };
        if body.get("events").is_some() {
            return Err(refuse("TOKEN_TYPE", "the token has events: it tells of something, such as a logout"));
        }
        let said = body.get("typ").filter(|said| !said.is_null());
        let said = said.map(|said| said.as_str().unwrap_or_default().to_ascii_lowercase());
        let id = match said.as_deref() {
            Some("id") => true,
            Some("bearer" | "access" | "access_token" | "at+jwt") => false,
            Some("jwt") | None if declared => false,
            Some("jwt") | None if self.access_token_claims.is_empty() => {
                ["at_hash", "c_hash", "s_hash", "nonce"].iter().any(|name| body.get(*name).is_some())
            }
            Some("jwt") | None => !self.access_token_claims.iter().any(|path| path.find(body).is_some()),
            Some(_) => {
                return Err(refuse("TOKEN_TYPE", "the claim typ says neither Bearer nor ID: this is another token"));
            }
        };
        match (id, self.id_tokens) {
            (false, _) => Ok("an access token"),
            (true, true) => Ok("an ID token, which this issuer's table accepts"),
            (true, false) => Err(refuse(
                "TOKEN_TYPE",
                "the token is an ID token, which says who signed in: send the access token, \
                 or set accept_id_tokens for this issuer if it has no other",
            )),
        }
    }

    /// Whether the token is for us; the audience that makes it so.
    fn check_audience(&self, body: &Value) -> Result<String> {
        let wrong = || refuse("TOKEN_CLAIMS", "the token's aud is neither a text nor a list of texts");
        let named: Vec<&str> = match body.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().map(|one| one.as_str().ok_or_else(wrong)).collect::<Result<_>>()?,
            None | Some(Value::Null) => {
                let what = "the token has no aud, which must name for whom it is: let its provider put the audience in";
                return Err(refuse("TOKEN_CLAIMS", what));
            }
            Some(_) => return Err(wrong()),
        };
        let own = named.iter().find(|named| self.audiences.iter().any(|own| own == *named));
        own.map(|own| (*own).to_owned()).ok_or_else(|| {
            let mut said: Vec<_> = named.iter().take(MOST_AUDIENCES).map(|named| quoted(named)).collect();
            match named.len().saturating_sub(MOST_AUDIENCES) {
                0 if said.is_empty() => said.push("an empty list".to_owned()),
                0 => {}
                more => said.push(format!("{more} more")),
            }
            refuse("TOKEN_AUDIENCE", format!("the token is for another audience: its aud is {}", said.join(", ")))
        })
    }
}

fn identity(
    set: &KeySet,
    claims: Received,
    service: Option<&'static str>,
    times: Times,
    token_id: Option<&str>,
) -> Identity {
    let mut roles = claims.roles;
    if service.is_none() {
        roles.retain(|role| role != SERVICE_ROLE);
    }
    Identity {
        tenant: claims.tenant,
        actor: Actor {
            subject: claims.sub,
            kind: claims.kind,
            roles,
            role_groups: claims.role_groups,
            on_behalf_of: claims.on_behalf_of,
        }
        .into(),
        service,
        email: claims.email,
        issuer: set.issuer.clone(),
        token_id: super::token_id(token_id.unwrap_or_default()),
        issued: times.issued.unwrap_or_default() as u64,
        expires: times.until as u64,
    }
}

fn describe(head: &Head) -> String {
    let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
    format!("{}, key id {}, type {}", head.alg, or(&head.kid, "none"), or(&head.typ, "none"))
}

fn describe_times(times: Times) -> String {
    let time = |seconds: f64| {
        let at = jiff::Timestamp::from_second(seconds as i64);
        at.map_or_else(|_| "?".to_owned(), |at| at.to_string())
    };
    let (from, until) = (time(times.from), time(times.until));
    let left = times.until - now();
    let left = if left > 0.0 { format!("{left:.0} s left") } else { format!("over since {:.0} s", -left) };
    format!("from {from} until {until}, {left}")
}

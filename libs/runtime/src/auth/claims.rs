//! Reading a token's parts: strictly, so that no two readers of one token can see different things in it.

use super::keys::Key;
use super::refuse;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_core::unique::UniqueKeys;
use remit_core::{Error, Result};
use serde_json::Value;

/// A token taken apart; nothing of it is believed yet.
pub(crate) struct Token<'a> {
    /// What the signature is over.
    pub signed: &'a str,
    pub signature: &'a str,
    pub head: Head,
    /// The claims, an object.
    pub body: Value,
}

/// How many characters of what a token says are repeated to its bearer.
const MOST_QUOTED: usize = 100;

/// The header, as far as it matters.
pub(crate) struct Head {
    pub alg: String,
    pub kid: Option<String>,
    pub typ: Option<String>,
}

pub(super) fn malformed(what: impl Into<String>) -> Error {
    refuse("TOKEN_MALFORMED", what)
}

/// What a token says, for an answer or a log: bounded, and without what a terminal would obey or nobody would see.
pub(super) fn quoted(said: &str) -> String {
    match said.char_indices().nth(MOST_QUOTED) {
        Some((end, _)) => format!("{:?}…", &said[..end]),
        None => format!("{said:?}"),
    }
}

impl<'a> Token<'a> {
    /// Whether the signature is by `key`.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &key.decoding, key.algorithm)
            .unwrap_or(false)
    }

    /// Takes a token in compact form apart.
    ///
    /// # Errors
    /// `Unauthenticated`: `TOKEN_MALFORMED` if it is not a signed JWT, has a member twice or critical extensions,
    /// `TOKEN_TYPE` if what it carries is another token, or says its type in a way that nobody can read.
    pub fn read(text: &'a str) -> Result<Self> {
        let wrong = || malformed("the token is not a signed JWT");
        let mut parts = text.split('.');
        let (Some(head), Some(body), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let (head, body) = (object(head, "header")?, object(body, "claims")?);
        let signed = text.rsplit_once('.').map(|(signed, _)| signed).ok_or_else(wrong)?;
        if head.get("crit").is_some() {
            return Err(malformed("the token has critical header extensions, of which none is known"));
        }
        if head.get("cty").is_some() {
            return Err(refuse("TOKEN_TYPE", "the token's cty says that it carries another token"));
        }
        let text = |name: &str| match head.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(malformed(format!("the token's header has no text as {name}"))),
        };
        let alg = text("alg")?.ok_or_else(|| malformed("the token's header names no algorithm"))?;
        let head = Head { alg, kid: text("kid")?, typ: text("typ")? };
        Ok(Self { signed, signature, head, body })
    }
}

/// The object that a part of a token is. Most readers take the last of members that stand twice, some the first: what
/// one checks, another would not use (RFC 8725, section 2.4; RFC 7519, section 4).
fn object(part: &str, what: &str) -> Result<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("the token is not a signed JWT"))?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|_| malformed(format!("the token's {what} is no JSON")))?;
    serde_json::from_slice::<UniqueKeys>(&bytes).map_err(|error| malformed(format!("the token's {what}: {error}")))?;
    if value.is_object() { Ok(value) } else { Err(malformed(format!("the token's {what} is no JSON object"))) }
}

/// Where a claim stands: what begins with `/` is a JSON Pointer (RFC 6901), anything else the name of a claim at the
/// top, dots and all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimPath(String);

impl ClaimPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What it must be.
    pub fn new(text: &str) -> Result<Self, String> {
        let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if text.is_empty() || (text.starts_with('/') && !escapes) {
            return Err(format!(
                "{text:?} must be the name of a claim, or a JSON Pointer such as /realm_access/roles (RFC 6901)"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The pointer to `names`, one in the other.
    pub fn of(names: &[&str]) -> Self {
        let parts = names.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
        Self(parts.collect())
    }

    /// The claim, if the token has it; one that is null it has not.
    pub fn find<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        let found = if self.0.starts_with('/') { body.pointer(&self.0) } else { body.get(&self.0) };
        found.filter(|value| !value.is_null())
    }

    /// The same, which must be text.
    ///
    /// # Errors
    /// `Unauthenticated` (`TOKEN_CLAIMS`).
    pub fn text<'a>(&self, body: &'a Value) -> Result<Option<&'a str>> {
        match self.find(body) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(refuse("TOKEN_CLAIMS", format!("the token's {self} is no text"))),
        }
    }

    /// The words of the claim: those of a list, or of a text with spaces between them; none if it is not there.
    ///
    /// # Errors
    /// `Unauthenticated` (`TOKEN_CLAIMS`).
    pub fn words<'a>(&self, body: &'a Value) -> Result<Vec<&'a str>> {
        let wrong = || refuse("TOKEN_CLAIMS", format!("the token's {self} is neither a text nor a list of texts"));
        match self.find(body) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(text.split_whitespace().collect()),
            Some(Value::Array(list)) => list.iter().map(|item| item.as_str().ok_or_else(wrong)).collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// Whether the claim is there and says something that `fits`, as itself or as one of a list.
    pub fn says(&self, body: &Value, fits: impl Fn(&str) -> bool) -> bool {
        let one = |value: &Value| match value {
            Value::String(text) => fits(text),
            Value::Bool(_) | Value::Number(_) => fits(&value.to_string()),
            _ => false,
        };
        match self.find(body) {
            Some(Value::Array(list)) => list.iter().any(one),
            Some(value) => one(value),
            None => false,
        }
    }
}

impl std::fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_is_a_name_or_a_pointer_and_never_both() {
        let body = json!({
            "a.b": "dots",
            "a": {"b": "nested", "c/d": ["x"]},
            "https://remit.example/roles": ["viewer"],
            "none": null,
        });
        for (path, found) in [
            ("a.b", json!("dots")),
            ("/a/b", json!("nested")),
            ("/a/c~1d/0", json!("x")),
            ("https://remit.example/roles", json!(["viewer"])),
            ("/https:~1~1remit.example~1roles", json!(["viewer"])),
        ] {
            assert_eq!(ClaimPath::new(path).unwrap().find(&body), Some(&found), "{path}");
        }
        for absent in ["none", "/none", "/a/x", "b"] {
            assert_eq!(ClaimPath::new(absent).unwrap().find(&body), None, "{absent}");
        }
        assert_eq!(ClaimPath::of(&["resource_access", "a/b~c", "roles"]).0, "/resource_access/a~1b~0c/roles");
        for wrong in ["", "/a~", "/a~2b"] {
            assert!(ClaimPath::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_stand_in_lists_or_between_spaces() {
        let body = json!({"list": ["a b", "c"], "text": " a  b ", "number": 1, "mixed": ["a", 1], "empty": []});
        let words = |path: &str| ClaimPath::new(path).unwrap().words(&body);
        assert_eq!(words("list").unwrap(), ["a b", "c"]);
        assert_eq!(words("text").unwrap(), ["a", "b"]);
        assert!(words("empty").unwrap().is_empty() && words("absent").unwrap().is_empty());
        assert!(words("number").is_err() && words("mixed").is_err());
    }
}

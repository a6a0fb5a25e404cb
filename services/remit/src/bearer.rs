//! The connection of somebody with a token.

use crate::patience::{LIMIT, Patient};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_core::{Error, Result};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Adds a token to every call.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

/// The connection of a generated client. One type for all of them, so that each method is compiled once.
pub(crate) type Wire = InterceptedService<Patient, Bearer>;

/// The token in a text that may be one as it stands in a header, with `Bearer` in front.
pub(crate) fn bare(text: &str) -> &str {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_start(),
        _ => text,
    }
}

impl Bearer {
    /// Takes a token, with or without `Bearer` in front.
    ///
    /// # Errors
    /// `InvalidArgument` (`TOKEN_INVALID`).
    pub(crate) fn new(token: &str) -> Result<Self> {
        let value = format!("Bearer {}", bare(token)).parse::<MetadataValue<Ascii>>();
        let mut value =
            value.map_err(|_| Error::invalid("TOKEN_INVALID", "token", "has characters that no token has"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The tenant that the token claims; empty if it is none that can be read. Nobody has verified it.
    pub(crate) fn tenant(&self) -> String {
        let claims = self.0.to_str().ok().and_then(|text| text.split('.').nth(1));
        let claims = claims.and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        let claims = claims.and_then(|claims| serde_json::from_slice::<serde_json::Value>(&claims).ok());
        let tenant = claims.as_ref().and_then(|claims| claims.get("tenant")).and_then(serde_json::Value::as_str);
        tenant.unwrap_or_default().to_owned()
    }

    /// The connection with this token over `channel`.
    pub(crate) fn over(&self, channel: Channel) -> Wire {
        self.over_within(channel, LIMIT)
    }

    /// The same, where the server may be silent for `limit`.
    pub(crate) fn over_within(&self, channel: Channel, limit: Duration) -> Wire {
        InterceptedService::new(Patient::new(channel, limit), self.clone())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_as_it_stands_in_a_header_too() {
        for text in ["a.b.c", " a.b.c\n", "Bearer a.b.c\n", "bearer  a.b.c", "BEARER\ta.b.c"] {
            assert_eq!(bare(text), "a.b.c", "{text:?}");
        }
        assert_eq!(bare("Basic a.b.c"), "Basic a.b.c");
        assert_eq!(bare("bearer.b.c"), "bearer.b.c");
    }
}

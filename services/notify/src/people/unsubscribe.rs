//! Links by which somebody wants no more e-mails of a kind, with one click (RFC 8058). What signs a link is the tenant's and
//! signs nothing else; a link does this one thing for this one address, and nothing that the law or the constitution puts a
//! clock on. Whoever only looks at a link, as programs that scan mail do, changes nothing.

use crate::duties;
use crate::language::{self, say};
use crate::service::Service;
use crate::store::{link_keys, settings};
use askama::Template;
use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_core::{Result, Tenant};
use remit_store::{Mutation, tenants};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a link says.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Link {
    pub(crate) tenant: String,
    /// The last part of the name of the settings.
    pub(crate) settings: String,
    pub(crate) duty: String,
    token: String,
}

/// The keys of tenants that this process knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(Arc<Mutex<HashMap<Tenant, Vec<u8>>>>);

impl Keys {
    fn get(&self, tenant: &Tenant) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    fn keep(&self, tenant: &Tenant, key: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), key.to_vec());
    }
}

impl Service {
    /// What signs the links of a tenant; made if there is none.
    pub(crate) async fn link_key(&self, tenant: &Tenant) -> Result<Vec<u8>> {
        if let Some(key) = self.keys.get(tenant) {
            return Ok(key);
        }
        let mut fresh = [0; 32];
        self.ids.fill(&mut fresh);
        let make = async |m: &mut Mutation| link_keys::make(m, &fresh).await;
        let key = self.db.own(tenant, "notify.links.sign", make).await?;
        self.keys.keep(tenant, &key);
        Ok(key)
    }

    /// What signs the links of a tenant, if it is one and has one.
    pub(crate) async fn known_link_key(&self, tenant: &Tenant) -> Result<Option<Vec<u8>>> {
        if let Some(key) = self.keys.get(tenant) {
            return Ok(Some(key));
        }
        // Whoever makes names up does not get as far as the database.
        if !tenants::known(&self.db).contains(tenant) {
            return Ok(None);
        }
        let key = link_keys::find(&mut self.db.read().await?, tenant).await?;
        if let Some(key) = &key {
            self.keys.keep(tenant, key);
        }
        Ok(key)
    }
}

fn signed(link: (&Tenant, &str, &str)) -> String {
    format!("remit unsubscribe\0{}\0{}\0{}", link.0, link.1, link.2)
}

/// The link by which the holder of some settings wants no more e-mails of a kind of duty.
pub(crate) fn link(base: &str, key: &[u8], tenant: &Tenant, settings: &str, duty: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let token = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed((tenant, settings, duty)).as_bytes()));
    // All of it is letters, digits, '.', '_' and '-', which stand for themselves in a URL.
    format!("{base}/notify/unsubscribe?tenant={tenant}&settings={settings}&duty={duty}&token={token}")
}

/// Whether a link was signed by this key.
pub(crate) fn is_genuine(link: &Link, key: &[u8], tenant: &Tenant) -> bool {
    let Ok(token) = URL_SAFE_NO_PAD.decode(&link.token) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, signed((tenant, &link.settings, &link.duty)).as_bytes(), &token).is_ok()
}

/// The pages that the links lead to.
pub(crate) fn router(service: Service) -> Router {
    Router::new().route("/notify/unsubscribe", get(ask).post(change)).with_state(service)
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ language }}"><head><meta charset="utf-8"><title>Remit</title></head>
<body style="font-family: sans-serif; max-width: 40em"><p>{{ text }}</p>
{% if !button.is_empty() %}<form method="post"><button type="submit">{{ button }}</button></form>{% endif %}
</body></html>
"#
)]
struct Page<'a> {
    language: &'a str,
    text: String,
    button: String,
}

fn page(status: StatusCode, language: &str, text: &str, button: &str) -> Response {
    let button = if button.is_empty() { String::new() } else { say(language, button, &[]) };
    let page = Page { language, text: say(language, text, &[]), button }.render().unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
    ];
    (status, headers, page).into_response()
}

/// The tenant of a genuine link.
async fn genuine(service: &Service, link: &Link) -> Result<Option<Tenant>> {
    let Ok(tenant) = Tenant::new(link.tenant.as_str()) else { return Ok(None) };
    let Some(key) = service.known_link_key(&tenant).await? else { return Ok(None) };
    Ok(is_genuine(link, &key, &tenant).then_some(tenant))
}

async fn ask(State(service): State<Service>, link: Result<Query<Link>, QueryRejection>) -> Response {
    let mut language = service.language.clone();
    let Ok(Query(link)) = link else { return page(StatusCode::BAD_REQUEST, &language, "unsubscribe-wrong", "") };
    let found = async {
        let tenant = genuine(&service, &link).await?;
        if let Some(tenant) = &tenant {
            let usual = settings::usual_language(&mut service.db.read().await?, tenant).await?;
            language = language::of(&usual, &service.language).to_owned();
        }
        Ok(tenant)
    };
    match found.await {
        Ok(Some(_)) if duties::is_statutory(&link.duty) => page(StatusCode::OK, &language, "unsubscribe-clock", ""),
        Ok(Some(_)) => page(StatusCode::OK, &language, "unsubscribe-question", "unsubscribe-yes"),
        Ok(None) => page(StatusCode::BAD_REQUEST, &language, "unsubscribe-wrong", ""),
        Err(error) => remit_runtime::layers::http_auth::problem(error),
    }
}

async fn change(State(service): State<Service>, link: Result<Query<Link>, QueryRejection>) -> Response {
    let language = service.language.clone();
    let Ok(Query(link)) = link else { return page(StatusCode::BAD_REQUEST, &language, "unsubscribe-wrong", "") };
    let changed = async {
        let Some(tenant) = genuine(&service, &link).await? else { return Ok(None) };
        if duties::is_statutory(&link.duty) {
            return Ok(Some((language.clone(), "unsubscribe-clock")));
        }
        let set = service.unsubscribe(&tenant, &link.settings, &link.duty).await?;
        Ok(Some((language::of(&set, &language).to_owned(), "unsubscribe-done")))
    };
    match changed.await {
        Ok(Some((language, text))) => page(StatusCode::OK, &language, text, ""),
        Ok(None) => page(StatusCode::BAD_REQUEST, &language, "unsubscribe-wrong", ""),
        Err(error) => remit_runtime::layers::http_auth::problem(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_link_is_good_for_what_it_says_and_nothing_else() {
        let (acme, other) = (Tenant::new("acme").unwrap(), Tenant::new("other").unwrap());
        let made = link("https://remit.example", &[1; 32], &acme, "subject.ab", "alert_resolved");
        let token = made.rsplit_once("token=").unwrap().1.to_owned();
        let link = |settings: &str, duty: &str, token: &str| Link {
            tenant: "acme".to_owned(),
            settings: settings.to_owned(),
            duty: duty.to_owned(),
            token: token.to_owned(),
        };
        let good = link("subject.ab", "alert_resolved", &token);
        assert!(is_genuine(&good, &[1; 32], &acme));
        assert!(!is_genuine(&good, &[1; 32], &other) && !is_genuine(&good, &[2; 32], &acme));
        for wrong in [
            link("subject.ac", "alert_resolved", &token),
            link("subject.ab", "waiver_expired", &token),
            link("subject.ab", "alert_resolved", ""),
            link("subject.ab", "alert_resolved", "%%"),
            link("subject.ab", "alert_resolved", &token[1..]),
        ] {
            assert!(!is_genuine(&wrong, &[1; 32], &acme), "{wrong:?}");
        }
    }
}

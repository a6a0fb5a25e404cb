//! Configuration: embedded defaults, then a file, then the environment; unknown keys are refused.

mod addresses;
mod issuers;
mod layers;
mod notify;
mod reference;
mod shown;
mod span;

pub use addresses::Addresses;
pub use issuers::{
    EmailClaims, Grants, GroupClaims, Issuer, KindRule, KindRules, Preset, SubjectClaims, TenantClaim, WordClaims,
    Worth,
};
pub use notify::{Notify, Smtp, SmtpTls};
pub use reference::reference_markdown;
pub use shown::in_force;
pub use span::Span;

use remit_core::{Error, Kind, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The defaults, with a comment on every setting.
pub const DEFAULT: &str = include_str!("../../config.default.toml");

/// Everything that can be set. Each field is documented in `config.default.toml`, from which the
/// reference is generated.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Config {
    pub mode: Mode,
    pub data: Data,
    pub database: Database,
    pub server: Server,
    pub limits: Limits,
    pub operations: Operations,
    pub auth: Auth,
    pub mandates: MandateKeys,
    pub roles: BTreeMap<String, Vec<String>>,
    pub peers: BTreeMap<String, Addresses>,
    pub peer_tls: PeerTls,
    pub clock: ClockConfig,
    pub relay: Relay,
    pub audit: Audit,
    pub timers: Timers,
    pub council: Council,
    pub scoring: Scoring,
    pub notify: Notify,
    pub telemetry: Telemetry,
}

/// What the process is for. Production refuses to start with what only development may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Trying out, tests and demonstrations.
    Development,
    /// Work that counts.
    Production,
}

/// The section `[data]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Data {
    pub dir: PathBuf,
}

/// The section `[database]`. URLs hold passwords and are never printed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Database {
    pub url: SecretString,
    pub connections: u32,
    pub transaction_pooler: bool,
    pub migrate: bool,
    pub keep_answers: Span,
    pub urls: BTreeMap<String, SecretString>,
}

/// The section `[server]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Server {
    pub listen: String,
    pub only: Vec<String>,
    pub tls_certificate: PathBuf,
    pub tls_key: PathBuf,
    pub tls_client_ca: PathBuf,
    pub tls_terminated_by_proxy: bool,
    pub cors_origins: Vec<String>,
    pub reflection: bool,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub proxies: Vec<IpAddr>,
    pub handshake_timeout: Span,
    pub first_call_timeout: Span,
    pub body_timeout: Span,
    pub max_streams: u32,
    pub max_calls: usize,
    pub max_open_streams: usize,
    pub connection_age: Span,
    pub connection_age_grace: Span,
    pub keepalive_interval: Span,
    pub keepalive_timeout: Span,
    pub deadline_default: Span,
    pub deadline_max: Span,
    pub stream_deadline_max: Span,
    pub drain_delay: Span,
    pub drain_timeout: Span,
}

/// The section `[peer_tls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct PeerTls {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The section `[limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Limits {
    pub calls_per_tenant: usize,
    pub calls_per_subject: usize,
    pub streams_per_tenant: usize,
    pub streams_per_subject: usize,
    pub rate_per_tenant: u32,
    pub rate_per_subject: u32,
    pub burst: Span,
    pub searches: usize,
    pub searches_per_tenant: usize,
    pub reserved_calls: usize,
    pub request_bytes: usize,
    pub bad_tokens_per_address: u32,
    pub open_calls_per_address: usize,
}

/// The section `[operations]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Operations {
    pub listen: String,
    pub metrics: bool,
}

/// The section `[auth]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Auth {
    pub audience: String,
    pub algorithms: Vec<String>,
    pub max_lifetime: Span,
    pub leeway: Span,
    pub max_token_bytes: usize,
    pub jwks_refresh: Span,
    pub jwks_min_interval: Span,
    pub jwks_max_age: Span,
    pub jwks_timeout: Span,
    pub cache_tokens: u64,
    pub cache_ttl: Span,
    pub access_max_age: Span,
    pub development: bool,
    pub issuer_dir: PathBuf,
    pub service_key: PathBuf,
    pub service_jwks: String,
    pub service_issuer: String,
    pub service_lifetime: Span,
    pub issuers: Vec<Issuer>,
}

/// The section `[mandates]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct MandateKeys {
    pub key: PathBuf,
    pub jwks: String,
    pub lifetime: Span,
}

/// The section `[clock]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ClockConfig {
    pub allow_manual: bool,
    pub manual: bool,
    pub start: String,
}

/// The section `[relay]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Relay {
    pub batch: u32,
    pub poll: Span,
    pub retry_min: Span,
    pub retry_max: Span,
    pub max_depth: i64,
}

/// The section `[audit]`. Master keys are never printed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Audit {
    pub origin: String,
    pub signing_key: PathBuf,
    pub next_signing_key: PathBuf,
    pub retired_keys: Vec<String>,
    pub master_keys_file: PathBuf,
    pub master_keys: SecretString,
    pub witnesses: Vec<String>,
    pub max_queued_events: usize,
    pub max_queued_bytes: usize,
    pub linger: Span,
    pub prune_every: Span,
    pub timestamp_url: String,
    pub timestamp_every: Span,
    pub timestamp_ca: PathBuf,
    pub security_tenant: String,
}

/// The section `[timers]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Timers {
    pub poll: Span,
}

/// The section `[council]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Council {
    pub seal_min_cosignatures: usize,
    pub source_patience: Span,
    pub verify_whole_log_up_to: i64,
    pub restated_months: usize,
}

/// The section `[scoring]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Scoring {
    pub stale_after: Span,
    pub deny_after: Span,
    pub first_state_wait: Span,
    pub audit_every: u32,
    pub audit_denied: u32,
}

/// The section `[telemetry]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Telemetry {
    pub log: String,
    pub format: String,
    pub otlp_endpoint: String,
    pub sample_ratio: f64,
}

impl Config {
    /// Reads the defaults, then `file` if one is given, then the process's environment.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) naming the key, and the file or variable it came from.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        Self::load_with(file, std::env::vars())
    }

    /// The same with the environment given.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        layers::read(file.map(layers::file).into_iter().chain(env.into_iter().filter_map(layers::variable)))
    }

    /// The defaults overridden by `toml` alone, for tests and embedding.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_toml(toml: &str) -> Result<Self> {
        layers::read([layers::text("the text given".to_owned(), toml)])
    }

    /// Checks what types alone cannot say.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) naming the key and what it must be.
    pub fn check(&self) -> Result<()> {
        let url_ok = |url: &str| {
            url.is_empty() || ["postgres://", "postgresql://", "sqlite:"].iter().any(|p| url.starts_with(p))
        };
        let need = |ok: bool, field: &str, what: &str| if ok { Ok(()) } else { Err(invalid(field, what)) };
        need(url_ok(self.database.url.expose_secret()), "database.url", "must start with postgres:// or be empty")?;
        for (service, url) in &self.database.urls {
            need(
                url_ok(url.expose_secret()),
                &format!("database.urls.{service}"),
                "must start with postgres:// or sqlite:",
            )?;
        }
        for (service, urls) in &self.peers {
            need(urls.is_usable(), &format!("peers.{service}"), "must start with http:// or https://")?;
        }
        need((1..=1000).contains(&self.database.connections), "database.connections", "must be 1 to 1000")?;
        need(self.database.keep_answers.get().as_secs() >= 3_600, "database.keep_answers", "must be at least 1h")?;
        need(!self.data.dir.as_os_str().is_empty(), "data.dir", "must not be empty")?;
        need((1..=500).contains(&self.relay.batch), "relay.batch", "must be 1 to 500")?;
        need(self.relay.max_depth >= 1, "relay.max_depth", "must be at least 1")?;
        need(self.audit.max_queued_events >= 1_000, "audit.max_queued_events", "must be at least 1000, one batch")?;
        need(
            self.audit.linger.get() <= std::time::Duration::from_millis(100),
            "audit.linger",
            "must be at most 100ms",
        )?;
        need(self.audit.max_queued_bytes >= 8 << 20, "audit.max_queued_bytes", "must be at least 8388608, one batch")?;
        let pause = self.audit.prune_every.get().as_secs();
        need(pause == 0 || pause >= 60, "audit.prune_every", "must be at least 1m, or 0s for never")?;
        need(self.audit.timestamp_every.get().as_secs() >= 1, "audit.timestamp_every", "must be at least 1s")?;
        need(
            remit_core::Tenant::new(self.audit.security_tenant.as_str()).is_ok(),
            "audit.security_tenant",
            "must be a tenant: 1 to 63 of a-z, 0-9 and -, starting with a letter",
        )?;
        need(
            self.council.seal_min_cosignatures <= self.audit.witnesses.len(),
            "council.seal_min_cosignatures",
            "must be at most the number of audit.witnesses",
        )?;
        let patience = self.council.source_patience.get().as_secs();
        need((1..=600).contains(&patience), "council.source_patience", "must be 1s to 10m")?;
        need((1..=120).contains(&self.council.restated_months), "council.restated_months", "must be 1 to 120")?;
        need(self.council.verify_whole_log_up_to >= 0, "council.verify_whole_log_up_to", "must be at least 0")?;
        need(self.server.max_calls >= 1, "server.max_calls", "must be at least 1")?;
        need(self.server.max_streams >= 1, "server.max_streams", "must be at least 1")?;
        self.check_bounds()?;
        self.notify.check()?;
        let both = self.server.tls_certificate.as_os_str().is_empty() == self.server.tls_key.as_os_str().is_empty();
        need(both, "server.tls_key", "must be set exactly if server.tls_certificate is")?;
        let served =
            self.server.tls_client_ca.as_os_str().is_empty() || !self.server.tls_certificate.as_os_str().is_empty();
        need(served, "server.tls_client_ca", "needs server.tls_certificate")?;
        let both = self.peer_tls.certificate.as_os_str().is_empty() == self.peer_tls.key.as_os_str().is_empty();
        need(both, "peer_tls.key", "must be set exactly if peer_tls.certificate is")?;
        need(!self.auth.audience.is_empty(), "auth.audience", "must not be empty")?;
        need(!self.auth.algorithms.is_empty(), "auth.algorithms", "must name at least one algorithm")?;
        crate::auth::algorithms(&self.auth.algorithms, "auth.algorithms")?;
        let bytes = (1_024..=32_768).contains(&self.auth.max_token_bytes);
        need(bytes, "auth.max_token_bytes", "must be 1024 to 32768")?;
        let known = self.auth.access_max_age.get().as_secs();
        need(known >= 60, "auth.access_max_age", "must be at least 1m")?;
        let own = &self.auth.service_issuer;
        let ok = !own.is_empty() && own != crate::auth::DEVELOPMENT_ISSUER;
        need(ok, "auth.service_issuer", "must not be empty, nor the name of the development issuer")?;
        let (refresh, max_age) = (self.auth.jwks_refresh.get(), self.auth.jwks_max_age.get());
        need(max_age > refresh, "auth.jwks_max_age", "must be longer than auth.jwks_refresh")?;
        let trusted = self.auth.development || !self.auth.issuers.is_empty();
        need(trusted, "auth.issuers", "must name an issuer, or auth.development be true")?;
        crate::auth::Rules::all(self)?;
        need(!self.clock.manual || self.clock.allow_manual, "clock.manual", "needs clock.allow_manual = true")?;
        let start = self.clock.start.is_empty() || self.clock.start.parse::<jiff::Timestamp>().is_ok();
        need(start, "clock.start", "must be an RFC 3339 time such as 2008-05-01T00:00:00Z")?;
        need(matches!(self.telemetry.format.as_str(), "text" | "json"), "telemetry.format", "must be text or json")?;
        need((0.0..=1.0).contains(&self.telemetry.sample_ratio), "telemetry.sample_ratio", "must be 0 to 1")?;
        let (stale_after, deny_after) = (self.scoring.stale_after.get(), self.scoring.deny_after.get());
        let alive = "must be longer than 5s, in which a watch stream says that it is alive";
        need(stale_after > crate::watch::HEARTBEAT, "scoring.stale_after", alive)?;
        need(deny_after >= stale_after, "scoring.deny_after", "must be at least scoring.stale_after")?;
        need(self.scoring.audit_denied <= 10_000, "scoring.audit_denied", "must be at most 10000")?;
        for poll in [("relay.poll", self.relay.poll), ("timers.poll", self.timers.poll)] {
            need(poll.1.get().as_millis() >= 10, poll.0, "must be at least 10ms")?;
        }
        Ok(())
    }

    /// What a server may be asked for at once, and how long it waits.
    fn check_bounds(&self) -> Result<()> {
        let (server, limits) = (&self.server, &self.limits);
        let counts = [
            ("server.max_connections", server.max_connections),
            ("server.max_connections_per_address", server.max_connections_per_address),
            ("server.max_open_streams", server.max_open_streams),
            ("limits.calls_per_tenant", limits.calls_per_tenant),
            ("limits.calls_per_subject", limits.calls_per_subject),
            ("limits.streams_per_tenant", limits.streams_per_tenant),
            ("limits.streams_per_subject", limits.streams_per_subject),
            ("limits.searches", limits.searches),
            ("limits.searches_per_tenant", limits.searches_per_tenant),
            ("limits.open_calls_per_address", limits.open_calls_per_address),
        ];
        for (field, count) in counts {
            if !(1..=1_000_000).contains(&count) {
                return Err(invalid(field, "must be 1 to 1000000"));
            }
        }
        if limits.request_bytes == 0 {
            return Err(invalid("limits.request_bytes", "must be at least 1"));
        }
        let waits = [
            ("server.handshake_timeout", server.handshake_timeout),
            ("server.first_call_timeout", server.first_call_timeout),
            ("server.body_timeout", server.body_timeout),
            ("limits.burst", limits.burst),
        ];
        for (field, wait) in waits {
            if wait.get().as_millis() < 10 {
                return Err(invalid(field, "must be at least 10ms"));
            }
        }
        // Port 0 is another one each time.
        let same = self.operations.listen == server.listen && !server.listen.ends_with(":0");
        if !self.operations.listen.is_empty() && same {
            return Err(invalid("operations.listen", "must not be server.listen; empty, it is the same port"));
        }
        Ok(())
    }

    /// The directory of the development issuer.
    pub fn issuer_dir(&self) -> &Path {
        if self.auth.issuer_dir.as_os_str().is_empty() { &self.data.dir } else { &self.auth.issuer_dir }
    }

    /// Those of the suite's services that this process runs.
    pub fn services(&self) -> Vec<&'static str> {
        let runs = |service: &&str| self.server.only.is_empty() || self.server.only.iter().any(|name| name == service);
        remit_core::SERVICES.into_iter().filter(runs).collect()
    }

    /// The private key that signs mandates, in the process that runs the council.
    pub fn mandate_key(&self) -> PathBuf {
        let own = self.mandates.key.as_os_str().is_empty();
        if own { self.issuer_dir().join("council.key") } else { self.mandates.key.clone() }
    }

    /// The file or URL of the key set that mandates are verified with.
    pub fn mandate_jwks(&self) -> String {
        let own = self.mandates.jwks.is_empty();
        if own { self.issuer_dir().join("council-jwks.json").display().to_string() } else { self.mandates.jwks.clone() }
    }

    /// The database URL of a service.
    pub fn database_url(&self, service: &str) -> SecretString {
        let url = self.database.urls.get(service).unwrap_or(&self.database.url);
        if url.expose_secret().is_empty() {
            let file = self.data.dir.join(format!("{service}.db"));
            return SecretString::from(format!("sqlite:{}", file.display()));
        }
        url.clone()
    }

    /// The schema that a service keeps to in its database: one of its own name, unless it has a database of its own.
    pub fn database_schema(&self, service: &str) -> Option<String> {
        (!self.database.urls.contains_key(service)).then(|| service.to_owned())
    }

    /// The files of certificates that the process shows or believes, each with the setting that names it.
    pub fn certificates(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let all = [
            ("server.tls_certificate", &self.server.tls_certificate),
            ("server.tls_client_ca", &self.server.tls_client_ca),
            ("peer_tls.certificate", &self.peer_tls.certificate),
            ("peer_tls.ca", &self.peer_tls.ca),
            ("audit.timestamp_ca", &self.audit.timestamp_ca),
            ("notify.smtp.ca_file", &self.notify.smtp.ca_file),
        ];
        all.into_iter()
            .filter(|(_, path)| !path.as_os_str().is_empty())
            .map(|(setting, path)| (setting, path.as_path()))
    }
}

fn invalid(field: impl Into<String>, what: impl Into<String>) -> Error {
    let (field, what) = (field.into(), what.into());
    Error::new(Kind::InvalidArgument, "CONFIG_INVALID", format!("{field}: {what}")).with_violation(field, what)
}

#[cfg(test)]
mod tests;

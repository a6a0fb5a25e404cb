//! `remit doctor`: what is wrong with a configuration, or with a running suite, and what to do about it.

use super::databases;
use super::kept::{self, Finding};
use crate::args::Doctor;
use crate::bearer::Bearer;
use crate::cli::{bearer, endpoint, print_raw, reach, refused};
use crate::exit::causes;
use remit_api::council::v1::constitution_service_client::ConstitutionServiceClient;
use remit_api::council::v1::{Constitution, GetConstitutionRequest};
use remit_api::system::v1::GetInfoRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_core::{Clock as _, Error, Kind, Result, SERVICES, SystemClock, Timestamp};
use remit_runtime::auth::Authenticator;
use remit_runtime::config::Mode;
use remit_runtime::{Config, Mandates, Peers, certificates, production};
use remit_store::private;
use secrecy::ExposeSecret as _;
use std::time::Duration;
use tonic::transport::Channel;

/// The connections that a server keeps for its administrators.
const RESERVED: i64 = 3;

/// How long a running suite may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Collects findings, so that one run tells all of them.
#[derive(Default)]
struct Findings {
    bad: usize,
}

impl Findings {
    fn good(&self, what: &str) {
        self.tell("ok  ", what);
    }

    fn warn(&self, what: &str) {
        self.tell("warn", what);
    }

    fn bad(&mut self, what: &str, error: &Error) {
        self.bad += 1;
        let because: String = causes(error).into_iter().map(|cause| format!("\n          because: {cause}")).collect();
        self.tell("FAIL", &format!("{what}: {error} ({}){because}", error.reason()));
    }

    fn add(&mut self, what: &str, finding: Finding) {
        match finding {
            Finding::Good(text) => self.good(&text),
            Finding::Warn(text) => self.warn(&text),
            Finding::Bad(error) => self.bad(what, &error),
        }
    }

    fn tell(&self, verdict: &str, what: &str) {
        // A finding that cannot be written is still counted.
        let _ = print_raw(format!("  {verdict}  {what}\n").as_bytes());
    }
}

pub(super) async fn run(args: Doctor) -> Result<()> {
    let mut findings = Findings::default();
    match &args.server {
        Some(server) => look_at_server(server, &args, &mut findings).await,
        None => match args.settings.load() {
            Ok(mut config) => {
                if !args.only.is_empty() {
                    config.server.only.clone_from(&args.only);
                }
                let known = |name: &&String| SERVICES.contains(&name.as_str());
                let unknown = args.only.iter().find(|name| !known(name));
                let unknown = unknown.map(|name| {
                    let what = format!("there is no service {name:?}; there are {}", SERVICES.join(", "));
                    Error::invalid("CONFIG_INVALID", "server.only", what)
                });
                match unknown.map_or_else(|| config.check(), Err) {
                    Ok(()) => look_at_config(&config, &mut findings).await,
                    Err(error) => findings.bad("configuration", &error),
                }
            }
            Err(error) => findings.bad("configuration", &error),
        },
    }
    match findings.bad {
        0 => Ok(()),
        bad => Err(Error::precondition("DOCTOR_FOUND_FAULTS", format!("{bad} of the checks above failed"))),
    }
}

async fn look_at_config(config: &Config, findings: &mut Findings) {
    findings.good("configuration: every key is known and in range");
    if config.auth.development && config.auth.issuers.is_empty() {
        findings.warn("auth: the development issuer signs tokens; set auth.issuers in production");
    }
    for issuer in config.auth.issuers.iter().filter(|issuer| issuer.tenants == ["*"]) {
        findings.warn(&format!("auth: {} may speak for any tenant; list those that it should", issuer.issuer));
    }
    if config.auth.development && config.auth.service_key.as_os_str().is_empty() {
        findings.warn(
            "auth: the suite's own services sign with keys in auth.issuer_dir; set auth.service_key in production",
        );
    }
    match (config.mode, production::check(config)) {
        (Mode::Development, Ok(())) => {
            findings.warn("mode: development; set mode = \"production\" for work that counts");
        }
        (Mode::Production, Ok(())) => findings.good("mode: production, and nothing is in its way"),
        (_, Err(error)) => {
            for found in error.violations() {
                findings
                    .bad("mode", &Error::invalid("CONFIG_INVALID", found.field.as_str(), found.description.as_str()));
            }
        }
    }
    for dir in [config.data.dir.as_path(), config.issuer_dir()] {
        if let Err(error) = private::check_directory(dir) {
            findings.bad("files", &error);
        }
    }
    if config.clock.allow_manual {
        findings.warn("clock: a manual clock is allowed; never allow it in production");
    }
    if production::is_open_in_the_clear(&config.server) {
        findings.warn(
            "server: listens beyond this machine without TLS; set server.tls_certificate, or terminate TLS in front of it \
             and say so by server.tls_terminated_by_proxy",
        );
    }
    let now = SystemClock.now();
    findings.add("disk", kept::room(&config.data.dir));
    for found in kept::certificates(config, now) {
        findings.add("certificates", found);
    }
    for (setting, found) in certificates::pairs(config) {
        match found {
            Ok(()) => findings.good(&format!("certificates: {setting} goes with its key")),
            Err(error) => findings.bad("certificates", &error),
        }
    }
    look_at_keys(config, findings).await;
    look_at_port(config, findings);
    look_at_databases(config, now, findings).await;
    for (peer, found) in look_at_peers(config).await {
        match found {
            Ok(()) => findings.good(&format!("peer {peer}: its health is SERVING")),
            Err(error) => findings.bad(&format!("peer {peer}"), &error),
        }
    }
}

async fn look_at_databases(config: &Config, now: Timestamp, findings: &mut Findings) {
    let mut servers = Vec::new();
    for service in databases::named(config) {
        let what = format!("database of {}", service.name);
        if let Some(path) = config.database_url(service.name).expose_secret().strip_prefix("sqlite:")
            && !std::path::Path::new(path).exists()
        {
            findings.good(&format!("{what}: {path} is made at the first start"));
            continue;
        }
        // A look must not change anything: pending migrations are reported, not run.
        match databases::open(config, &service, false).await {
            Ok(db) => {
                findings.good(&format!("{what}: reachable, migrations up to date"));
                match db.server_connections().await {
                    Ok(most) => servers.extend(most),
                    Err(error) => findings.bad(&what, &error),
                }
                if service.name == "audit" {
                    findings.add("keys", kept::log_keys(config, &db).await);
                }
                match kept::waiting(service.name, &db, now).await {
                    Ok(found) => findings.add("outbox", found),
                    Err(error) => findings.bad(&what, &error),
                }
                db.close().await;
            }
            Err(error) => findings.bad(&what, &error),
        }
    }
    look_at_budget(config.database.connections, &servers, findings);
}

/// Holds the connections that this process may take against those that each server gives to everybody; `servers` has one
/// number for each service on a server.
fn look_at_budget(each: u32, servers: &[i64], findings: &mut Findings) {
    let Some(least) = servers.iter().min() else { return };
    let wanted = i64::from(each).saturating_mul(i64::try_from(servers.len()).unwrap_or(i64::MAX));
    let alike = least.saturating_sub(RESERVED) / wanted.max(1);
    let text = format!("this process takes up to {wanted} of the server's {least} connections");
    if alike == 0 {
        let remedy = "lower database.connections, or raise max_connections";
        findings.bad("connections", &Error::precondition("DATABASE_CONNECTIONS", format!("{text}: {remedy}")));
    } else {
        findings.good(&format!("connections: {text}, which is enough for {alike} like it"));
    }
}

/// Asks each peer for its health, by the certificates that the process would show.
async fn look_at_peers(config: &Config) -> Vec<(String, Result<()>)> {
    let run = config.services();
    let elsewhere: std::collections::BTreeMap<_, _> = config
        .peers
        .iter()
        .filter(|(peer, _)| !run.contains(&peer.as_str()))
        .map(|(peer, addresses)| (peer.clone(), addresses.clone()))
        .collect();
    let asked = Peers::new(&[], &elsewhere, &config.peer_tls, std::sync::Arc::default(), PATIENCE);
    let peers = match asked {
        Ok(peers) => peers,
        Err(error) => return vec![("settings".to_owned(), Err(error))],
    };
    let found = peers.look(PATIENCE).await.into_iter();
    found
        .map(|(peer, found)| {
            let remedy = "start it, or correct peers and peer_tls; a process that starts first waits for it";
            let error = || Error::new(Kind::Unavailable, "PEER_FAILED", format!("{found}: {remedy}"));
            let well = if found == "ok" { Ok(()) } else { Err(error()) };
            (peer, well)
        })
        .collect()
}

/// Tries every key set, also those behind URLs, without which a start only warns.
async fn look_at_keys(config: &Config, findings: &mut Findings) {
    if config.auth.issuers.is_empty() {
        findings.good("auth: the development issuer's key is made at the first start");
    }
    match Authenticator::look(config).await {
        Ok(sets) => {
            for (issuer, judged) in sets {
                let what = format!("auth: the keys of {issuer}");
                match judged {
                    Ok(()) => findings.good(&format!("{what} can be read")),
                    Err(error) => findings.bad(&what, &with_remedy(error)),
                }
            }
        }
        Err(error) => findings.bad("auth", &error),
    }
    match Mandates::look(config, config.services().contains(&"council")).await {
        Ok(()) => findings.good("mandates: the council's keys can be read, or are made at the first start"),
        Err(error) => findings.bad("mandates", &with_remedy(error)),
    }
}

/// What to do about a key set that cannot be read, where its error does not say it.
fn with_remedy(error: Error) -> Error {
    let remedy = match error.reason() {
        "JWKS_UNAVAILABLE" => {
            "make it reachable from here within auth.jwks_timeout, or correct where the configuration looks for it (jwks; \
             without one, the discovery document of issuer)"
        }
        "JWKS_INVALID" => "name the address or the file of a JWK set as jwks, and see it with remit keys show",
        "DISCOVERY_INVALID" => "correct issuer, or name the key set itself as jwks",
        _ => return error,
    };
    Error::new(error.kind(), error.reason(), format!("{}: {remedy}", error.message()))
}

fn look_at_port(config: &Config, findings: &mut Findings) {
    match std::net::TcpListener::bind(&config.server.listen) {
        Ok(_) => findings.good(&format!("server: {} is free", config.server.listen)),
        Err(e) => {
            let what = format!("{} cannot be bound; a suite may be running there: see --server", config.server.listen);
            findings.bad("server", &Error::new(Kind::Unavailable, "PORT_UNAVAILABLE", what).with_source(e));
        }
    }
}

async fn look_at_server(url: &str, args: &Doctor, findings: &mut Findings) {
    let endpoint = match endpoint(url, args.ca_file.as_deref()) {
        Ok(endpoint) => endpoint.timeout(PATIENCE),
        Err(error) => return findings.bad("server", &error),
    };
    let channel = match reach(&endpoint, PATIENCE).await {
        Ok(channel) => channel,
        Err(e) => {
            let tls = if url.starts_with("https:") { ", with a certificate that --ca-file vouches for" } else { "" };
            let what = format!("nothing answers gRPC at {url}; is the suite running, and on this port{tls}?");
            return findings.bad("server", &Error::new(Kind::Unavailable, "SERVER_UNREACHABLE", what).with_source(e));
        }
    };
    findings.good("server: answers gRPC");
    let bearer = match bearer(args.token.as_deref(), args.token_file.as_deref()) {
        Ok(bearer) => bearer,
        Err(error) if error.reason() == "TOKEN_MISSING" => {
            return findings.warn("token: none given, so nothing more can be asked; see --token-file and --token");
        }
        Err(error) => return findings.bad("token", &error),
    };
    look_at_constitution(&bearer, channel.clone(), findings).await;
    match SystemServiceClient::new(bearer.over(channel)).get_info(GetInfoRequest {}).await {
        Err(status) => findings.bad("token", &refused(status)),
        Ok(answer) => {
            let info = answer.into_inner();
            findings.good(&format!(
                "version {} on {}, services: {}",
                info.version,
                info.engine,
                info.services.join(", ")
            ));
            if info.manual_clock {
                findings.warn("clock: moved by hand; times in the records are what somebody said");
            } else {
                let skew = info.time.map_or(0, |time| (SystemClock.now().0 / 1_000_000 - time.seconds).abs());
                if skew > 30 {
                    let what = format!("the server's clock is {skew} seconds off this machine's; check NTP on both");
                    findings.bad("clock", &Error::precondition("CLOCK_SKEW", what));
                } else {
                    findings.good("clock: agrees with this machine's");
                }
            }
            for (service, oldest) in &info.outbox_oldest {
                let waits = info.time.map_or(0, |time| time.seconds - oldest.seconds);
                if waits > kept::WAIT {
                    let depth = info.outbox_depth.get(service).copied().unwrap_or_default();
                    let what = format!(
                        "{depth} audit events of {service} wait, the oldest for {waits} s: see that audit runs, that \
                         {service} reaches it (peers, peer_tls), and what the log of {service} says of PEER_FAILED"
                    );
                    findings.bad("outbox", &Error::precondition("OUTBOX_GROWS", what));
                }
            }
            for (service, parked) in info.parked_events.iter().filter(|(_, parked)| **parked > 0) {
                let what = format!(
                    "the audit log refuses {parked} events of {service}; search it for the action relay.events.park"
                );
                findings.bad("outbox", &Error::precondition("EVENTS_PARKED", what));
            }
            for (service, due) in &info.due_timers {
                if *due > 100 {
                    let what = format!("{due} timers of {service} are due and have not fired; see its log");
                    findings.bad("timers", &Error::precondition("TIMERS_LATE", what));
                }
            }
        }
    }
}

/// Says whether anybody can decide anything in the tenant of the token.
async fn look_at_constitution(bearer: &Bearer, channel: Channel, findings: &Findings) {
    let asked = ConstitutionServiceClient::new(bearer.over(channel)).get_constitution(GetConstitutionRequest {}).await;
    // Who may not ask, or asks a process without the council, learns of it by the other checks.
    let Ok(constitution) = asked.map(tonic::Response::into_inner) else { return };
    if constitution.create_time.is_none() {
        return findings.warn(
            "constitution: nobody has a seat, so nothing that needs a decision can take effect; seat the first members \
             with `remit council bootstrap FILE`, once",
        );
    }
    findings.good(&format!(
        "constitution: {} people sit in {} bodies",
        people(&constitution),
        constitution.bodies.len()
    ));
}

fn people(constitution: &Constitution) -> usize {
    let subjects = constitution.members.iter().map(|member| member.subject.as_str());
    subjects.collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn connections_are_held_against_what_the_server_gives() {
        let bad = |each: u32, servers: &[i64]| {
            let mut findings = Findings::default();
            look_at_budget(each, servers, &mut findings);
            findings.bad
        };
        assert_eq!(bad(16, &[]), 0, "SQLite has no server");
        assert_eq!(bad(16, &[100; 6]), 0);
        assert_eq!(bad(16, &[100; 7]), 1, "112 of 97");
    }

    #[tokio::test]
    async fn key_sets_are_tried_one_by_one_and_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("empty.json"), "{\"keys\": []}").unwrap();
        let data = dir.path().join("data");
        // Nothing listens on port 1.
        let config = Config::from_toml(&format!(
            "data.dir = {:?}\nauth.jwks_timeout = \"2s\"\n\
             [[auth.issuers]]\nissuer = \"https://a\"\ntenants = [\"a\"]\njwks = \"http://127.0.0.1:1/keys\"\n\
             [[auth.issuers]]\nissuer = \"https://b\"\ntenants = [\"b\"]\njwks = {:?}\n",
            data,
            dir.path().join("empty.json"),
        ));
        let config = config.unwrap();
        let sets = Authenticator::look(&config).await.unwrap();
        let told: Vec<_> = sets.into_iter().map(|(issuer, judged)| (issuer, judged.unwrap_err().reason())).collect();
        assert_eq!(told, [("https://a".to_owned(), "JWKS_UNAVAILABLE"), ("https://b".to_owned(), "JWKS_INVALID")]);
        let mut findings = Findings::default();
        look_at_keys(&config, &mut findings).await;
        assert_eq!(findings.bad, 2);
        assert!(!data.exists());
    }
}

//! When the certificates end that this process shows and believes. What is seen goes into the log, once for each tenant and
//! certificate, and reminders follow from there as from anything else. Each process looks at its own files, so that all of
//! them together are looked at wherever notify runs.

use crate::config::Config;
use crate::serve::tls;
use remit_core::details::{CertificateWatched, Details as _};
use remit_core::{Clock as _, Result, SERVICES, SystemClock, Tenant, Timestamp};
use remit_store::{Db, Mutation, certificates, tenants};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often to look at the files.
const LOOK: Duration = Duration::from_secs(60);
/// What ends later than that is nobody's matter yet.
const SOON: Duration = Duration::from_secs(366 * 86_400);
const WATCH: &str = "system.certificates.watch";

/// The certificate of a file that ends first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ending {
    /// `sha256:` over it (DER).
    pub digest: String,
    /// When it ends.
    pub end: Timestamp,
}

/// Reads which certificate of a PEM file ends first.
///
/// # Errors
/// Why there is none, in words.
pub fn first_to_end(path: &Path) -> std::result::Result<Ending, &'static str> {
    let text = std::fs::read(path).map_err(|_| "cannot be read")?;
    let mut first: Option<Ending> = None;
    for der in CertificateDer::pem_slice_iter(&text) {
        let der = der.map_err(|_| "is not PEM")?;
        let certificate = x509_parser::parse_x509_certificate(&der).ok();
        let (_, certificate) = certificate.ok_or("holds what is no certificate")?;
        let end = jiff::Timestamp::from_second(certificate.validity().not_after.timestamp());
        let end = Timestamp::from(end.map_err(|_| "holds what is no certificate")?);
        if first.as_ref().is_none_or(|first| end < first.end) {
            first = Some(Ending { digest: format!("sha256:{}", hex::encode(Sha256::digest(&der))), end });
        }
    }
    first.ok_or("holds no certificate")
}

/// Whether the certificates that a process would show go with their keys, each with the setting that names it.
pub fn pairs(config: &Config) -> Vec<(&'static str, Result<()>)> {
    // Without a provider of cryptography nothing can be tried; a second one is not taken.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (server, peer) = (&config.server, &config.peer_tls);
    let pairs = [
        ("server.tls_certificate", &server.tls_certificate, &server.tls_key, server.tls_client_ca.as_path()),
        ("peer_tls.certificate", &peer.certificate, &peer.key, Path::new("")),
    ];
    let named = pairs.into_iter().filter(|(_, certificate, ..)| !certificate.as_os_str().is_empty());
    named.map(|(setting, certificate, key, ca)| (setting, tls::look(certificate, key, ca))).collect()
}

/// The files of a process, and the databases that what is seen of them is recorded through.
pub(crate) struct Watcher {
    /// What the process is called in the log: its services.
    process: String,
    files: Vec<(&'static str, PathBuf)>,
    databases: Arc<BTreeMap<&'static str, Db>>,
}

impl Watcher {
    pub(crate) fn new(config: &Config, databases: Arc<BTreeMap<&'static str, Db>>) -> Self {
        let services: Vec<&str> = databases.keys().copied().collect();
        let process = if services.len() == SERVICES.len() { "all".to_owned() } else { services.join("-") };
        // What a service alone uses is for the process that runs it.
        let section = |setting: &str| SERVICES.into_iter().find(|service| setting.split('.').next() == Some(*service));
        let own = |setting: &str| section(setting).is_none_or(|service| databases.contains_key(service));
        let files = config.certificates().filter(|(setting, _)| own(setting));
        Self { process, files: files.map(|(setting, path)| (setting, path.to_owned())).collect(), databases }
    }

    /// Looks until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut told = HashSet::new();
        while !self.files.is_empty() {
            self.look(SystemClock.now(), &mut told).await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Looks once; what cannot be read says whoever uses it.
    async fn look(&self, now: Timestamp, told: &mut HashSet<(Tenant, &'static str, Ending)>) {
        let ends = self.files.iter().filter_map(|(setting, path)| Some((*setting, first_to_end(path).ok()?)));
        for (setting, ending) in ends.filter(|(_, ending)| ending.end <= now.plus(SOON)) {
            // Each tenant by one of the databases that know it.
            let mut by: BTreeMap<Tenant, &Db> = BTreeMap::new();
            for db in self.databases.values() {
                for tenant in tenants::known(db) {
                    by.entry(tenant).or_insert(db);
                }
            }
            for (tenant, db) in by {
                let key = (tenant, setting, ending.clone());
                if told.contains(&key) {
                    continue;
                }
                match self.record(db, &key.0, setting, &ending).await {
                    Ok(()) => _ = told.insert(key),
                    Err(error) => tracing::warn!(reason = error.reason(), "nobody hears of a certificate: {error}"),
                }
            }
        }
    }

    async fn record(&self, db: &Db, tenant: &Tenant, setting: &str, ending: &Ending) -> Result<()> {
        let name = format!("{}.{setting}", self.process);
        let work = async |m: &mut Mutation| {
            if certificates::is_new(m, &name, &ending.digest).await? {
                let mut event = m.event(WATCH, &format!("certificates/{name}"));
                let (setting, digest) = (setting.to_owned(), ending.digest.clone());
                event.details = CertificateWatched { setting, digest, expire_time: ending.end.to_string() }.json();
                m.record_event(event);
            }
            Ok(())
        };
        db.own(tenant, WATCH, work).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use remit_core::Ids;
    use remit_store::{Options, Schema, outbox};

    fn pem(year: i32) -> String {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(year, 2, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn every_setting_that_names_certificates_is_listed() {
        let mut toml: toml::Table = toml::from_str(crate::config::DEFAULT).unwrap();
        let mut found = Vec::new();
        let mut open: Vec<(String, &mut toml::Table)> = vec![(String::new(), &mut toml)];
        while let Some((path, table)) = open.pop() {
            for (key, value) in table.iter_mut() {
                let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let last = key.rsplit('_').next().unwrap_or_default();
                match value {
                    toml::Value::Table(inner) => open.push((at, inner)),
                    toml::Value::String(_) if key == "ca_file" || ["ca", "certificate"].contains(&last) => {
                        *value = toml::Value::String("x.pem".to_owned());
                        found.push(at);
                    }
                    _ => {}
                }
            }
        }
        let config: Config = toml.try_into().unwrap();
        let mut listed: Vec<&str> = config.certificates().map(|(setting, _)| setting).collect();
        listed.sort_unstable();
        found.sort();
        assert_eq!(listed, found);
        assert!(found.len() >= 5);
    }

    #[tokio::test]
    async fn each_process_says_once_when_its_own_certificates_end_and_again_when_they_are_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("leaf.pem");
        let url = format!("sqlite:{}", dir.path().join("kpi.db").display());
        let schema = Schema { service: "kpi", migrations: &[] };
        let ids = Arc::new(Ids::new(Box::new(|bytes: &mut [u8]| rand::fill(bytes))));
        let db = Db::open(&url, &schema, ids, Options::default()).await.unwrap();
        let tenant = Tenant::new("acme").unwrap();
        tenants::see(&db, &tenant).await.unwrap();
        let at = |text: &str| Timestamp::from(text.parse::<jiff::Timestamp>().unwrap());
        let mut config = Config::from_toml("").unwrap();
        config.peer_tls.certificate.clone_from(&file);
        config.notify.smtp.ca_file.clone_from(&file);
        let start = || Watcher::new(&config, Arc::new(BTreeMap::from([("kpi", db.clone())])));
        let mut told = HashSet::new();
        let now = at("2026-01-05T00:00:00Z");
        start().look(now, &mut told).await;
        // A chain ends with whichever of it ends first.
        std::fs::write(&file, pem(2030) + &pem(2029)).unwrap();
        start().look(now, &mut told).await;
        assert!(told.is_empty(), "what is not there, and what ends in years, is nobody's matter");
        for year in [2026, 2027] {
            std::fs::write(&file, pem(2030) + &pem(year)).unwrap();
            // The process runs on, and is started anew.
            for told in [&mut told, &mut HashSet::new()] {
                start().look(at("2026-02-01T00:00:00Z"), told).await;
            }
        }
        let events = outbox::read_batch(&mut db.read().await.unwrap(), &tenant, 10).await.unwrap();
        let said = events.iter().map(|event| {
            let details = CertificateWatched::read(&event.event.details).unwrap();
            (event.event.resource.as_str(), details.expire_time)
        });
        let said: Vec<_> = said.collect();
        let name = "certificates/kpi.peer_tls.certificate";
        let (first, second) = ("2026-02-01T00:00:00Z".to_owned(), "2027-02-01T00:00:00Z".to_owned());
        assert_eq!(said, [(name, first), (name, second)], "of mail it is notify's to say");
    }
}

//! When the certificates end that this process uses. What is seen goes into the log, once for each tenant and certificate,
//! and reminders follow from there as from anything else: whoever runs a replica of its own files says each of them.

use crate::service::Service;
use crate::store::certificates as store;
use remit_core::details::{CertificateWatched, Details as _};
use remit_core::{Clock as _, Result, SystemClock, Tenant, Timestamp};
use remit_runtime::Config;
use remit_store::{Mutation, tenants};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often to look at the files.
const LOOK: Duration = Duration::from_secs(60);

/// What ends later than that is nobody's matter yet.
const SOON: Duration = Duration::from_secs(366 * 86_400);

/// What was seen of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Seen {
    setting: &'static str,
    digest: String,
    end: Timestamp,
}

/// Looks at the files of certificates.
pub(crate) struct Watcher {
    service: Service,
    files: Vec<(&'static str, PathBuf)>,
}

impl Watcher {
    /// Watches what a configuration names.
    pub(crate) fn new(service: Service, config: &Config) -> Self {
        Self { service, files: config.certificates().map(|(setting, path)| (setting, path.to_owned())).collect() }
    }

    /// Looks until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut told = HashSet::new();
        while !self.files.is_empty() {
            let soon = SystemClock.now().plus(SOON);
            let seen = self.files.iter().filter_map(|(setting, path)| read(setting, path));
            for seen in seen.filter(|seen| seen.end <= soon) {
                for tenant in tenants::known(&self.service.db) {
                    if told.contains(&(tenant.clone(), seen.clone())) {
                        continue;
                    }
                    match self.service.watched(&tenant, &seen).await {
                        Ok(()) => _ = told.insert((tenant, seen.clone())),
                        Err(error) => tracing::warn!(reason = error.reason(), "nobody hears of a certificate: {error}"),
                    }
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

impl Service {
    async fn watched(&self, tenant: &Tenant, seen: &Seen) -> Result<()> {
        let work = async |m: &mut Mutation| {
            if store::is_new(m, seen.setting, &seen.digest).await? {
                let mut event = m.event("notify.certificates.watch", &format!("certificates/{}", seen.setting));
                let (setting, digest) = (seen.setting.to_owned(), seen.digest.clone());
                event.details = CertificateWatched { setting, digest, expire_time: seen.end.to_string() }.json();
                m.record_event(event);
            }
            Ok(())
        };
        self.db.own(tenant, "notify.certificates.watch", work).await
    }
}

/// The certificate of a file that ends first; nothing if there is none that can be read, which whoever uses it says.
fn read(setting: &'static str, path: &Path) -> Option<Seen> {
    let certificates = CertificateDer::pem_file_iter(path).ok()?.filter_map(std::result::Result::ok);
    let seen = certificates.filter_map(|der| {
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
        let end = jiff::Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
        Some(Seen { setting, digest: format!("sha256:{}", hex::encode(Sha256::digest(&der))), end: end.into() })
    });
    seen.min_by_key(|seen| seen.end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::SCHEMA;
    use crate::tests::acme;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use remit_store::outbox;
    use remit_store::testing::TestDb;

    #[tokio::test]
    async fn the_end_of_a_certificate_is_recorded_once_and_again_when_it_is_renewed() {
        let database = TestDb::sqlite().unwrap();
        let service = Service::on(database.open(&SCHEMA).await.unwrap(), &[]).unwrap();
        let file = std::env::temp_dir().join(format!("remit-certificate-{}.pem", std::process::id()));
        let der = STANDARD.encode(include_bytes!("tests/self_signed.der"));
        std::fs::write(&file, format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n")).unwrap();
        let seen = read("server.tls_certificate", &file).unwrap();
        std::fs::write(&file, "nothing").unwrap();
        assert_eq!(read("server.tls_certificate", &file), None);
        std::fs::remove_file(&file).unwrap();
        assert!(seen.end.to_string().starts_with("2126-11-04T09:19:14"), "{}", seen.end);
        let renewed = Seen { digest: "sha256:ab".to_owned(), ..seen.clone() };
        for seen in [&seen, &seen, &renewed, &renewed] {
            service.watched(&acme(), seen).await.unwrap();
        }
        let events = outbox::read_batch(&mut service.db.read().await.unwrap(), &acme(), 10).await.unwrap();
        assert_eq!(events.len(), 2);
        let event = &events[0].event;
        assert_eq!(event.resource, "certificates/server.tls_certificate");
        assert_eq!(CertificateWatched::read(&event.details).unwrap().expire_time, seen.end.to_string());
    }
}

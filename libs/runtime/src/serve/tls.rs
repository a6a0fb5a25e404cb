//! What the server shows, and whom it lets connect: files that are read again when they change.

use crate::config::Server;
use remit_core::{Error, Result};
use remit_store::private;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
pub(super) const EVERY: Duration = Duration::from_secs(3);

/// The certificate in force.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: PathBuf,
    files: Files,
    acceptor: TlsAcceptor,
}

/// What is in the files: the chain, its key, and the authorities of callers, if callers must show a certificate.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: String,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files that the configuration names; none if it names none.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) for a file that cannot be used; as [`private::read`] for the key.
    pub(super) fn open(config: &Server) -> Result<Option<Self>> {
        if config.tls_certificate.as_os_str().is_empty() {
            return Ok(None);
        }
        let (certificate, key) = (config.tls_certificate.clone(), config.tls_key.clone());
        let client_ca = config.tls_client_ca.clone();
        let files = read(&certificate, &key, &client_ca)?;
        let acceptor = accept(&certificate, &key, &client_ca, &files)?;
        Ok(Some(Self { certificate, key, client_ca, files, acceptor }))
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Takes over files that have changed. What cannot be used changes nothing: a file may be half written.
    pub(super) fn look(&mut self) {
        let read = read(&self.certificate, &self.key, &self.client_ca);
        let changed = read.and_then(|files| {
            if files == self.files {
                return Ok(None);
            }
            let acceptor = accept(&self.certificate, &self.key, &self.client_ca, &files)?;
            Ok(Some((files, acceptor)))
        });
        match changed {
            Ok(None) => {}
            Ok(Some((files, acceptor))) => {
                (self.files, self.acceptor) = (files, acceptor);
                tracing::info!(certificate = %self.certificate.display(), "the certificate has changed");
            }
            Err(error) => tracing::warn!(reason = error.reason(), "the certificate is as it was: {error}"),
        }
    }
}

fn invalid(field: &str, path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::invalid("CONFIG_INVALID", field, format!("{} cannot be used: {error}", path.display()))
}

fn read(certificate: &Path, key: &Path, client_ca: &Path) -> Result<Files> {
    let bytes = |field: &str, path: &Path| std::fs::read(path).map_err(|error| invalid(field, path, &error));
    let client_ca =
        if client_ca.as_os_str().is_empty() { None } else { Some(bytes("server.tls_client_ca", client_ca)?) };
    Ok(Files { certificate: bytes("server.tls_certificate", certificate)?, key: private::read(key)?, client_ca })
}

/// Whether a server could show this certificate with this key.
///
/// # Errors
/// `InvalidArgument` (`CONFIG_INVALID`), and as [`private::read`].
pub(crate) fn look(certificate: &Path, key: &Path, client_ca: &Path) -> Result<()> {
    accept(certificate, key, client_ca, &read(certificate, key, client_ca)?).map(drop)
}

fn accept(certificate: &Path, key: &Path, client_ca: &Path, files: &Files) -> Result<TlsAcceptor> {
    let pems = |pem: &[u8]| CertificateDer::pem_slice_iter(pem).collect::<std::result::Result<Vec<_>, _>>();
    let chain = pems(&files.certificate).map_err(|error| invalid("server.tls_certificate", certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_slice(files.key.as_bytes());
    let secret = secret.map_err(|error| invalid("server.tls_key", key, &error))?;
    let builder = ServerConfig::builder();
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let wrong = |error: &dyn std::fmt::Display| invalid("server.tls_client_ca", client_ca, error);
            let mut roots = RootCertStore::empty();
            for root in pems(pem).map_err(|error| wrong(&error))? {
                roots.add(root).map_err(|error| wrong(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().map_err(|error| wrong(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let served = builder.with_single_cert(chain, secret);
    let mut server = served.map_err(|error| invalid("server.tls_certificate", certificate, &error))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

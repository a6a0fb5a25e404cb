//! What a process shows to its peers, and whom it believes: files that are read again when they change.

use crate::config::PeerTls;
use remit_core::{Error, Result};
use remit_store::private;
use std::path::Path;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// The content of the files of `[peer_tls]`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    ca: Option<String>,
    identity: Option<(String, String)>,
}

impl Files {
    /// Reads them.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) naming the setting whose file cannot be read; as [`private::read`] for the key.
    pub(super) fn read(config: &PeerTls) -> Result<Self> {
        let read = |field: &str, path: &Path| {
            let failed = |error: std::io::Error| {
                Error::invalid("CONFIG_INVALID", field, format!("{} cannot be read: {error}", path.display()))
            };
            std::fs::read_to_string(path).map_err(failed)
        };
        let ca = if config.ca.as_os_str().is_empty() { None } else { Some(read("peer_tls.ca", &config.ca)?) };
        let identity = if config.certificate.as_os_str().is_empty() {
            None
        } else {
            Some((read("peer_tls.certificate", &config.certificate)?, private::read(&config.key)?))
        };
        Ok(Self { ca, identity })
    }

    /// As the transport takes it. An authority that is named is the only one.
    pub(super) fn config(&self) -> ClientTlsConfig {
        let tls = ClientTlsConfig::new();
        let tls = match &self.ca {
            Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
            None => tls.with_native_roots(),
        };
        match &self.identity {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        }
    }
}

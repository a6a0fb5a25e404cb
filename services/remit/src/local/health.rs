//! `remit health`: whether a process serves, for whoever starts and stops processes.

use crate::args::Health;
use crate::cli::{endpoint, endpoint_showing, print_raw, reach, refused};
use remit_core::{Error, Kind, Result};
use remit_runtime::Config;
use std::path::Path;
use std::time::Duration;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// No watchdog waits for longer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(args: Health) -> Result<()> {
    let (url, way) = match args.server {
        Some(url) => {
            let way = endpoint(&url, args.ca_file.as_deref())?;
            (url, way)
        }
        None => own(&args.settings.load()?, args.ca_file.as_deref())?,
    };
    let endpoint = way.timeout(PATIENCE);
    let channel = reach(&endpoint, PATIENCE).await.map_err(|error| {
        Error::new(Kind::Unavailable, "SERVER_UNREACHABLE", format!("nothing answers gRPC at {url}")).with_source(error)
    })?;
    let asked = HealthCheckRequest { service: args.service };
    let answer = HealthClient::new(channel).check(asked).await.map_err(refused)?.into_inner();
    match answer.status() {
        ServingStatus::Serving => print_raw(b"SERVING\n"),
        status => {
            let text = format!("{url} says {}: see /readyz and its log", status.as_str_name());
            Err(Error::new(Kind::Unavailable, "NOT_SERVING", text))
        }
    }
}

/// The way to the process of this configuration. It is shown what the process shows to its peers.
fn own(config: &Config, ca_file: Option<&Path>) -> Result<(String, Endpoint)> {
    let (url, tls) = (own_url(config), &config.peer_tls);
    let named = |path: &Path| !path.as_os_str().is_empty();
    let ca_file = ca_file.or_else(|| Some(tls.ca.as_path()).filter(|_| named(&tls.ca)));
    let shown = named(&tls.certificate).then_some((tls.certificate.as_path(), tls.key.as_path()));
    let way = endpoint_showing(&url, ca_file, shown)?;
    Ok((url, way))
}

/// Where the process of this configuration serves, seen from the same machine.
fn own_url(config: &Config) -> String {
    let scheme = if config.server.tls_certificate.as_os_str().is_empty() { "http" } else { "https" };
    let listen = config.server.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    format!("{scheme}://{listen}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_own_address_is_on_this_machine() {
        for (toml, url) in [
            ("", "http://127.0.0.1:7420"),
            ("server.listen = \"0.0.0.0:7420\"", "http://127.0.0.1:7420"),
            ("server.listen = \"[::]:1\"\nserver.tls_certificate = \"a\"\nserver.tls_key = \"b\"", "https://[::1]:1"),
        ] {
            assert_eq!(own_url(&Config::from_toml(toml).unwrap()), url);
        }
    }
}

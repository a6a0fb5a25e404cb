//! The way to the suite, and the caller's token.

use super::output::Output;
use clap::Args;
use remit_core::{Error, Kind, Result};
use remit_runtime::foreign;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

/// How to reach the suite, and how to answer.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The server.
    #[arg(long, value_name = "URL", env = "REMIT_SERVER", default_value = "http://127.0.0.1:7420", global = true)]
    pub server: String,
    /// The bearer token; `remit token` issues one for development.
    #[arg(long, value_name = "TOKEN", env = "REMIT_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// A file that holds the token, so that it does not show in the list of processes.
    #[arg(long, value_name = "FILE", env = "REMIT_TOKEN_FILE", conflicts_with = "token", global = true)]
    pub token_file: Option<PathBuf>,
    /// A PEM file with the certificate authority of the server.
    #[arg(long, value_name = "FILE", env = "REMIT_CA_FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// Answer in JSON for programs instead of tables for people.
    #[arg(long, global = true)]
    pub json: bool,
    /// The id of this request: a command that is repeated with the same id takes effect once. Drawn if
    /// absent.
    #[arg(long, value_name = "ID", global = true)]
    pub request_id: Option<String>,
}

/// Adds the token to every call.
#[derive(Debug, Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// The connection of a generated client.
pub type Wire = InterceptedService<Channel, Bearer>;

/// An open connection and the way to answer.
#[derive(Debug)]
pub struct Session {
    wire: Wire,
    /// Where the answer goes.
    pub out: Output,
    request_id: String,
}

impl Session {
    /// Connects.
    pub async fn open(connection: &Connection) -> Result<Self> {
        let bearer = Bearer(token(connection)?);
        let channel = channel(connection).await?;
        let request_id =
            connection.request_id.clone().unwrap_or_else(|| format!("cli-{:032x}", rand::random::<u128>()));
        let out = Output { json: connection.json };
        Ok(Self { wire: InterceptedService::new(channel, bearer), out, request_id })
    }

    /// The connection, for a generated client.
    pub fn wire(&self) -> Wire {
        self.wire.clone()
    }

    /// The request id of this command.
    pub fn request_id(&self) -> String {
        self.request_id.clone()
    }
}

fn token(connection: &Connection) -> Result<MetadataValue<Ascii>> {
    let read = match (&connection.token, &connection.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) => text(path)?,
        (None, None) => {
            return Err(Error::new(
                Kind::Unauthenticated,
                "TOKEN_MISSING",
                "no token: set REMIT_TOKEN, or give --token or --token-file (remit token issues one for development)",
            ));
        }
    };
    let value = format!("Bearer {}", read.trim()).parse::<MetadataValue<Ascii>>();
    let mut value = value.map_err(|_| Error::invalid("TOKEN_INVALID", "token", "has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn channel(connection: &Connection) -> Result<Channel> {
    let invalid = |why: String| Error::invalid("URL_INVALID", "server", why);
    let server = &connection.server;
    if !server.starts_with("http://") && !server.starts_with("https://") {
        return Err(invalid(format!("{server} must start with http:// or https://")));
    }
    let mut endpoint = Endpoint::from_shared(server.clone()).map_err(|error| invalid(error.to_string()))?;
    if server.starts_with("https://") {
        let mut tls = ClientTlsConfig::new().with_enabled_roots();
        if let Some(path) = &connection.ca_file {
            tls = tls.ca_certificate(tonic::transport::Certificate::from_pem(text(path)?));
        }
        endpoint = endpoint.tls_config(tls).map_err(|error| invalid(error.to_string()))?;
    }
    let endpoint = endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(5));
    endpoint.connect().await.map_err(|error| {
        let text = format!("cannot reach {server}: start it with remit serve, or name another with --server");
        Error::new(Kind::Unavailable, "SERVER_UNREACHABLE", text).with_source(error)
    })
}

/// The text of a file.
///
/// # Errors
/// `InvalidArgument` (`FILE_UNREADABLE`).
pub fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

/// The bytes of a file.
///
/// # Errors
/// `InvalidArgument` (`FILE_UNREADABLE`).
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unreadable(path, error))
}

/// A file that cannot be read.
pub fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::invalid("FILE_UNREADABLE", path.display().to_string(), error.to_string())
}

/// Writes a file.
///
/// # Errors
/// `Internal` if that fails.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content).map_err(|error| unwritable(path, error))
}

/// A file that cannot be written.
pub fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("cannot write {}: {error}", path.display())).with_source(error)
}

/// The error in a status, with its kind, reason and refused fields.
pub fn refused(status: Status) -> Error {
    match status.code() {
        Code::Unauthenticated => Error::new(Kind::Unauthenticated, "UNAUTHENTICATED", status.message()),
        Code::Unimplemented => Error::precondition(
            "SERVICE_NOT_SERVED",
            "this server does not run the service: name another with --server",
        ),
        _ => {
            let told = foreign(status);
            // Without the status as its cause, which would say the same again.
            let error = Error::new(told.kind(), told.reason(), told.message());
            told.violations().iter().fold(error, |error, field| error.with_violation(&field.field, &field.description))
        }
    }
}

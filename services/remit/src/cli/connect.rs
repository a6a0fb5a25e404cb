//! The way to the suite, and the caller's token.

use super::output::{Column, Output};
use crate::bearer::{Bearer, Wire};
use crate::patience::{LIMIT, SILENT};
use clap::Args;
use prost::{Message, Name};
use remit_core::{Error, Kind, Result, SERVICES};
use remit_runtime::foreign;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Response, Status};

/// How to reach the suite, and how to answer.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection and answer")]
pub(crate) struct Connection {
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
    /// How long the server may be silent, in seconds: before an answer begins, and between its parts. What works before it
    /// answers gets ten times as long.
    #[arg(long, value_name = "SECONDS", env = "REMIT_TIMEOUT", default_value_t = LIMIT.as_secs(), global = true,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Answer in JSON for programs instead of tables for people.
    #[arg(long, global = true)]
    pub json: bool,
    /// The id of this request: a command that is repeated with the same id takes effect once. Drawn if
    /// absent.
    #[arg(long, value_name = "ID", global = true)]
    pub request_id: Option<String>,
}

/// An open connection and the way to answer.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    /// Where the answer goes.
    pub(super) out: Output,
    request_id: String,
    /// The server's URL, as it was given.
    pub(super) server: String,
    /// The tenant of the caller's token, as the token itself says; empty if it cannot be read.
    pub(super) tenant: String,
    /// How long an answer may take.
    pub(super) timeout: Duration,
}

impl Session {
    /// Connects.
    pub(super) async fn open(connection: &Connection) -> Result<Self> {
        let bearer = bearer(connection.token.as_deref(), connection.token_file.as_deref())?;
        let channel = channel(connection).await?;
        let request_id =
            connection.request_id.clone().unwrap_or_else(|| format!("cli-{:032x}", rand::random::<u128>()));
        let out = Output { json: connection.json };
        let timeout = Duration::from_secs(connection.timeout);
        let wire = bearer.over_within(channel, timeout);
        Ok(Self { wire, out, request_id, server: connection.server.clone(), tenant: bearer.tenant(), timeout })
    }

    /// The connection, for a generated client.
    pub(super) fn wire(&self) -> Wire {
        self.wire.clone()
    }

    /// The request id of this command.
    pub(super) fn request_id(&self) -> String {
        self.request_id.clone()
    }

    /// Shows all of an answer.
    pub(super) fn show<M: Message + Name>(&self, given: Result<Response<M>, Status>) -> Result<()> {
        self.out.show(&answer(given)?)
    }

    /// Shows an answer as the one row of a table.
    pub(super) fn row<M: Message + Name>(&self, given: Result<Response<M>, Status>, columns: &[Column]) -> Result<()> {
        self.out.list(&[answer(given)?], columns)
    }
}

/// The caller's token, given or in a file.
///
/// # Errors
/// `Unauthenticated` (`TOKEN_MISSING`) if there is none; `InvalidArgument`: `TOKEN_INVALID`, `FILE_UNREADABLE`.
pub(crate) fn bearer(token: Option<&str>, file: Option<&Path>) -> Result<Bearer> {
    match (token, file) {
        (Some(token), _) => Bearer::new(token),
        (None, Some(path)) => Bearer::new(&text(path)?),
        (None, None) => Err(Error::new(
            Kind::Unauthenticated,
            "TOKEN_MISSING",
            "no token: set REMIT_TOKEN, or give --token or --token-file; get it from the identity provider, or from \
             remit token where the server has the development issuer",
        )),
    }
}

/// The way to `server`, with TLS where its URL says so. A server that asks for certificates (`server.tls_client_ca`) is
/// shown the one that the environment names: `REMIT_CLIENT_CERTIFICATE` and `REMIT_CLIENT_KEY`.
///
/// # Errors
/// `InvalidArgument`: `URL_INVALID`, `FILE_UNREADABLE` for the certificate authority or a certificate; `FailedPrecondition`
/// for a key that others can read.
pub(crate) fn endpoint(server: &str, ca_file: Option<&Path>) -> Result<Endpoint> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let shown = named("REMIT_CLIENT_CERTIFICATE").zip(named("REMIT_CLIENT_KEY"));
    endpoint_showing(server, ca_file, shown.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path())))
}

/// The same with the files of the certificate, and its key, that are shown to a server that asks for one.
pub(crate) fn endpoint_showing(
    server: &str,
    ca_file: Option<&Path>,
    shown: Option<(&Path, &Path)>,
) -> Result<Endpoint> {
    let invalid = |why: String| Error::invalid("URL_INVALID", "server", why);
    if !server.starts_with("http://") && !server.starts_with("https://") {
        return Err(invalid(format!("{server} must start with http:// or https://")));
    }
    let mut endpoint = Endpoint::from_shared(server.to_owned()).map_err(|error| invalid(error.to_string()))?;
    if server.starts_with("https://") {
        let mut tls = ClientTlsConfig::new().with_enabled_roots();
        if let Some(path) = ca_file {
            tls = tls.ca_certificate(tonic::transport::Certificate::from_pem(text(path)?));
        }
        if let Some((certificate, key)) = shown {
            let key = remit_store::private::read(key)?;
            tls = tls.identity(tonic::transport::Identity::from_pem(text(certificate)?, key));
        }
        endpoint = endpoint.tls_config(tls).map_err(|error| invalid(error.to_string()))?;
    }
    Ok(endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(5)))
}

async fn channel(connection: &Connection) -> Result<Channel> {
    let server = &connection.server;
    let unreachable = |error: Box<dyn std::error::Error + Send + Sync>| {
        let text = format!("cannot reach {server}: start it with remit serve, or name another with --server");
        Error::new(Kind::Unavailable, "SERVER_UNREACHABLE", text).with_source(error)
    };
    let endpoint = endpoint(server, connection.ca_file.as_deref())?;
    reach(&endpoint, Duration::from_secs(connection.timeout)).await.map_err(unreachable)
}

/// Connects within `limit`: TLS may begin and stop half way, which the time limit on connecting does not cover.
pub(crate) async fn reach(
    endpoint: &Endpoint,
    limit: Duration,
) -> std::result::Result<Channel, Box<dyn std::error::Error + Send + Sync>> {
    Ok(tokio::time::timeout(limit, endpoint.connect()).await??)
}

/// What is told of an answer that is none of this service.
pub(super) fn no_answer(what: impl std::fmt::Display) -> Error {
    Error::precondition("SERVER_ANSWER_INVALID", format!("the server's answer cannot be relied on: {what}"))
}

/// Whether a connection broke off, which is nobody's lie.
fn broke_off(status: &Status) -> bool {
    let first = std::error::Error::source(status);
    std::iter::successors(first, |cause| cause.source()).any(|cause| cause.is::<std::io::Error>())
}

/// The text of a file.
///
/// # Errors
/// `InvalidArgument` (`FILE_UNREADABLE`).
pub(crate) fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

/// The message in a file, YAML or JSON. A key that is given twice is refused: the last would win in silence.
///
/// # Errors
/// `InvalidArgument`: `FILE_UNREADABLE`, and `reason` if it is not such a message.
pub(super) fn message<M: Message + Name + Default>(path: &Path, reason: &'static str) -> Result<M> {
    parse(&text(path)?).map_err(|why| Error::invalid(reason, path.display().to_string(), why))
}

/// The message in a text, YAML or JSON.
pub(super) fn parse<M: Message + Name + Default>(content: &str) -> std::result::Result<M, String> {
    // JSON is a part of YAML.
    let value: serde_norway::Value = serde_norway::from_str(content).map_err(|error| error.to_string())?;
    let json = serde_json::to_value(value).map_err(|error| error.to_string())?;
    remit_api::from_json(json)
}

/// The bytes of a file.
///
/// # Errors
/// `InvalidArgument` (`FILE_UNREADABLE`).
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unreadable(path, error))
}

/// A file that cannot be read.
pub(crate) fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::invalid("FILE_UNREADABLE", path.display().to_string(), error.to_string())
}

/// A file that cannot be written.
pub(super) fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("cannot write {}: {error}", path.display())).with_source(error)
}

/// What a server answered, or its refusal.
pub(super) fn answer<T>(given: Result<Response<T>, Status>) -> Result<T> {
    given.map(Response::into_inner).map_err(refused)
}

/// The error in a status, with its kind, reason and refused fields.
pub(crate) fn refused(status: Status) -> Error {
    // What the suite refuses has a reason; what has none was made by something between, or by this side on reading.
    let foreign_answer = remit_runtime::status::reason(&status).is_empty();
    match status.code() {
        Code::Unavailable if status.message().starts_with(SILENT) => {
            Error::new(Kind::Unavailable, "SERVER_SILENT", status.message())
        }
        Code::OutOfRange | Code::Unknown | Code::Internal | Code::DataLoss if foreign_answer => {
            if broke_off(&status) {
                return Error::new(Kind::Unavailable, "SERVER_UNREACHABLE", "the connection broke off")
                    .with_source(status);
            }
            no_answer(status.message())
        }
        Code::Unimplemented if foreign_answer && status.message().contains("compress") => no_answer(status.message()),
        Code::Unauthenticated => {
            // Between services a refused token is a defect. Here it is the caller's, and its reason counts.
            let details = status.details().to_vec().into();
            let told = foreign(Status::with_details(Code::PermissionDenied, status.message(), details));
            let reason = if told.reason() == "PEER_FAILED" { "UNAUTHENTICATED" } else { told.reason() };
            let hint = match reason {
                // Another token of a blocked subject is refused too.
                "TOKEN_REVOKED" => "an administrator sees why with remit access list, and who may lift it",
                _ => {
                    "give another with REMIT_TOKEN, --token or --token-file; remit auth explain shows how this one is \
                     understood, and remit token makes one where the server has the development issuer"
                }
            };
            Error::new(Kind::Unauthenticated, reason, format!("{}: {hint}", told.message()))
        }
        Code::Unimplemented => {
            let what = match service_in(status.message()) {
                Some(service) => format!(
                    "this server does not run the service {service}: name one that does with --server or REMIT_SERVER"
                ),
                None => "this server does not run the service: name another with --server".to_owned(),
            };
            Error::precondition("SERVICE_NOT_SERVED", what)
        }
        _ => {
            let told = foreign(status);
            // Without the status as its cause, which would say the same again.
            let error = Error::new(told.kind(), told.reason(), told.message());
            told.violations().iter().fold(error, |error, field| error.with_violation(&field.field, &field.description))
        }
    }
}

/// The service of the suite whose method a text names: `council` in `/remit.council.v1.AccessService/…`.
fn service_in(text: &str) -> Option<&'static str> {
    let package = text.split_once("/remit.")?.1.split('.').next()?;
    SERVICES.into_iter().find(|service| *service == package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_not_run_is_named_and_a_blocked_subject_is_not_sent_for_another_token() {
        let missing = Status::unimplemented("there is no method /remit.council.v1.AccessService/ListRevocations");
        let error = refused(missing);
        assert_eq!(error.reason(), "SERVICE_NOT_SERVED");
        assert!(error.message().contains("the service council"), "{error}");
        assert_eq!(refused(Status::unimplemented("no")).reason(), "SERVICE_NOT_SERVED");
        let revoked = Error::new(Kind::Unauthenticated, "TOKEN_REVOKED", "the token was revoked by revocations/r");
        let error = refused(remit_runtime::to_status(revoked));
        assert_eq!(error.reason(), "TOKEN_REVOKED");
        assert!(!error.message().contains("give another") && error.message().contains("access list"), "{error}");
    }

    #[test]
    fn an_answer_that_is_none_ends_like_any_lie() {
        for status in [
            Status::out_of_range("Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes"),
            Status::unknown("grpc-status header missing, mapped from HTTP status code 302"),
            Status::internal("failed to decode Protobuf message"),
            Status::unimplemented("Content is compressed with `gzip` which isn't supported"),
        ] {
            let error = refused(status);
            assert_eq!((error.kind(), error.reason()), (Kind::FailedPrecondition, "SERVER_ANSWER_INVALID"), "{error}");
        }
        let own = refused(remit_runtime::to_status(Error::internal("a defect")));
        assert_ne!(own.reason(), "SERVER_ANSWER_INVALID");
        let silent = refused(Status::unavailable(format!("{SILENT} 60 seconds")));
        assert_eq!((silent.kind(), silent.reason()), (Kind::Unavailable, "SERVER_SILENT"));
        let broken = Status::from_error(Box::new(std::io::Error::other("reset")));
        assert_eq!(refused(broken).kind(), Kind::Unavailable);
    }

    #[test]
    fn a_refused_token_is_named_by_its_reason_and_what_to_do() {
        let expired = Error::new(Kind::Unauthenticated, "TOKEN_EXPIRED", "the token has expired");
        let error = refused(remit_runtime::to_status(expired));
        assert_eq!((error.kind(), error.reason()), (Kind::Unauthenticated, "TOKEN_EXPIRED"));
        assert!(error.message().starts_with("the token has expired: ") && error.message().contains("remit token"));
        let error = refused(Status::unauthenticated("who are you"));
        assert_eq!((error.kind(), error.reason()), (Kind::Unauthenticated, "UNAUTHENTICATED"));
    }
}

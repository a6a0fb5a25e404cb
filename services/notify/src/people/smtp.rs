//! Hands e-mail to the mail server. Each command is sent by itself, so that it is known which of them was refused: what a
//! server says of a recipient is hers, and all else is the operator's to put right.

use super::bounces::Path;
use super::letter::Letter;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::{Error as SmtpError, response::Response};
use remit_core::{Error, Result, Timestamp};
use remit_runtime::config::{Smtp as Settings, SmtpTls};
use remit_store::private;
use std::time::Duration;

/// How long a server may take for all of one letter.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most characters of an answer that are kept.
const KEPT: usize = 300;

/// What came of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Handed {
    /// The server has taken it.
    Taken(String),
    /// The server will never take it for this recipient.
    Refused { status: u16, why: String },
    /// It may go better later.
    Failed { status: u16, error: &'static str, why: String },
}

/// The way to the mail server.
#[derive(Clone)]
pub(crate) struct Smtp {
    settings: Settings,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    pub(crate) from: Mailbox,
}

// Without what it signs in with.
impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn wrong(field: &str, what: impl Into<String>) -> Error {
    Error::invalid("CONFIG_INVALID", format!("notify.smtp.{field}"), what)
}

impl Smtp {
    /// The server that is configured, if one is.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) for a sender that is no address or a file that is no certificate;
    /// `FailedPrecondition` (`KEY_FILE_MISSING`, `KEY_FILE_READABLE`, `KEY_FILE_OWNER`) for the file of the password.
    pub(crate) fn open(settings: &Settings) -> Result<Option<Self>> {
        if settings.host.is_empty() {
            return Ok(None);
        }
        let from = settings.from.parse().map_err(|_| wrong("from", "must be an address"))?;
        let tls = if settings.tls == SmtpTls::None { None } else { Some(trust(settings)?) };
        let credentials = if settings.user.is_empty() {
            None
        } else {
            let password = private::read(&settings.password_file)?;
            Some(Credentials::new(settings.user.clone(), password.trim_end_matches(['\r', '\n']).to_owned()))
        };
        Ok(Some(Self { settings: settings.clone(), tls, credentials, from }))
    }

    /// Whether e-mail may go to an address, as far as that can be said without asking.
    pub(crate) fn permits(&self, address: &str) -> bool {
        if self.names_domains() { self.names_domain(address) } else { address.parse::<lettre::Address>().is_ok() }
    }

    /// Whether the domains are named that e-mail may go to.
    pub(crate) fn names_domains(&self) -> bool {
        !self.settings.domains.is_empty()
    }

    /// Whether the domain of an address is one that is named. Without that no subscription sends there, for nobody who reads
    /// there has said that she wants it.
    pub(crate) fn names_domain(&self, address: &str) -> bool {
        let Ok(parsed) = address.parse::<lettre::Address>() else { return false };
        self.settings.domains.iter().any(|domain| domain.eq_ignore_ascii_case(parsed.domain()))
    }

    /// Where a letter comes back to that does not arrive, by its token; none if nobody has said so.
    pub(crate) fn returns(&self, path: Path<'_>, key: &[u8], now: Timestamp) -> Option<lettre::Address> {
        let pattern = Some(&self.settings.bounce).filter(|pattern| !pattern.is_empty())?;
        let address = pattern.replace("{token}", &path.token(key, now)).replace("{tenant}", path.tenant.as_str());
        address.parse().ok()
    }

    /// Hands a letter to the server.
    pub(crate) async fn send(&self, letter: &Letter) -> Handed {
        // Looked at again: the configuration may have changed since.
        if !self.permits(&letter.to) {
            return Handed::Refused {
                status: 0,
                why: "no e-mail may go to that domain (notify.smtp.domains)".to_owned(),
            };
        }
        let handed = tokio::time::timeout(PATIENCE, self.hand(letter)).await;
        handed.unwrap_or_else(|_| failed("TIMED_OUT", "the mail server took too long"))
    }

    async fn hand(&self, letter: &Letter) -> Handed {
        let message = match letter.write(&self.from) {
            Ok(message) => message,
            Err(error) => return Handed::Refused { status: 0, why: error.message().to_owned() },
        };
        let (envelope, bytes) = (message.envelope().clone(), message.formatted());
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return told("CONNECTION_FAILED", &error),
        };
        if let Some(credentials) = &self.credentials
            && let Err(error) = connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await
        {
            connection.abort().await;
            return told("SIGN_IN_FAILED", &error);
        }
        let mut parameters = Vec::new();
        if !letter.to.is_ascii() {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                connection.abort().await;
                let why = "the mail server takes no addresses with other letters than those of ASCII".to_owned();
                return Handed::Refused { status: 0, why };
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let handed = dialogue(&mut connection, &envelope, parameters, &bytes).await;
        if matches!(handed, Handed::Taken(_)) {
            // It is taken, whatever is said now.
            let _ = connection.quit().await;
        } else {
            connection.abort().await;
        }
        handed
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let name = ClientId::Domain(self.from.email.domain().to_owned());
        let at = (self.settings.host.as_str(), self.settings.port);
        let first = self.tls.clone().filter(|_| self.settings.tls == SmtpTls::Required);
        let mut connection = AsyncSmtpConnection::connect_tokio1(at, Some(PATIENCE), &name, first, None).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.settings.tls == SmtpTls::Starttls) {
            // Refused where the server does not offer it: whoever took the offer out of its answer gains nothing.
            connection.starttls(tls, &name).await?;
        }
        Ok(connection)
    }
}

fn trust(settings: &Settings) -> Result<TlsParameters> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if !settings.ca_file.as_os_str().is_empty() {
        let shown = settings.ca_file.display();
        let pem = std::fs::read(&settings.ca_file);
        let pem = pem.map_err(|error| wrong("ca_file", format!("{shown} cannot be read")).with_source(error))?;
        let certificate = Certificate::from_pem(&pem);
        builder = builder.add_root_certificate(
            certificate
                .map_err(|error| wrong("ca_file", format!("{shown} holds no certificate")).with_source(error))?,
        );
    }
    builder.build_rustls().map_err(|error| wrong("tls", "cannot be set up").with_source(error))
}

async fn dialogue(
    connection: &mut AsyncSmtpConnection,
    envelope: &lettre::address::Envelope,
    parameters: Vec<MailParameter>,
    bytes: &[u8],
) -> Handed {
    if let Err(error) = connection.command(Mail::new(envelope.from().cloned(), parameters)).await {
        return told("SENDER_REFUSED", &error);
    }
    for to in envelope.to() {
        match connection.command(Rcpt::new(to.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(error) if error.is_permanent() => {
                return Handed::Refused { status: status(&error), why: shown(&error) };
            }
            Err(error) => return told("RECIPIENT_DELAYED", &error),
        }
    }
    if let Err(error) = connection.command(Data).await {
        return told("REFUSED", &error);
    }
    match connection.message(bytes).await {
        Ok(answer) => Handed::Taken(first(&answer)),
        Err(error) => told("REFUSED", &error),
    }
}

fn first(answer: &Response) -> String {
    crate::language::clean(answer.first_line().unwrap_or_default(), KEPT)
}

fn status(error: &SmtpError) -> u16 {
    error.status().map_or(0, |code| code.into())
}

/// What the server said, as one line.
fn shown(error: &SmtpError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    crate::language::clean(&format!("{error}{cause}"), KEPT)
}

fn told(what: &'static str, error: &SmtpError) -> Handed {
    let said = shown(error);
    let word = match () {
        () if error.is_timeout() => "TIMED_OUT",
        () if error.is_tls() || said.contains("certificate") || said.contains("STARTTLS") => "TLS_FAILED",
        () => what,
    };
    Handed::Failed { status: status(error), error: word, why: said }
}

fn failed(error: &'static str, why: &str) -> Handed {
    Handed::Failed { status: 0, error, why: why.to_owned() }
}

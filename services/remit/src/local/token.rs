//! `remit token`.

use crate::args::{KindArg, Token};
use crate::cli::print_raw;
use remit_core::{Actor, ActorKind, Error, Result, SERVICE_PREFIX, Tenant, subject};
use remit_runtime::auth::Signer;
use remit_runtime::config::Span;

pub(super) fn run(args: &Token) -> Result<()> {
    print_raw(format!("{}\n", issue(args)?).as_bytes())
}

/// The role of the suite's own services.
const SERVICE_ROLE: &str = "service";

/// Issues a token from the development key, which speaks for people and programs, and never for the suite's services.
fn issue(args: &Token) -> Result<String> {
    let config = args.settings.load()?;
    if !config.auth.development || !config.auth.issuers.is_empty() {
        return Err(Error::precondition(
            "NO_DEVELOPMENT_ISSUER",
            "tokens come from your identity provider: in this configuration auth.development is false, or auth.issuers names one",
        ));
    }
    let lifetime: Span = args
        .lifetime
        .parse()
        .map_err(|_| Error::invalid("LIFETIME_INVALID", "--lifetime", "must be a duration such as 30m or 8h"))?;
    if lifetime.get() > config.auth.max_lifetime.get() {
        let what = format!("must be at most auth.max_lifetime, {} seconds", config.auth.max_lifetime.get().as_secs());
        return Err(Error::invalid("LIFETIME_INVALID", "--lifetime", what));
    }
    if let Some(role) = args.roles.iter().find(|role| !config.roles.contains_key(*role)) {
        let known: Vec<_> = config.roles.keys().map(String::as_str).collect();
        return Err(Error::invalid(
            "ROLE_UNKNOWN",
            "--role",
            format!("{role} is not configured; there are {}", known.join(", ")),
        ));
    }
    let reserved = |field: &str, what: &str| {
        let what = format!("{what} is for the suite's own services, whose tokens they sign themselves");
        Error::invalid("SUITE_RESERVED", field, what)
    };
    let subject = subject::canonical(&args.subject)
        .map_err(|rule| Error::invalid("SUBJECT_INVALID", "--subject", rule))?
        .into_owned();
    if subject.starts_with(SERVICE_PREFIX) {
        return Err(reserved("--subject", &format!("what begins with {SERVICE_PREFIX}")));
    }
    if args.roles.iter().any(|role| role == SERVICE_ROLE) {
        return Err(reserved("--role", SERVICE_ROLE));
    }
    let actor = Actor {
        subject,
        kind: match args.kind {
            KindArg::Human => ActorKind::Human,
            KindArg::Ai => ActorKind::Ai,
            KindArg::Service => ActorKind::Service,
        },
        roles: args.roles.clone(),
        role_groups: args.groups.clone(),
        on_behalf_of: None,
    };
    // An issuer made here would be one that no server trusts.
    let issuer = config.issuer_dir();
    if !issuer.join("issuer.key").exists() {
        let what = format!(
            "{} holds no development issuer: name the data directory of the server with --data-dir, or start one there with remit serve",
            issuer.display()
        );
        return Err(Error::precondition("ISSUER_MISSING", what));
    }
    Signer::development(&config)?.token(&Tenant::new(args.tenant.clone())?, &actor, lifetime.get())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;
    use remit_runtime::Config;
    use std::path::Path;

    fn token(dir: &Path) -> Result<String> {
        token_of(dir, "ada", "operator")
    }

    fn token_of(dir: &Path, subject: &str, role: &str) -> Result<String> {
        let args = ["remit", "token", "--subject", subject, "--role", role, "--data-dir", dir.to_str().unwrap()];
        match Cli::parse_from(args).command {
            Command::Token(args) => issue(&args),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_issued_only_where_a_server_has_made_an_issuer() {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = dir.path().join("nowhere");
        assert_eq!(token(&nowhere).unwrap_err().reason(), "ISSUER_MISSING");
        assert!(!nowhere.exists(), "asking must not make the directory");

        let toml = format!("[data]\ndir = \"{}\"\n", dir.path().display());
        Signer::development(&Config::from_toml(&toml).unwrap()).unwrap();
        assert_eq!(token(dir.path()).unwrap().split('.').count(), 3);
    }

    #[test]
    fn no_token_speaks_for_the_suite_itself() {
        let dir = tempfile::tempdir().unwrap();
        let toml = format!("[data]\ndir = \"{}\"\n", dir.path().display());
        Signer::development(&Config::from_toml(&toml).unwrap()).unwrap();
        for (subject, role, field) in [
            ("remit-audit", "operator", "--subject"),
            (" Remit-crm", "operator", "--subject"),
            ("crm", "service", "--role"),
        ] {
            let error = token_of(dir.path(), subject, role).unwrap_err();
            assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("SUITE_RESERVED", field), "{subject}");
        }
    }
}

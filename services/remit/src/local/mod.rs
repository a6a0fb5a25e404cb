//! The commands that need no running suite: they start one, or look at a configuration.

mod config;
mod demo;
mod doctor;
mod serve;

use crate::args::{Cli, Command, KindArg, Settings, Token};
use clap::CommandFactory as _;
use remit_core::{Actor, ActorKind, Error, Result, Tenant};
use remit_runtime::auth::Signer;
use remit_runtime::config::Span;
use remit_runtime::{Config, ServiceDef};
use secrecy::SecretString;

/// Every service that a process can run, in the order in which they need each other.
pub fn services() -> Vec<ServiceDef> {
    vec![
        ServiceDef { name: "audit", schema: remit_audit::SCHEMA, build: |deps| Box::pin(remit_audit::build(deps)) },
        ServiceDef {
            name: "registry",
            schema: remit_registry::SCHEMA,
            build: |deps| Box::pin(remit_registry::build(deps)),
        },
        ServiceDef {
            name: "scoring",
            schema: remit_scoring::SCHEMA,
            build: |deps| Box::pin(remit_scoring::build(deps)),
        },
        ServiceDef { name: "kpi", schema: remit_kpi::SCHEMA, build: |deps| Box::pin(remit_kpi::build(deps)) },
        remit_handoff::SERVICE,
        ServiceDef {
            name: "council",
            schema: remit_council::SCHEMA,
            build: |deps| Box::pin(remit_council::build(deps)),
        },
    ]
}

/// Runs one command to its end.
///
/// # Errors
/// Whatever the command says; [`crate::exit::code`] tells the exit code.
pub async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Token(args) => {
            println!("{}", token(&args)?);
            Ok(())
        }
        Command::Demo(args) => demo::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Config(command) => config::run(command),
        Command::Client(command) => crate::cli::run(command).await,
        Command::Completions { shell } => {
            // Through memory, because the generator panics where a reader such as `head` has seen enough.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "remit", &mut script);
            crate::cli::print_raw(&script)
        }
    }
}

/// Loads the configuration and lays the command line over it.
pub(crate) fn load(settings: &Settings) -> Result<Config> {
    let mut config = Config::load(settings.config.as_deref())?;
    if let Some(dir) = &settings.data_dir {
        config.data.dir.clone_from(dir);
    }
    if let Some(url) = &settings.database_url {
        config.database.url = SecretString::from(url.clone());
    }
    config.check()?;
    Ok(config)
}

/// Issues a token from the development key.
fn token(args: &Token) -> Result<String> {
    let config = load(&args.settings)?;
    if !config.auth.development {
        return Err(Error::precondition(
            "NO_DEVELOPMENT_ISSUER",
            "tokens come from your identity provider: auth.development is false in this configuration",
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
    let actor = Actor {
        subject: args.subject.clone(),
        kind: match args.kind {
            KindArg::Human => ActorKind::Human,
            KindArg::Ai => ActorKind::Ai,
            KindArg::Service => ActorKind::Service,
        },
        roles: args.roles.clone(),
        role_groups: args.groups.clone(),
        on_behalf_of: None,
    };
    Signer::development(&config)?.token(&Tenant::new(args.tenant.clone())?, &actor, lifetime.get())
}

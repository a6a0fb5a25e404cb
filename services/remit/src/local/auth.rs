//! `remit auth explain`: what a token becomes, step by step, and why it is refused.

use crate::args::Explain;
use crate::bearer::bare;
use crate::cli::print_raw;
use remit_core::{Actor, Error, Kind, Result};
use remit_runtime::auth::{Authenticator, Explanation, Methods};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What every reason means and what to do about it.
const ERRORS: &str = include_str!("../../../../docs/errors.md");

/// What an explanation leaves out, as it asks nobody.
const COUNCIL: &str = "\nThis is what the token and the configuration say. What the council has said since, revocations and assigned \
                       roles, is in `remit access list` and `remit access assignments`.\n";

pub(super) async fn run(args: Explain) -> Result<()> {
    let config = args.settings.load()?;
    let token = match args.token.as_deref() {
        None | Some("-") => std::io::read_to_string(std::io::stdin())
            .map_err(|error| Error::invalid("FILE_UNREADABLE", "token", "cannot be read").with_source(error))?,
        Some(token) => token.to_owned(),
    };
    let token = bare(&token);
    if token.is_empty() {
        let what = "no token was given: name it, or put it into standard input";
        return Err(Error::new(Kind::Unauthenticated, "TOKEN_MISSING", what));
    }
    let methods = Methods::new(remit_api::pool(), &config.roles)?;
    let explained = Authenticator::to_explain(&config, args.offline).await?.explain(token, args.offline).await;
    print_raw(describe(&explained, &methods).as_bytes())?;
    explained.outcome.map(|_| ())
}

fn describe(explained: &Explanation, methods: &Methods) -> String {
    let mut text = String::new();
    for step in &explained.steps {
        let (verdict, reason) = match step.refused {
            None => (if step.proved { "ok  " } else { "??  " }, String::new()),
            Some(reason) => ("FAIL", format!(" ({reason})")),
        };
        let _ = writeln!(text, "  {verdict}  {:<12}  {}{reason}", step.name, visible(&step.text));
    }
    if explained.steps.iter().any(|step| !step.proved && step.refused.is_none()) {
        text += "  ??    marks what the token says and nothing proves: no signature was found right\n";
    }
    match &explained.outcome {
        Err(error) => {
            let _ = writeln!(text, "\nrefused: {}: {error}", error.reason());
            if let Some(remedy) = remedy(error.reason()) {
                // The row of a caller, who is sent here.
                let remedy = remedy.split_once("; `remit auth explain`").map_or(remedy, |(remedy, _)| remedy);
                let _ = writeln!(text, "{}.", remedy.trim_end_matches('.'));
            }
        }
        Ok(identity) => {
            let actor = &identity.actor;
            let what = if explained.unsigned { "would be accepted if its signature is right" } else { "accepted" };
            let _ =
                writeln!(text, "\n{what}: {} {} of the tenant {}", actor.kind.as_str(), actor.subject, identity.tenant);
            text += &permissions(methods, actor);
            text += COUNCIL;
        }
    }
    text
}

/// Text out of a token that may come from anybody, without what a terminal would obey.
fn visible(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

/// The permissions of an actor, by service.
fn permissions(methods: &Methods, actor: &Actor) -> String {
    let granted = methods.iter().filter(|method| method.authorize(actor).is_ok());
    let mut by_service: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for method in granted {
        if let Some((service, rest)) = method.permission.split_once('.') {
            by_service.entry(service).or_default().insert(rest);
        }
    }
    if by_service.is_empty() {
        return "permissions: none, as no role grants any; roles come from the token or from a role assignment\n"
            .to_owned();
    }
    let lines = by_service.into_iter().map(|(service, rest)| {
        let rest: Vec<&str> = rest.into_iter().collect();
        format!("  {service}: {}\n", rest.join(", "))
    });
    "permissions, by the roles in the token:\n".to_owned() + &lines.collect::<String>()
}

/// What the table of all errors says of a reason.
fn remedy(reason: &str) -> Option<&'static str> {
    let row = ERRORS.lines().find_map(|line| line.strip_prefix("| `")?.strip_prefix(reason)?.strip_prefix("` | "))?;
    Some(row.trim_end_matches('|').trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remit_core::{ActorKind, Tenant};
    use remit_runtime::Config;
    use remit_runtime::auth::Signer;
    use std::time::Duration;

    async fn explained(token: impl FnOnce(&Config) -> String) -> String {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::from_toml(&format!("data.dir = {:?}", dir.path().display().to_string())).unwrap();
        let token = token(&config);
        let methods = Methods::new(remit_api::pool(), &config.roles).unwrap();
        let explained = Authenticator::to_explain(&config, false).await.unwrap().explain(&token, false).await;
        let text = describe(&explained, &methods);
        assert!(token.split('.').all(|part| part.is_empty() || !text.contains(part)), "the token stays out of it");
        text
    }

    fn token(config: &Config, tenant: &str, lifetime: u64) -> String {
        let actor = Actor {
            subject: "ann".to_owned(),
            kind: ActorKind::Human,
            roles: vec!["viewer".to_owned(), "boss".to_owned()],
            role_groups: vec!["legal".to_owned()],
            on_behalf_of: None,
        };
        let signer = Signer::development(config).unwrap();
        signer.token(&Tenant::new(tenant).unwrap(), &actor, Duration::from_secs(lifetime)).unwrap()
    }

    #[tokio::test]
    async fn a_good_token_is_explained_to_its_permissions() {
        let text = explained(|config| token(config, "acme", 600)).await;
        assert!(text.contains("accepted: human ann of the tenant acme"), "{text}");
        assert!(text.contains("left out: boss (not among [roles])"), "{text}");
        assert!(text.contains("scoring: ") && text.contains("tasks.get") && !text.contains("tasks.delete"), "{text}");
        assert!(!text.contains("FAIL") && !text.contains("??"), "{text}");
        assert!(text.trim_end().ends_with("`remit access list` and `remit access assignments`."), "{text}");
    }

    #[test]
    fn nothing_out_of_a_token_moves_the_terminal() {
        assert_eq!(visible("ann\u{1b}[2J\r\nok"), "ann\u{fffd}[2J\u{fffd}\u{fffd}ok");
    }

    #[tokio::test]
    async fn a_bad_token_is_explained_with_the_first_refusal_and_what_to_do() {
        let text = explained(|config| token(config, "acme", 90_000)).await;
        assert!(text.contains("refused: TOKEN_CLAIMS: the token lives longer than 86400 seconds"), "{text}");
        assert!(text.contains("correct what the issuer puts into tokens"), "{text}");
        assert!(!text.contains("explain"), "nobody is sent where she is: {text}");
        // The rest is there all the same.
        assert!(text.contains("ann (from sub)"), "{text}");
        let text = explained(|config| {
            let (good, forged) = (token(config, "acme", 600), token(config, "beta", 600));
            format!("{}.{}", good.rsplit_once('.').unwrap().0, forged.rsplit_once('.').unwrap().1)
        })
        .await;
        assert!(text.contains("FAIL  signature") && text.contains("  ??    subject"), "{text}");
        assert!(text.contains("nothing proves"), "{text}");
        let text = explained(|_| "no-token".to_owned()).await;
        assert!(text.contains("refused: TOKEN_MALFORMED"), "{text}");
    }
}

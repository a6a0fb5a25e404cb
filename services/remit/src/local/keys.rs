//! `remit keys`: private keys and the sets of their public halves, as files.

use crate::args::KeysCommand;
use crate::cli::{print_raw, text, unreadable};
use remit_audit::seal::MasterKeys;
use remit_core::{Error, Ids, Result, SERVICES};
use remit_runtime::auth::keyfile;
use remit_store::private;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(super) fn run(command: &KeysCommand) -> Result<()> {
    let told = match command {
        KeysCommand::New { file } => {
            let key = keyfile::make(file)?.verifying_key();
            format!("made {}, key {}\n", file.display(), keyfile::kid(&key))
        }
        KeysCommand::Jwks { files, services, output } => {
            let keys = files.iter().map(|file| public(file, if *services { Some(service_of(file)?) } else { None }));
            let set = pretty(&json!({ "keys": keys.collect::<Result<Vec<_>>>()? }));
            match output {
                None => set,
                Some(path) => {
                    private::publish(path, &set)?;
                    format!("wrote {} to {}\n", count(files.len()), path.display())
                }
            }
        }
        KeysCommand::Rotate { set, next, service } => rotate(set, next, service.as_deref())?,
        KeysCommand::Withdraw { set, kid } => withdraw(set, kid)?,
        KeysCommand::Master { file, id } => master(file, id)?,
        KeysCommand::Show { files } => return show_all(files),
    };
    print_raw(told.as_bytes())
}

fn count(keys: usize) -> String {
    if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") }
}

/// Shows every file that can be shown, and names the others.
fn show_all(files: &[PathBuf]) -> Result<()> {
    let mut first = None;
    for file in files {
        match show(file) {
            Ok(told) => print_raw(told.as_bytes())?,
            Err(error) => {
                print_raw(format!("{}\n  cannot be shown: {error} ({})\n", file.display(), error.reason()).as_bytes())?;
                first.get_or_insert(error);
            }
        }
    }
    first.map_or(Ok(()), Err)
}

/// The public half of a private key as a JWK.
fn public(file: &Path, service: Option<&str>) -> Result<Value> {
    Ok(keyfile::jwk(&keyfile::read(file)?.verifying_key(), service))
}

fn named(service: &str) -> Result<&'static str> {
    SERVICES.into_iter().find(|known| *known == service).ok_or_else(|| {
        let what = format!("{service:?} is no service of the suite: there are {}", SERVICES.join(", "));
        Error::invalid("SERVICE_UNKNOWN", "service", what)
    })
}

/// The service that a file is named after.
fn service_of(file: &Path) -> Result<&'static str> {
    named(file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default())
}

fn pretty(set: &Value) -> String {
    format!("{set:#}\n")
}

/// The keys of a set in a file.
fn keys_of(path: &Path) -> Result<Vec<Value>> {
    let set: Value = serde_json::from_str(&text(path)?).unwrap_or_default();
    match set.get("keys") {
        Some(Value::Array(keys)) => Ok(keys.clone()),
        _ => Err(Error::precondition("JWKS_INVALID", format!("{} is not a JWK set", path.display()))),
    }
}

fn has(key: &Value, member: &str, value: &str) -> bool {
    key.get(member).and_then(Value::as_str) == Some(value)
}

fn rotate(set: &Path, next: &Path, service: Option<&str>) -> Result<String> {
    let service = service.map(named).transpose()?;
    let mut keys = keys_of(set)?;
    if service.is_none() && keys.iter().any(|key| key.get("service").is_some()) {
        let what = format!(
            "must be given: the keys of {} each speak for a service, and one without would speak for nobody; there are {}",
            set.display(),
            SERVICES.join(", ")
        );
        return Err(Error::invalid("SERVICE_MISSING", "service", what));
    }
    if !next.exists() {
        keyfile::make(next)?;
    }
    let key = public(next, service)?;
    let kid = key.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !keys.iter().any(|known| has(known, "kid", &kid)) {
        keys.push(key);
        private::publish(set, &pretty(&json!({ "keys": keys })))?;
    }
    Ok(format!(
        "{} has the key {kid} of {} beside the others, {} in all. Next: publish it everywhere, wait until every process has \
         read it (a file after auth.jwks_min_interval, a URL after auth.jwks_refresh), sign with it, wait until nothing signed with the old key counts any more, then \
         remit keys withdraw\n",
        set.display(),
        next.display(),
        keys.len(),
    ))
}

fn withdraw(set: &Path, kid: &str) -> Result<String> {
    let mut keys = keys_of(set)?;
    let Some(at) = keys.iter().position(|key| has(key, "kid", kid)) else {
        let what = format!("{} has no key {kid}: see remit keys show", set.display());
        return Err(Error::invalid("KEY_UNKNOWN", "KID", what));
    };
    let gone = keys.remove(at);
    // A service without a key could call nobody.
    let service = gone.get("service");
    if !keys.iter().any(|key| key.get("service") == service) {
        let whose = service.and_then(Value::as_str).unwrap_or("the set");
        let what =
            format!("{kid} is the last key of {whose}: put the next one beside it first, with remit keys rotate");
        return Err(Error::precondition("KEY_LAST", what));
    }
    private::publish(set, &pretty(&json!({ "keys": keys })))?;
    Ok(format!("{} has the key {kid} no more, left: {}\n", set.display(), count(keys.len())))
}

fn master(file: &Path, id: &str) -> Result<String> {
    let ids = Ids::new(Box::new(|bytes: &mut [u8]| rand::fill(bytes)));
    let before = if file.exists() { private::read(file)? } else { String::new() };
    let all = MasterKeys::generate(&ids, id) + &before;
    // Refuses an id that is there already, before anything is written.
    MasterKeys::parse(&all)?;
    if before.is_empty() {
        private::create(file, &all)?;
    } else {
        private::replace(file, &all)?;
    }
    let next = if before.is_empty() {
        "Next: keep a copy apart from the data, for nobody opens what it seals without it"
    } else {
        "Next: restart audit, remit audit rewrap with a token of each tenant, take the old line out"
    };
    Ok(format!("{} seals with {id} from the next start on. {next}\n", file.display()))
}

/// What a file holds, whichever kind it is.
fn show(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).map_err(|error| unreadable(file, error))?;
    let mut told = format!("{}\n", file.display());
    if bytes.starts_with(b"-----BEGIN PRIVATE KEY-----") {
        let key = keyfile::read(file)?.verifying_key();
        let half = keyfile::jwk(&key, None);
        let x = half.get("x").and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(told, "  private key {}, public half {x}", keyfile::kid(&key));
        return Ok(told);
    }
    let shown = keyfile::show(&bytes).map_err(|error| {
        Error::new(error.kind(), error.reason(), format!("{}: {}", file.display(), error.message()))
    })?;
    let of_services = shown.usable.iter().any(|(_, service)| service.is_some());
    for (kid, service) in shown.usable {
        let of = match service {
            Some(service) => format!(" of {service}"),
            None if of_services => {
                " without a service: in auth.service_jwks it speaks for nobody (remit keys rotate --service)".to_owned()
            }
            None => String::new(),
        };
        let _ = writeln!(told, "  public key {kid}{of}");
    }
    for why in shown.skipped {
        let _ = writeln!(told, "  passed over: {why}");
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_made_published_changed_and_withdrawn() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let kid = |name: &str| keyfile::kid(&keyfile::read(&path(name)).unwrap().verifying_key());
        for service in ["kpi", "audit"] {
            run(&KeysCommand::New { file: path(&format!("{service}.key")) }).unwrap();
        }
        let error = run(&KeysCommand::New { file: path("kpi.key") }).unwrap_err();
        assert_eq!(error.reason(), "KEY_FILE_EXISTS");
        let jwks = |files: &[&str]| KeysCommand::Jwks {
            files: files.iter().map(|file| path(file)).collect(),
            services: true,
            output: Some(path("set.json")),
        };
        run(&jwks(&["kpi.key", "audit.key"])).unwrap();
        run(&KeysCommand::New { file: path("crm.key") }).unwrap();
        assert_eq!(run(&jwks(&["crm.key"])).unwrap_err().reason(), "SERVICE_UNKNOWN");
        let usable = || {
            let shown = keyfile::show(&std::fs::read(path("set.json")).unwrap()).unwrap();
            assert!(shown.skipped.is_empty());
            shown.usable
        };
        let of = |name: &str, service: &str| (kid(name), Some(service.to_owned()));
        let mut wanted = [of("kpi.key", "kpi"), of("audit.key", "audit")];
        wanted.sort();
        assert_eq!(usable(), wanted);

        let withdraw = |kid: String| run(&KeysCommand::Withdraw { set: path("set.json"), kid });
        assert_eq!(withdraw(kid("kpi.key")).unwrap_err().reason(), "KEY_LAST");
        assert_eq!(withdraw("x".into()).unwrap_err().reason(), "KEY_UNKNOWN");
        for _ in 0..2 {
            let rotate =
                KeysCommand::Rotate { set: path("set.json"), next: path("next.key"), service: Some("kpi".to_owned()) };
            run(&rotate).unwrap();
            assert!(usable().contains(&of("next.key", "kpi")) && usable().len() == 3, "once, however often it is said");
        }
        let nobodys = KeysCommand::Rotate { set: path("set.json"), next: path("nobody.key"), service: None };
        assert_eq!(run(&nobodys).unwrap_err().reason(), "SERVICE_MISSING");
        assert!(!path("nobody.key").exists(), "a key that is not published is not made");
        withdraw(kid("kpi.key")).unwrap();
        let mut wanted = [of("next.key", "kpi"), of("audit.key", "audit")];
        wanted.sort();
        assert_eq!(usable(), wanted);
        let told = show(&path("set.json")).unwrap() + &show(&path("next.key")).unwrap();
        assert_eq!(told.matches(&kid("next.key")).count(), 2, "{told}");
        assert!(!told.contains("BEGIN"), "{told}");
        std::fs::write(path("page.json"), "<html>").unwrap();
        let error = show(&path("page.json")).unwrap_err();
        assert_eq!(error.reason(), "JWKS_INVALID");
        assert!(error.message().contains("page.json"), "{error}");
        let nobody =
            json!({"keys": [public(&path("next.key"), Some("kpi")).unwrap(), public(&path("crm.key"), None).unwrap()]});
        std::fs::write(path("page.json"), nobody.to_string()).unwrap();
        assert!(show(&path("page.json")).unwrap().contains("without a service"));
        let both = KeysCommand::Show { files: vec![path("gone.json"), path("page.json")] };
        assert_eq!(run(&both).unwrap_err().reason(), "FILE_UNREADABLE");
    }

    #[test]
    fn a_new_master_key_stands_before_the_old() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("master.keys");
        let add = |id: &str| run(&KeysCommand::Master { file: file.clone(), id: id.to_owned() });
        add("2026-01").unwrap();
        add("2026-11").unwrap();
        assert_eq!(add("2026-01").unwrap_err().reason(), "MASTER_KEY_INVALID", "an id is never given twice");
        let text = private::read(&file).unwrap();
        assert_eq!(MasterKeys::parse(&text).unwrap().current(), "2026-11");
        assert_eq!(text.lines().count(), 2);
    }
}

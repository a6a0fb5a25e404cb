//! The settings that are in force, for people: each with where it comes from, and without secrets.

use super::layers;
use super::{Config, DEFAULT};
use remit_core::Result;
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// What stands in place of a secret.
const MASK: &str = "***";

/// Every setting that the file, the environment and the command line give, one a line as TOML with dotted keys, in the order
/// of their names, and where it comes from. Secrets are masked: of a database URL the user, the password and the options.
/// `flags` are what the command line gave: each with the section, the key and the text that it sets.
///
/// # Errors
/// As [`Config::load`].
pub fn in_force(file: Option<&Path>, flags: &[(&str, [&str; 2], String)]) -> Result<String> {
    let given = file.map(layers::file).into_iter().chain(std::env::vars().filter_map(layers::variable));
    let flags = flags.iter().map(|(flag, [section, key], text)| {
        let section_of = |value| Table::from_iter([((*section).to_owned(), Value::Table(value))]);
        Ok(((*flag).to_owned(), section_of(Table::from_iter([((*key).to_owned(), Value::String(text.clone()))]))))
    });
    show(given.chain(flags).collect::<Result<Vec<_>>>()?)
}

fn show(given: Vec<(String, Table)>) -> Result<String> {
    // What cannot be read or is out of range is an error here too.
    let _: Config = layers::read(given.iter().cloned().map(Ok))?;
    let mut settings = BTreeMap::new();
    for (source, table) in std::iter::once(layers::text("default".to_owned(), DEFAULT)?).chain(given) {
        flatten("", &Value::Table(table), &source, &mut settings);
    }
    let lines = settings.iter().map(|(key, (value, source))| format!("{key} = {}  # {source}\n", masked(key, value)));
    Ok(lines.collect())
}

fn flatten(path: &str, value: &Value, source: &str, settings: &mut BTreeMap<String, (Value, String)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, source, settings);
            }
        }
        value => drop(settings.insert(path.to_owned(), (value.clone(), source.to_owned()))),
    }
}

fn masked(key: &str, value: &Value) -> Value {
    match value {
        Value::String(text) if text.is_empty() => value.clone(),
        Value::String(url) if key == "database.url" || key.starts_with("database.urls.") => {
            Value::String(without_secrets(url))
        }
        Value::String(_) if key == "audit.master_keys" => Value::String(MASK.to_owned()),
        _ => value.clone(),
    }
}

/// A URL without what stands before its host and after its path.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (rest, options) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?***"));
    // A password may hold any sign, unescaped ones too: the host begins after the last `@`.
    let host = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("{MASK}@{host}"));
    format!("{scheme}://{host}{options}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_settings_in_force_say_where_they_come_from_and_no_secret() {
        let file = "[database]\nurl = \"postgres://remit:p@ss/w:rd@db:5432/remit?sslpassword=hunter2\"\n\
                    [audit]\nmaster_keys = \"a aHVudGVyMg==\"\n[peers]\naudit = \"http://audit:7420\"";
        let variable = layers::variable(("REMIT_SERVER__LISTEN".to_owned(), "0.0.0.0:1".to_owned())).unwrap();
        let shown = show(vec![layers::text("a.toml".to_owned(), file).unwrap(), variable.unwrap()]).unwrap();
        for line in [
            "database.url = \"postgres://***@db:5432/remit?***\"  # a.toml",
            "audit.master_keys = \"***\"  # a.toml",
            "peers.audit = \"http://audit:7420\"  # a.toml",
            "server.listen = \"0.0.0.0:1\"  # the environment variable REMIT_SERVER__LISTEN",
            "database.connections = 8  # default",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg") && !shown.contains("ss/w"));
    }

    #[test]
    fn what_cannot_be_started_with_cannot_be_shown() {
        let wrong = layers::text("a.toml".to_owned(), "[server]\nlisten = 3").unwrap();
        assert_eq!(show(vec![wrong]).unwrap_err().reason(), "CONFIG_INVALID");
    }
}

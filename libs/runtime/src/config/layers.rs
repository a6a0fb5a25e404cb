//! The layers of a configuration, each laid over the ones before it.

use super::{Config, DEFAULT, invalid};
use remit_core::Result;
use std::path::Path;
use toml::{Table, Value};

/// Where settings come from, as people know it, and what they are.
type Layer = (String, Table);

/// The defaults with `layers` over them, checked.
pub(super) fn read(layers: impl IntoIterator<Item = Result<Layer>>) -> Result<Config> {
    let (source, mut settings) = text("the defaults".to_owned(), DEFAULT)?;
    let mut config = typed(&settings, &source)?;
    for layer in layers {
        let (source, layer) = layer?;
        lay(&mut settings, layer);
        // Each layer is read at once: what is wrong now came with it.
        config = typed(&settings, &source)?;
    }
    config.check()?;
    Ok(config)
}

/// The layer that a file holds.
pub(super) fn file(path: &Path) -> Result<Layer> {
    let shown = path.display();
    if !path.is_file() {
        return Err(invalid("config", format!("the file {shown} does not exist")));
    }
    let toml = std::fs::read_to_string(path)
        .map_err(|cause| invalid("config", format!("the file {shown} cannot be read")).with_source(cause))?;
    text(shown.to_string(), &toml)
}

/// The layer that `toml` holds.
pub(super) fn text(source: String, toml: &str) -> Result<Layer> {
    // The error's own text shows the line, which may hold a secret.
    let wrong = |error: toml::de::Error| {
        let before = error.span().and_then(|span| toml.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        invalid("config", format!("line {line}: {} (from {source})", error.message()))
    };
    let table = toml.parse().map_err(wrong)?;
    Ok((source, table))
}

/// The layer that an environment variable is: `REMIT_SERVER__MAX_STREAMS=5` sets `server.max_streams`. Variables
/// without two underscores belong to the command line, but for `REMIT_MODE`, the one setting that is in no section.
pub(super) fn variable((name, text): (String, String)) -> Option<Result<Layer>> {
    if name == "REMIT_MODE" {
        let mode = Table::from_iter([("mode".to_owned(), Value::String(text))]);
        return Some(Ok((format!("the environment variable {name}"), mode)));
    }
    let path = name.strip_prefix("REMIT_").filter(|rest| rest.contains("__"))?.to_ascii_lowercase();
    // Numbers, booleans, lists, tables and quoted text are written as in TOML; anything else, times among it, is text
    // as it stands.
    let value = text.trim().parse().ok().filter(|value| !matches!(value, Value::Datetime(_)));
    let (first, rest) = path.split_once("__")?;
    let nested = |value, key: &str| Value::Table(Table::from_iter([(key.to_owned(), value)]));
    let value = rest.rsplit("__").fold(value.unwrap_or(Value::String(text)), nested);
    Some(Ok((format!("the environment variable {name}"), Table::from_iter([(first.to_owned(), value)]))))
}

/// Tables are merged key by key; anything else replaces what was there.
fn lay(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay(below, above),
            (Some(below), value) => *below = value,
            (None, value) => drop(below.insert(key, value)),
        }
    }
}

fn typed(settings: &Table, source: &str) -> Result<Config> {
    serde_path_to_error::deserialize(settings.clone()).map_err(|error| {
        let (field, error) = (error.path().to_string(), error.into_inner());
        // What was found may be a secret; what was expected is not.
        let what = match error.message().rsplit_once(", expected ") {
            Some((found, known)) if found.starts_with("unknown field") => format!("unknown key; known: {known}"),
            Some((_, wanted)) => format!("must be {wanted}"),
            None => error.message().to_owned(),
        };
        invalid(field, format!("{what} (from {source})"))
    })
}

//! `remit task import` and `remit task export`.

use super::connect::{Session, answer, refused, text, unreadable};
use super::output::{Column, Output, json};
use super::target::Target;
use super::values::pair;
use super::words::count;
use clap::{Args, ValueEnum};
use remit_api::scoring::v1::import_tasks_request::Part;
use remit_api::scoring::v1::task_service_client::TaskServiceClient;
use remit_api::scoring::v1::{
    ExistingTask, ExportTasksRequest, ImportTasksConfig, ImportTasksRequest, ImportTasksResponse, TableFormat,
};
use remit_core::unique::UniqueKeys;
use remit_core::{Error, Result};
use remit_sheet::Format;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt as _;

/// Arguments of `remit task import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file: a table with a header, as spreadsheets save it.
    file: PathBuf,
    /// How the file is written.
    #[command(flatten)]
    written: Written,
    /// Import the good rows even if there are bad ones.
    #[arg(long)]
    skip_bad: bool,
    /// Only report; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// What to do with tasks that exist.
    #[arg(long, value_enum, default_value = "update")]
    existing: Existing,
    /// Who rated, where the file does not say; the caller if absent. Ratings of anybody but the caller are marked as
    /// entered by the caller.
    #[arg(long, default_value = "")]
    rater: String,
    /// A file (YAML or JSON) that maps columns: `columns` (of the file to ours, `-` drops one), `defaults` (ours to a
    /// value) and `rater`, each optional. Options on the command line win.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// A column of the file under another name, such as 'Task ID=id'; '-' drops it. '#7=-' is the seventh column.
    #[arg(long = "column", value_name = "FILE=NAME", value_parser = pair)]
    columns: Vec<(String, String)>,
    /// A value where the file has no such column.
    #[arg(long = "default", value_name = "NAME=VALUE", value_parser = pair)]
    defaults: Vec<(String, String)>,
}

/// How a table is written, where the file does not show it.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Written {
    /// The encoding, such as windows-1250; found out if absent for UTF-8, UTF-16 and Windows-1252.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    encoding: String,
    /// What separates fields: a character, or the word tab; found out if absent.
    #[arg(long, value_name = "CHARACTER", default_value = "", hide_default_value = true)]
    separator: String,
    /// What stands before decimals: '.' or ','; found out if absent and the numbers of the file show it.
    #[arg(long, value_name = "CHARACTER", default_value = "", hide_default_value = true)]
    decimal_mark: String,
}

impl Written {
    /// The same for reading a file here.
    pub(super) fn format(&self) -> Result<Format> {
        Format::named(&self.encoding, &self.separator, &self.decimal_mark)
    }
}

/// What to do with tasks that exist.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Existing {
    /// Change them.
    Update,
    /// Leave them.
    Skip,
    /// Report them as bad rows.
    Refuse,
}

const ERROR_COLUMNS: &[Column] =
    &[("LINE", "line", ""), ("COLUMN", "column", ""), ("REASON", "reason", ""), ("MESSAGE", "message", "")];

/// How much of the file one message carries.
const CHUNK: usize = 256 * 1_024;

/// How the columns of somebody's file become ours.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mapping {
    columns: BTreeMap<String, String>,
    defaults: BTreeMap<String, String>,
    rater: String,
}

impl Mapping {
    fn read(path: &Path) -> Result<Self> {
        let content = text(path)?;
        if content.trim().is_empty() {
            return Err(Error::invalid("MAPPING_INVALID", path.display().to_string(), "is empty"));
        }
        // JSON is a part of YAML.
        serde_norway::from_str(&content)
            .and_then(|_: UniqueKeys| serde_norway::from_str(&content))
            .map_err(|error| Error::invalid("MAPPING_INVALID", path.display().to_string(), error.to_string()))
    }
}

/// Imports a file.
pub(super) async fn import(session: &Session, arguments: Import) -> Result<()> {
    let path = arguments.file;
    let mut file = tokio::fs::File::open(&path).await.map_err(|error| unreadable(&path, error))?;
    let size = file.metadata().await.map_err(|error| unreadable(&path, error))?.len();
    let existing = match arguments.existing {
        Existing::Update => ExistingTask::Update,
        Existing::Skip => ExistingTask::Skip,
        Existing::Refuse => ExistingTask::Refuse,
    };
    let mut mapping = arguments.mapping.as_deref().map(Mapping::read).transpose()?.unwrap_or_default();
    mapping.columns.extend(arguments.columns);
    mapping.defaults.extend(arguments.defaults);
    let config = ImportTasksConfig {
        columns: mapping.columns.into_iter().collect(),
        defaults: mapping.defaults.into_iter().collect(),
        skip_bad: arguments.skip_bad,
        dry_run: arguments.dry_run,
        existing: existing.into(),
        rater: if arguments.rater.is_empty() { mapping.rater } else { arguments.rater },
        request_id: session.request_id(),
        format: Some(TableFormat {
            encoding: arguments.written.encoding,
            separator: arguments.written.separator,
            decimal_mark: arguments.written.decimal_mark,
        }),
    };
    let bar = session.out.progress(size, "importing");
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let progress = bar.clone();
    let shown = path.clone();
    // A server that refuses early closes the stream; its answer says why, so a failed send is no error.
    let reader = tokio::spawn(async move {
        let part = |part| ImportTasksRequest { part: Some(part) };
        if sender.send(part(Part::Config(config))).await.is_err() {
            return Ok(());
        }
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let mut piece = (&mut file).take(CHUNK as u64);
            let read = piece.read_to_end(&mut chunk).await.map_err(|error| unreadable(&shown, error))?;
            if read == 0 || sender.send(part(Part::Chunk(chunk))).await.is_err() {
                return Ok::<(), Error>(());
            }
            progress.inc(read as u64);
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let given = TaskServiceClient::new(session.wire()).import_tasks(stream).await;
    bar.finish_and_clear();
    reader.await.map_err(|error| Error::internal("reading the file was cut short").with_source(error))??;
    report(session.out, arguments.skip_bad, &answer(given)?)
}

fn report(out: Output, skip_bad: bool, answer: &ImportTasksResponse) -> Result<()> {
    if out.json {
        out.show(answer)?;
    } else {
        if let Some(read) = answer.format.as_ref().and_then(unusual) {
            out.note(&read);
        }
        out.part(&answer.errors, ERROR_COLUMNS)?;
        let done = if answer.committed { "" } else { "would be " };
        let text = format!(
            "{}: {} {done}created, {} {done}updated, {} unchanged, {} bad",
            count(answer.rows, "row"),
            answer.created,
            answer.updated,
            answer.unchanged,
            answer.bad_rows
        );
        out.text(&text, || json(answer))?;
    }
    verdict(skip_bad, answer)
}

/// What a file was read as, if that is not what programs write.
fn unusual(format: &TableFormat) -> Option<String> {
    let TableFormat { encoding, separator, decimal_mark } = format;
    if encoding == "UTF-8" && separator == "," && decimal_mark != "," {
        return None;
    }
    let decimals =
        if decimal_mark.is_empty() { String::new() } else { format!(" and '{decimal_mark}' before decimals") };
    Some(format!("read as {encoding} with '{separator}' between fields{decimals}"))
}

/// A dry run ends as the import would.
fn verdict(skip_bad: bool, answer: &ImportTasksResponse) -> Result<()> {
    if answer.committed || skip_bad || answer.bad_rows == 0 {
        return Ok(());
    }
    let text = format!(
        "nothing is imported: {}; correct what is bad, or import the others with --skip-bad",
        count(answer.bad_rows, "bad row")
    );
    Err(Error::precondition("IMPORT_REFUSED", text))
}

/// Writes the inventory as CSV.
pub(super) async fn export(session: &Session, filter: String, output: Option<&Path>) -> Result<()> {
    let mut client = TaskServiceClient::new(session.wire());
    let mut pieces = answer(client.export_tasks(ExportTasksRequest { filter }).await)?;
    let mut file = Target::open(output)?;
    while let Some(piece) = pieces.message().await.map_err(refused)? {
        file.write(&piece.chunk)?;
    }
    session.out.wrote(file.finish()?.as_deref());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_dry_run_with_bad_rows_is_refused_as_the_import_would_be() {
        let dry = |bad_rows| ImportTasksResponse { rows: 3, bad_rows, ..Default::default() };
        assert!(verdict(false, &dry(0)).is_ok());
        assert_eq!(verdict(false, &dry(1)).unwrap_err().reason(), "IMPORT_REFUSED");
        assert!(verdict(true, &dry(1)).is_ok(), "the good rows would be imported");
        assert!(verdict(false, &ImportTasksResponse { committed: true, ..dry(0) }).is_ok());
    }

    #[test]
    fn what_was_found_out_is_said() {
        let read = |encoding: &str, separator: &str, mark: &str| {
            let [encoding, separator, decimal_mark] = [encoding, separator, mark].map(str::to_owned);
            unusual(&TableFormat { encoding, separator, decimal_mark })
        };
        assert_eq!(read("UTF-8", ",", "."), None);
        let told = read("windows-1252", ";", ",").unwrap();
        assert_eq!(told, "read as windows-1252 with ';' between fields and ',' before decimals");
    }

    #[test]
    fn a_mapping_file_is_read_strictly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mapping.yaml");
        let read = |content: &str| {
            std::fs::write(&path, content).unwrap();
            Mapping::read(&path)
        };
        let mapping =
            read("columns: { Task ID: id, Notes: '-' }\ndefaults: { function: software }\nrater: ada").unwrap();
        assert_eq!((mapping.columns["Task ID"].as_str(), mapping.rater.as_str()), ("id", "ada"));
        assert_eq!(read("{\"columns\": {\"a\": \"id\"}}").unwrap().columns.len(), 1);
        for wrong in ["", "columns: 3", "colums: {}", "- a"] {
            let error = read(wrong).unwrap_err();
            assert_eq!(error.reason(), "MAPPING_INVALID", "{wrong}");
            assert!(error.message().contains("mapping.yaml"), "{}", error.message());
        }
        for (twice, told) in [
            ("columns:\n  Task ID: id\n  What: title\n  Task ID: role\n", ["\"Task ID\" stands twice", "line 4"]),
            ("rater: ada\nrater: bob\n", ["\"rater\" stands twice", "line 2"]),
            ("{\"defaults\": {\"role\": \"a\", \"role\": \"b\"}}", ["\"role\" stands twice", "line 1"]),
        ] {
            let error = read(twice).unwrap_err();
            assert!(told.iter().all(|told| error.message().contains(told)), "{}", error.message());
        }
    }
}

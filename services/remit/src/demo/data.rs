//! The demo's input: leads and a task inventory, from files or from the bundled sample.

use jiff::civil::{Date, date};
use remit_core::{Error, Kind, Result, Timestamp};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The name of the lead file in a data directory.
pub const LEADS_FILE: &str = "bank_marketing_leads.csv.gz";
/// The name of the inventory file in a data directory.
const TASKS_FILE: &str = "onet_marketing_tasks.csv";
/// How many versions of the lead scorer the data has scores of.
pub(super) const VERSIONS: usize = 3;

/// One lead of the campaign, with the scores that each version of the model gave it.
#[derive(Debug, Clone)]
pub struct Lead {
    /// The id in the source, such as `lead-00001`.
    pub id: String,
    /// The first day of the calendar month in which the lead was contacted.
    pub month: Date,
    /// When it was contacted: the source has no day, so a month's leads are spread evenly over its
    /// first 28 days in file order.
    pub contacted_at: Timestamp,
    /// How long the last call took, in seconds.
    pub call_seconds: u32,
    /// Whether the contact led to a conversion.
    pub converted: bool,
    /// The score of each version, in `[0, 1]`.
    pub scores: [f64; VERSIONS],
    /// How sure the enrichment is of its attributes, in `[0, 1]`.
    pub enrichment_confidence: f64,
    /// Attributes of the person, which are personal data.
    pub personal: Vec<(&'static str, String)>,
}

/// One task of the inventory, as the import file of the scoring service wants it.
#[derive(Debug, Clone, Default)]
pub struct InventoryTask {
    /// The id, unique in the inventory.
    pub id: String,
    /// What is done.
    pub title: String,
    /// The marketing function that it belongs to, such as `email`.
    pub function: String,
    /// How often it is done in a week.
    pub frequency_per_week: f64,
    /// How long one instance takes a person, in minutes.
    pub minutes_per_instance: f64,
    /// How complex one instance is, 1 to 5.
    pub complexity: u8,
    /// Predictability, risk and human judgment, 1 to 5; none if there is nothing to derive them from.
    pub ratings: Option<[u8; 3]>,
    /// Whether the result defines the brand.
    pub brand_impacting: bool,
    /// The reserved category (S18–S22), empty for none.
    pub reserved_category: &'static str,
    /// Whether the work is structured, cumulative or relational (S114).
    pub execution_kind: &'static str,
    /// Whether a pilot has measured that AI does this well (S94); without it nothing runs unwatched.
    pub pilot_evidence: bool,
}

/// Which baseline months each version of the model was fitted on, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Baseline {
    /// The first month.
    pub first: Date,
    /// The last month.
    pub last: Date,
}

/// Everything that the demo works on.
#[derive(Debug, Clone)]
pub struct Data {
    /// Where it came from, in words for the reader of the output.
    pub source: String,
    /// The leads in time order.
    pub leads: Vec<Lead>,
    /// The task inventory.
    pub tasks: Vec<InventoryTask>,
    /// The baseline of each version.
    pub baselines: [Baseline; VERSIONS],
}

impl Data {
    /// Reads `dir`, or else makes the bundled sample when no directory was named and none is found.
    ///
    /// # Errors
    /// `NotFound` if a named directory lacks a file; `InvalidArgument` naming file, line and column if a
    /// row cannot be read.
    pub fn load(dir: Option<&Path>) -> Result<Self> {
        match dir {
            Some(dir) => Self::from_files(dir),
            None => match default_dir() {
                Some(dir) => Self::from_files(&dir),
                None => Ok(Self::sample()),
            },
        }
    }

    /// The bundled sample.
    pub fn sample() -> Self {
        super::sample::data()
    }

    fn from_files(dir: &Path) -> Result<Self> {
        let leads = read_leads(&dir.join(LEADS_FILE))?;
        let tasks = super::inventory::read(&dir.join(TASKS_FILE))?;
        Ok(Self {
            source: format!("{} leads and {} tasks from {}", leads.len(), tasks.len(), dir.display()),
            leads,
            tasks,
            baselines: [
                Baseline { first: date(2008, 5, 1), last: date(2008, 7, 1) },
                Baseline { first: date(2009, 3, 1), last: date(2009, 5, 1) },
                Baseline { first: date(2009, 8, 1), last: date(2009, 12, 1) },
            ],
        })
    }

    /// The months that have leads, in order.
    pub fn months(&self) -> Vec<Date> {
        let mut months: Vec<Date> = self.leads.iter().map(|lead| lead.month).collect();
        months.dedup();
        months
    }

    /// The leads of one month.
    pub(super) fn leads_of(&self, month: Date) -> Vec<&Lead> {
        self.leads.iter().filter(|lead| lead.month == month).collect()
    }

    /// The scores that version `version` (counted from 0) gave in its baseline months.
    pub(super) fn baseline_scores(&self, version: usize) -> Vec<&Lead> {
        let Baseline { first, last } = self.baselines[version];
        self.leads.iter().filter(|lead| (first..=last).contains(&lead.month)).collect()
    }
}

/// `../shared/data` beside the checkout, if both files are there.
fn default_dir() -> Option<PathBuf> {
    let dir = PathBuf::from("../shared/data");
    (dir.join(LEADS_FILE).is_file() && dir.join(TASKS_FILE).is_file()).then_some(dir)
}

/// Opens a file, unpacking it if its name ends in `.gz`.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = File::open(path).map_err(|e| {
        Error::new(Kind::NotFound, "DATA_FILE_MISSING", format!("cannot open {}", path.display())).with_source(e)
    })?;
    Ok(if path.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::GzDecoder::new(file))
    } else {
        Box::new(file)
    })
}

/// Reads the columns of one CSV row by name, so that an error can say which one is wrong.
pub(super) struct Row<'a> {
    pub(super) path: &'a Path,
    pub(super) headers: &'a csv::StringRecord,
    pub(super) record: &'a csv::StringRecord,
}

impl Row<'_> {
    pub(super) fn text(&self, column: &str) -> Result<&str> {
        let at = self.headers.iter().position(|name| name == column);
        at.and_then(|at| self.record.get(at)).ok_or_else(|| self.wrong(column, "is missing"))
    }

    pub(super) fn parse<T: std::str::FromStr>(&self, column: &str) -> Result<T> {
        let text = self.text(column)?;
        text.parse().map_err(|_| self.wrong(column, &format!("cannot be read from '{text}'")))
    }

    pub(super) fn wrong(&self, column: &str, what: &str) -> Error {
        let line = self.record.position().map_or(0, csv::Position::line);
        Error::invalid("DATA_ROW_INVALID", column, format!("{what} in {} line {line}", self.path.display()))
    }
}

fn read_leads(path: &Path) -> Result<Vec<Lead>> {
    let mut reader = csv::Reader::from_reader(open(path)?);
    let unreadable = |e: csv::Error| Error::invalid("DATA_FILE_UNREADABLE", path.display().to_string(), e.to_string());
    let headers = reader.headers().map_err(unreadable)?.clone();
    let mut leads = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        leads.push(read_lead(&Row { path, headers: &headers, record: &record })?);
    }
    spread_over_months(&mut leads);
    Ok(leads)
}

fn read_lead(row: &Row<'_>) -> Result<Lead> {
    let ratio = |column: &str| -> Result<f64> {
        let value: f64 = row.parse(column)?;
        if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(row.wrong(column, "must be a ratio from 0 to 1")) }
    };
    let period = row.text("period")?;
    let month = format!("{period}-01").parse().map_err(|_| row.wrong("period", "must be a month such as 2008-05"))?;
    let mut personal = Vec::new();
    for column in ["age", "job", "marital", "education"] {
        personal.push((column, row.text(column)?.to_owned()));
    }
    Ok(Lead {
        id: row.text("lead_id")?.to_owned(),
        month,
        contacted_at: Timestamp::default(),
        call_seconds: row.parse("duration")?,
        converted: match row.text("converted")? {
            "0" => false,
            "1" => true,
            other => return Err(row.wrong("converted", &format!("must be 0 or 1, not '{other}'"))),
        },
        scores: [ratio("score_v1")?, ratio("score_v2")?, ratio("score_v3")?],
        enrichment_confidence: ratio("enrichment_confidence")?,
        personal,
    })
}

/// The first instant of a month, in UTC.
pub fn start_of(month: Date) -> Timestamp {
    Timestamp::from(jiff::tz::Offset::UTC.to_timestamp(month.at(0, 0, 0, 0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}

/// The first day of the month after `month`.
pub(super) fn next_month(month: Date) -> Date {
    month.last_of_month().tomorrow().unwrap_or(month)
}

/// Gives every lead a time of its own inside its month, in the order of the file.
pub(super) fn spread_over_months(leads: &mut [Lead]) {
    const SPAN_US: i64 = 28 * 86_400 * 1_000_000;
    let mut from = 0;
    while from < leads.len() {
        let month = leads[from].month;
        let len = leads[from..].iter().take_while(|lead| lead.month == month).count();
        for (i, lead) in leads[from..from + len].iter_mut().enumerate() {
            lead.contacted_at = Timestamp(start_of(month).0 + SPAN_US * i as i64 / len as i64);
        }
        from += len;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    const HEADER: &str =
        "lead_id,period,age,job,marital,education,duration,converted,score_v1,score_v2,score_v3,enrichment_confidence";

    fn file(rows: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        write!(file, "{HEADER}\n{rows}").unwrap();
        file
    }

    #[test]
    fn a_bad_row_is_refused_by_line_and_column() {
        let file = file(
            "lead-1,2008-05,30,admin,single,high,10,0,0.1,0.2,0.3,1.0\nlead-2,2008-05,30,admin,single,high,10,0,87.0,0.2,0.3,1.0\n",
        );
        let error = read_leads(file.path()).unwrap_err();
        assert_eq!(error.violations()[0].field, "score_v1");
        assert!(error.message().contains("line 3"), "{error}");
    }

    #[test]
    fn leads_are_spread_inside_their_month_in_file_order() {
        let file = file(
            "a,2008-05,30,x,y,z,10,0,0.1,0.2,0.3,1.0\nb,2008-05,30,x,y,z,10,1,0.1,0.2,0.3,1.0\nc,2008-06,30,x,y,z,10,0,0.1,0.2,0.3,1.0\n",
        );
        let leads = read_leads(file.path()).unwrap();
        assert!(leads.windows(2).all(|pair| pair[0].contacted_at < pair[1].contacted_at));
        assert!(leads[1].contacted_at < start_of(next_month(leads[0].month)));
    }
}

//! Writing tasks and ratings as CSV.

use super::{OWN, SEEDED_AXES, columns};
use remit_api::scoring::v1 as api;
use remit_api::wire::Word as _;
use remit_core::{Error, Result, name};
use remit_sheet::inert;

/// Writes rows and hands out the bytes so far.
pub(crate) struct Writer {
    csv: csv::Writer<Vec<u8>>,
    axes: Vec<String>,
}

impl Writer {
    pub(crate) fn new(axes: Vec<String>) -> Result<Self> {
        let mut writer = Self { csv: csv::Writer::from_writer(Vec::new()), axes };
        let axes: Vec<String> = writer.axes.iter().map(|axis| format!("axis:{axis}")).collect();
        writer.record(columns().map(str::to_owned).chain(axes))?;
        Ok(writer)
    }

    fn record<T: AsRef<[u8]>>(&mut self, fields: impl IntoIterator<Item = T>) -> Result<()> {
        self.csv.write_record(fields).map_err(|error| Error::internal("writing CSV").with_source(error))
    }

    pub(crate) fn take(&mut self) -> Result<Vec<u8>> {
        let full = std::mem::replace(&mut self.csv, csv::Writer::from_writer(Vec::new()));
        full.into_inner().map_err(|error| Error::internal("writing CSV").with_source(error.into_error()))
    }

    pub(crate) fn task(&mut self, task: &api::Task) -> Result<()> {
        let none = api::Rating::default();
        if task.ratings.is_empty() {
            return self.rating(task, &none);
        }
        task.ratings.iter().try_for_each(|rating| self.rating(task, rating))
    }

    fn rating(&mut self, task: &api::Task, rating: &api::Rating) -> Result<()> {
        let score = |axis: &str| rating.scores.get(axis).map(i32::to_string).unwrap_or_default();
        let mut fields = vec![name::last(&task.name).to_owned()];
        fields.extend(OWN.iter().map(|(_, text)| text(task)));
        fields.extend([rating.rater.clone(), rating.comment.clone()]);
        fields.extend(SEEDED_AXES.iter().map(|axis| score(axis)));
        fields.extend([task.state().word().to_owned(), rating.entered_by.clone()]);
        fields.extend(self.axes.iter().map(|axis| score(axis)));
        self.record(fields.iter().map(|field| inert(field).into_owned()))
    }
}

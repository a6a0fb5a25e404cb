//! Tables as people's programs save them: what Excel, Google Sheets, HubSpot and Salesforce call CSV.
//!
//! No two of them agree on the encoding, the separator, the decimal mark or what an empty row is. A file is read as what
//! it shows itself to be; what may mean two things is refused and named, never guessed. Whatever is read says where it
//! stood: line 1 is the first of the file as an editor shows it.

mod encoding;
mod formula;
mod number;
mod quotes;
mod rows;

pub use formula::{inert, without_mark};
pub use number::{Mark, Unread, agreed, number, number_of_programs};
pub use rows::{Format, Row, Rows, Sheet};

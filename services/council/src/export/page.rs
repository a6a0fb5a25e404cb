//! The one document that all forms for people are written from, so that no form says what another does not.

/// A value of a table, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    /// The text.
    pub(crate) text: String,
    /// The class of the style sheet that says how good it is; empty for none.
    pub(crate) tone: &'static str,
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self { text, tone: "" }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    /// What it shows; empty for none.
    pub(crate) title: String,
    /// What a screen reader calls the region that scrolls: unique in the document.
    pub(crate) region: String,
    /// The headings, and whether the column is flush right.
    pub(crate) columns: Vec<(String, bool)>,
    /// The rows, each as long as the columns.
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Table {
    /// Whether a phone shows its rows one below the other, each value with its heading, so that none is out of sight.
    pub(crate) fn is_narrow(&self) -> bool {
        self.columns.len() <= 6
    }
}

/// What is asked of people because of one finding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    /// The anchor: unique in the document.
    pub(crate) id: String,
    /// What is asked, as a sentence.
    pub(crate) what: String,
    /// What was seen, with its figures.
    pub(crate) why: String,
    /// Who must act.
    pub(crate) of: String,
    /// By when.
    pub(crate) by: String,
    /// What follows if nobody does.
    pub(crate) otherwise: String,
    /// The command that makes it votable or gives it an owner; empty if nothing is left to do.
    pub(crate) command: String,
    /// Where the evidence is: the section's anchor and its title.
    pub(crate) evidence: (String, String),
    /// The log entries that the pack proves of it, by their index; empty if there are none.
    pub(crate) cited: String,
    /// The command that shows the log entries of what it is about; empty if it is about no one thing.
    pub(crate) entries: String,
    /// What was decided already; empty if nothing was.
    pub(crate) decided: String,
}

/// A drawing with the same values as a table, for those who cannot see it and for forms without drawings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// What it shows.
    pub(crate) title: String,
    /// The drawings, side by side where there is room.
    pub(crate) panels: Vec<String>,
    /// How to read it.
    pub(crate) legend: String,
    /// Its values; none where a table beside it has them.
    pub(crate) table: Option<Table>,
}

/// A piece of a part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// A heading within the part.
    Heading(String),
    /// A remark, such as what a term means.
    Note(String),
    /// Something that should be here and is not: which, and why.
    Gone(String, String),
    /// Points.
    Points(Vec<(String, String)>),
    /// Named values.
    Facts(Vec<(String, String)>),
    /// A table.
    Table(Table),
    /// A chart.
    Chart(Chart),
    /// What is asked.
    Ask(Ask),
    /// What people wrote, with its lines.
    Written(String),
}

/// A part of the document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// The anchor.
    pub(crate) id: String,
    /// The heading.
    pub(crate) title: String,
    /// What it says, in one sentence.
    pub(crate) lead: String,
    /// The rest.
    pub(crate) pieces: Vec<Piece>,
}

/// The document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    /// The heading.
    pub(crate) title: String,
    /// Which body, in which state.
    pub(crate) subtitle: String,
    /// What is asked, in one sentence.
    pub(crate) lead: String,
    /// The first page: all that somebody with two minutes reads.
    pub(crate) first: Vec<Part>,
    /// The sections.
    pub(crate) parts: Vec<Part>,
    /// Details that nobody needs for a decision.
    pub(crate) appendices: Vec<Part>,
    /// What the first page stands on.
    pub(crate) frozen: String,
}

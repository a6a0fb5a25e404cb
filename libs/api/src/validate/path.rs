//! Where a value stands in a request, written out only for what is refused.

use super::view::Seen;
use std::fmt;

/// A place as in the proto file, for example `task.ratings[2].scores["risk"]`.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The request itself.
    Root,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
    Key(&'a Path<'a>, Seen<'a>),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => to.write_str(name),
            Self::Field(above, name) => write!(to, "{above}.{name}"),
            Self::Item(above, at) => write!(to, "{above}[{at}]"),
            Self::Key(above, Seen::Text(key)) => write!(to, "{above}[{key:?}]"),
            Self::Key(above, Seen::Int(key)) => write!(to, "{above}[{key}]"),
            Self::Key(above, Seen::Bool(key)) => write!(to, "{above}[{key}]"),
            // Nothing else is a key.
            Self::Key(above, _) => write!(to, "{above}[]"),
        }
    }
}

//! What stands in the `details` of an audit event, as types that its writer and its readers share: kpi derives
//! numbers and the council evidence from them, and nothing may depend on a key that somebody else spells.
//!
//! One file a service. Each type names the actions whose events carry it, and `docs/events.md` is made of the
//! comments here.

mod audit;
mod council;
mod handoff;
mod kpi;
mod notify;
mod refusal;
mod registry;
mod scoring;

pub use audit::*;
pub use council::*;
pub use handoff::*;
pub use kpi::*;
pub use notify::*;
pub use refusal::*;
pub use registry::*;
pub use scoring::*;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The details of the events of some actions.
pub trait Details: Serialize + DeserializeOwned {
    /// What the documentation says of them.
    const DOC: &'static Doc;

    /// As they stand in an event.
    fn json(&self) -> Value {
        // Fields are text, numbers, flags, and lists and maps of these: there is nothing that could fail.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads the details of an event; `None` if they are of another form.
    fn read(details: &Value) -> Option<Self> {
        serde_json::from_value(details.clone()).ok()
    }
}

/// One type of details, for the documentation and for tests.
#[derive(Debug)]
pub struct Doc {
    /// The name of the type.
    pub name: &'static str,
    /// The actions whose events carry it.
    pub actions: &'static [&'static str],
    /// What it says.
    pub text: &'static [&'static str],
    /// Its fields: name, type, what it says.
    pub fields: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// Whether these details are of this form.
    pub fits: fn(&Value) -> bool,
}

/// Every type of details, service by service.
pub fn all() -> Vec<&'static Doc> {
    [handoff::DOCS, scoring::DOCS, registry::DOCS, kpi::DOCS, notify::DOCS, council::DOCS, audit::DOCS, refusal::DOCS]
        .concat()
}

/// Defines types of details with their documentation. Unknown fields are refused when they are read, so that
/// a test notices what a writer adds beside its type.
macro_rules! details {
    ($(
        $(#[doc = $text:literal])+
        $name:ident for [$($action:literal),* $(,)?] {
            $($(#[doc = $field_text:literal])+ $field:ident: $kind:ty,)*
        }
    )*) => {
        $(
            $(#[doc = $text])+
            #[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                $(
                    $(#[doc = $field_text])+
                    #[serde(default)]
                    pub $field: $kind,
                )*
            }

            impl $crate::details::Details for $name {
                const DOC: &'static $crate::details::Doc = &$crate::details::Doc {
                    name: stringify!($name),
                    actions: &[$($action),*],
                    text: &[$($text),+],
                    fields: &[$((stringify!($field), stringify!($kind), &[$($field_text),+])),*],
                    fits: |details| <$name as $crate::details::Details>::read(details).is_some(),
                };
            }
        )*

        /// The types of this service.
        pub(super) const DOCS: &[&$crate::details::Doc] =
            &[$(<$name as $crate::details::Details>::DOC),*];
    };
}
use details;

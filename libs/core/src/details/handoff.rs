//! Details of the events of `handoff`.

super::details! {}

//! Details of the events of `registry`.

super::details! {}

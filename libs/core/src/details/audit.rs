//! Details of the events of `audit`.

super::details! {}

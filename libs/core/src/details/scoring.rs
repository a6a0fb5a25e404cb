//! Details of the events of `scoring`.

super::details! {}

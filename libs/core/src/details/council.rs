//! Details of the events of `council`.

super::details! {}

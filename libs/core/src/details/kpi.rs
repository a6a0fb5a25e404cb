//! Details of the events of `kpi`.

super::details! {}

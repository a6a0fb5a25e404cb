//! Shared by the tests of every crate that has a database.

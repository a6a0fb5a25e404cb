//! What SQL decides.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::SCHEMA;
use remit_core::Result;
use remit_store::testing::{check_migrations, check_statements};

#[test]
fn the_statements_are_portable() -> Result<()> {
    check_statements(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_keeps_the_rules() -> Result<()> {
    check_migrations(&SCHEMA).await
}

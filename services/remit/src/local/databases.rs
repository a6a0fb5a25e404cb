//! `remit migrate`, and how the commands that need no suite open its databases.

use super::services;
use crate::cli::print_raw;
use crate::settings::Settings;
use remit_core::{Ids, Result};
use remit_runtime::{Config, ServiceDef};
use remit_store::{Db, Options};
use secrecy::ExposeSecret as _;
use std::sync::Arc;

/// Opens the database of a service as a suite would, with one connection.
pub(super) async fn open(config: &Config, service: &ServiceDef, migrate: bool) -> Result<Db> {
    let options = Options {
        schema: config.database_schema(service.name),
        transaction_pooler: config.database.transaction_pooler,
        max_connections: 1,
        migrate,
        ..Options::default()
    };
    let ids = Arc::new(Ids::new(Box::new(|bytes: &mut [u8]| bytes.fill(0))));
    Db::open(config.database_url(service.name).expose_secret(), &service.schema, ids, options).await
}

/// The services whose databases the configuration is about.
pub(super) fn named(config: &Config) -> impl Iterator<Item = ServiceDef> {
    let run = config.services();
    services().into_iter().filter(move |service| run.contains(&service.name))
}

/// Brings every database up to this program's version and ends.
pub(super) async fn migrate(settings: Settings) -> Result<()> {
    let config = settings.load()?;
    remit_store::private::directory(&config.data.dir)?;
    for service in named(&config) {
        open(&config, &service, true).await?.close().await;
        print_raw(format!("{}: migrations up to date\n", service.name).as_bytes())?;
    }
    Ok(())
}

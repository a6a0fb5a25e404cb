//! Where the settings come from.

use clap::Args;
use remit_core::Result;
use remit_runtime::Config;
use secrecy::SecretString;
use std::path::PathBuf;

/// Where the settings come from; command line over environment over file over defaults.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Settings {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "REMIT_CONFIG")]
    pub config: Option<PathBuf>,
    /// The directory of everything that a process keeps (data.dir).
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A PostgreSQL URL instead of SQLite files (database.url).
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
}

impl Settings {
    /// Loads the configuration and lays the command line over it.
    pub(crate) fn load(&self) -> Result<Config> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(dir) = &self.data_dir {
            config.data.dir.clone_from(dir);
        }
        if let Some(url) = &self.database_url {
            config.database.url = SecretString::from(url.clone());
        }
        config.check()?;
        Ok(config)
    }
}

//! Where the settings come from.

use clap::Args;
use remit_core::Result;
use remit_runtime::Config;
use remit_runtime::config::in_force;
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

    /// The settings that [`Self::load`] reads, for people, each with where it comes from.
    pub(crate) fn shown(&self) -> Result<String> {
        let dir = self.data_dir.as_ref().map(|dir| ("--data-dir", ["data", "dir"], dir.display().to_string()));
        let url = self.database_url.clone().map(|url| ("--database-url", ["database", "url"], url));
        in_force(self.config.as_deref(), &dir.into_iter().chain(url).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_the_command_line_says_is_shown_as_it_is_in_force() {
        let settings = Settings {
            config: None,
            data_dir: Some("elsewhere".into()),
            database_url: Some("postgres://remit:hunter2@db/remit".to_owned()),
        };
        let shown = settings.shown().unwrap();
        for line in
            ["data.dir = \"elsewhere\"  # --data-dir", "database.url = \"postgres://***@db/remit\"  # --database-url"]
        {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(settings.load().unwrap().data.dir, PathBuf::from("elsewhere"));
    }
}

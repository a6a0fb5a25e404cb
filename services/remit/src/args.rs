//! The command line.

use crate::cli;
use crate::settings::Settings;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// The version and the commit that it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("REMIT_COMMIT"), ")");

/// Decides, gates, records and reviews what AI does in marketing.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 refused in the present state, 4 not allowed,
/// 5 not found, 6 not reachable (try again).
#[derive(Debug, Parser)]
#[command(name = "remit", version = VERSION, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Whether the answer, and an error too, is for a program.
    pub fn wants_json(&self) -> bool {
        matches!(&self.command, Command::Client(command) if command.connection().json)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the suite, or some of its services.
    Serve(Serve),
    /// Issue a token for a person or a program from the development key of a data directory; none speaks for the
    /// suite's own services, which have keys of their own.
    Token(Token),
    /// Run the main job from end to end on real or bundled data.
    Demo(Demo),
    /// Say what is wrong with a configuration or with a running suite.
    Doctor(Doctor),
    /// Say whether a process serves; exit code 6 if it does not. For health checks of containers and of process managers.
    Health(Health),
    /// Bring the databases up to this program's version and end, for suites with database.migrate = false.
    Migrate(Settings),
    /// Copy everything that a suite on SQLite keeps, keys included, as it is at one moment; the suite may run.
    Backup(Backup),
    /// Make a data directory from a backup, and recompute its audit log. Nothing is written over.
    Restore(Restore),
    /// Say how tokens are understood.
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make private keys, publish their public halves, and change one for another; docs/keys.md says in which order.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Check what the council decided, without a server.
    #[command(subcommand)]
    Mandate(MandateCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// What a person does by hand on a running suite.
    #[command(flatten)]
    Client(cli::Command),
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a private key (Ed25519, PKCS#8 PEM) that only its owner can read. A file that is there is never written over.
    New {
        /// The file to make, such as `services/kpi.key`.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the public halves of private keys as a JWK set.
    Jwks {
        /// Files with private keys.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Say of each key that it speaks for the service of the suite that its file is named after, `<service>.key`.
        #[arg(long)]
        services: bool,
        /// Write it to this file instead, in one step.
        #[arg(long, short, alias = "write", value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Put the key that comes next into a key set beside those that are there.
    Rotate {
        /// The key set.
        #[arg(value_name = "SET")]
        set: PathBuf,
        /// The file of the private key that comes next; made if it is not there.
        #[arg(long, value_name = "FILE")]
        next: PathBuf,
        /// The service of the suite that it speaks for.
        #[arg(long, value_name = "SERVICE")]
        service: Option<String>,
    },
    /// Take a key out of a key set, once nothing is signed with it any more.
    Withdraw {
        /// The key set.
        #[arg(value_name = "SET")]
        set: PathBuf,
        /// The id of the key, as `remit keys show` shows it.
        #[arg(value_name = "KID", allow_hyphen_values = true)]
        kid: String,
    },
    /// Put a new master key for personal data before the others of a file, which is made if it is not there.
    Master {
        /// The file, as audit.master_keys_file names it.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What the key is called from now on, such as `2026-11`.
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Show which keys files hold, private keys and key sets alike, and what a server would pass over; never a secret.
    Show {
        /// The files.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Show step by step what a token becomes under a configuration, and why it is refused. The token itself is never
    /// shown.
    Explain(Explain),
}

/// Arguments of `remit auth explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The configuration to look with.
    #[command(flatten)]
    pub settings: Settings,
    /// The token; `-` for standard input, where other users of the machine cannot see it, and so where none is given.
    #[arg(env = "REMIT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Leave the signature aside where the issuer's keys are not in a file, and say so.
    #[arg(long)]
    pub offline: bool,
}

/// What to do with mandates.
#[derive(Debug, Subcommand)]
pub(crate) enum MandateCommand {
    /// Verify a mandate: its signature, that its votes meet its rule, and on request that they are in the log.
    Verify(VerifyMandate),
}

/// Arguments of `remit mandate verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyMandate {
    /// The file with the mandate, as `mandate` of a resource shows it; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub mandate: PathBuf,
    /// The council's key set: `council-jwks.json`, or wherever mandates.jwks points.
    #[arg(long, value_name = "FILE")]
    pub keys: PathBuf,
    /// An export of the audit log that holds the votes.
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
}

/// Arguments of `remit serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where the settings come from.
    #[command(flatten)]
    pub settings: Settings,
    /// The services to run, separated by commas; all if absent (server.only).
    #[arg(long, value_name = "SERVICES", value_delimiter = ',')]
    pub only: Vec<String>,
    /// The address and port (server.listen).
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Run on a clock that is moved by hand; the configuration must allow it (clock.manual).
    #[arg(long)]
    pub manual_clock: bool,
}

/// The kind of actor a token speaks for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum KindArg {
    /// A person.
    Human,
    /// An AI system.
    Ai,
    /// A program that is not an AI system; never one of the suite's own services.
    Service,
}

/// Arguments of `remit token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Where the key is.
    #[command(flatten)]
    pub settings: Settings,
    /// Who the token speaks for.
    #[arg(long)]
    pub subject: String,
    /// The tenant.
    #[arg(long, default_value = "demo")]
    pub tenant: String,
    /// The kind of actor.
    #[arg(long, value_enum, default_value = "human")]
    pub kind: KindArg,
    /// Roles, which grant permissions: admin, operator, reviewer, member, auditor, viewer, platform or your own.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Role groups, which count in a quorum: marketing_lead, legal, data, sales_ops, product.
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// How long it lives, such as 30m or 8h; at most auth.max_lifetime.
    #[arg(long, default_value = "8h")]
    pub lifetime: String,
}

/// Arguments of `remit demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// A directory with `bank_marketing_leads.csv.gz` and `onet_marketing_tasks.csv`. Absent: ../shared/data if it
    /// is there, else the bundled sample.
    #[arg(long, value_name = "DIR", conflicts_with = "sample")]
    pub data: Option<PathBuf>,
    /// Use the bundled sample even if real data is there.
    #[arg(long)]
    pub sample: bool,
    /// Where packs, export and databases go. A run that was cut short is continued if this holds one.
    #[arg(long, short, alias = "out", value_name = "DIR", default_value = "remit-demo")]
    pub output: PathBuf,
    /// A PostgreSQL URL instead of SQLite files.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// The address and port to serve on while the demo runs.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// Leave the suite running at the end, and say how to look at it.
    #[arg(long)]
    pub keep: bool,
    /// Begin anew: remove what an earlier run left in the output directory.
    #[arg(long)]
    pub fresh: bool,
}

/// Arguments of `remit doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The configuration to look at.
    #[command(flatten)]
    pub settings: Settings,
    /// The services that the process is to run, separated by commas, as for serve; those of server.only if absent.
    #[arg(long, value_name = "SERVICES", value_delimiter = ',', conflicts_with = "server")]
    pub only: Vec<String>,
    /// A running suite to look at, such as http://127.0.0.1:7420.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// A token for the running suite.
    #[arg(long, value_name = "TOKEN", env = "REMIT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A file that holds the token, so that it does not show in the list of processes.
    #[arg(long, value_name = "FILE", env = "REMIT_TOKEN_FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// A PEM file with the certificate authority of the running suite.
    #[arg(long, value_name = "FILE", env = "REMIT_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Arguments of `remit backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The directory to make; it is for its owner alone (mode 0700, files 0600).
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The suite to copy: its configuration, or its data directory.
    #[command(flatten)]
    pub settings: Settings,
    /// Leave out the keys of the data directory, for whoever keeps them apart from the data that they open.
    #[arg(long)]
    pub without_keys: bool,
}

/// Arguments of `remit restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The directory that `remit backup` made.
    #[arg(value_name = "DIR")]
    pub backup: PathBuf,
    /// Where to: the configuration of the suite, or its data directory, which must be empty or not there.
    #[command(flatten)]
    pub settings: Settings,
    /// The digest of the manifest, as `remit backup` printed it: finds a backup that was exchanged.
    #[arg(long, value_name = "DIGEST")]
    pub manifest: Option<String>,
    /// A signed checkpoint that was kept outside, such as a witness's: the log must extend it. May be repeated.
    #[arg(long = "checkpoint", value_name = "FILE")]
    pub checkpoints: Vec<PathBuf>,
}

/// Arguments of `remit health`.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// The configuration of the process, which says where it serves.
    #[command(flatten)]
    pub settings: Settings,
    /// Where it serves instead, such as https://audit.example.com:7420.
    #[arg(long, value_name = "URL", env = "REMIT_SERVER")]
    pub server: Option<String>,
    /// A gRPC service, such as remit.audit.v1.AuditService; without it the whole process.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub service: String,
    /// A PEM file with the certificate authority of the process.
    #[arg(long, value_name = "FILE", env = "REMIT_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// `remit config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting with its default and meaning, as Markdown.
    Reference {
        /// Write it between the markers of this file instead.
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
    },
    /// Print the default configuration file.
    Default,
    /// Print the settings that are in force here, each with where it comes from; secrets are masked.
    Show(Settings),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Cli;
    use clap::error::ErrorKind;
    use clap::{CommandFactory as _, Parser as _};
    use std::path::{Path, PathBuf};

    /// The words of the command that `text` begins with, as a shell splits them, to its end.
    fn words(text: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for sign in text.chars() {
            match (quote, sign) {
                (Some(open), _) if open == sign => quote = None,
                (None, '"' | '\'') => {
                    quote = Some(sign);
                    word.get_or_insert_default();
                }
                (None, '#') if word.is_none() => break,
                (None, '>' | '<' | '|' | ';' | '&' | ')') => break,
                (None, ' ') => words.extend(word.take()),
                _ => word.get_or_insert_default().push(sign),
            }
        }
        words.extend(word);
        words
    }

    /// The commands in the blocks of shell of a page, and those in its running text, which may leave out what is needed.
    fn commands(page: &str) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        let mut inside = None;
        for line in page.replace("\\\n", "").lines() {
            match (line.strip_prefix("```"), inside) {
                (Some(language), None) => inside = Some(language == "sh"),
                (Some(_), Some(_)) => inside = None,
                (None, Some(true)) if !line.contains("${") => {
                    let starts = line.match_indices("remit ").map(|(at, _)| line.split_at(at));
                    let is_command = |before: &str| {
                        let before = before.trim_end();
                        ["", "$(", ";", "do", "then", "if", "until"].iter().any(|word| match *word {
                            "" => before.is_empty(),
                            word => before.ends_with(word),
                        })
                    };
                    whole.extend(starts.filter(|(before, _)| is_command(before)).map(|(_, rest)| words(rest)));
                }
                (None, None) => {
                    let quoted = line.split('`').skip(1).step_by(2);
                    // Names of formats and purposes look alike, and end with their version.
                    let named = quoted.filter(|text| text.starts_with("remit ") && !text.ends_with(" v1"));
                    parts.extend(named.map(|text| words(&text.replace(" …", ""))));
                }
                _ => {}
            }
        }
        (whole, parts)
    }

    #[test]
    fn health_asks_the_server_that_other_commands_ask() {
        let all = Cli::command();
        for command in ["health", "inbox"] {
            let command = all.find_subcommand(command).unwrap();
            let server = command.get_arguments().find(|argument| argument.get_id() == "server").unwrap();
            assert_eq!(server.get_env(), Some(std::ffi::OsStr::new("REMIT_SERVER")));
        }
    }

    #[test]
    fn every_command_that_the_pages_show_is_one() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
        let pages: Vec<PathBuf> = docs
            .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
            .chain(["README.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root.join(name)))
            .collect();
        let (mut tried, mut wrong) = (0, Vec::new());
        for page in pages {
            let (whole, parts) = commands(&std::fs::read_to_string(&page).unwrap());
            for (words, is_part) in
                whole.into_iter().map(|words| (words, false)).chain(parts.into_iter().map(|w| (w, true)))
            {
                tried += 1;
                let Err(error) = Cli::try_parse_from(&words) else { continue };
                let stands_for = |word: &String| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
                let unfilled = error.kind() == ErrorKind::ValueValidation && words.iter().any(stands_for);
                let lacks = matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument
                        | ErrorKind::MissingSubcommand
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                        | ErrorKind::DisplayHelp
                        | ErrorKind::DisplayVersion
                ) || error.to_string().contains("none was supplied");
                if !(is_part && (lacks || unfilled)) {
                    wrong.push(format!("{}: {}: {error}", page.display(), words.join(" ")));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(tried > 150, "{tried} commands found");
        assert!(Cli::try_parse_from(words("remit task lst # a comment")).is_err());
    }
}

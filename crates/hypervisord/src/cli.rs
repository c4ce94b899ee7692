//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::auth::Role;
use crate::config::{Environment, Sources};

/// The HyperSDK daemon: gets virtual machines out of vSphere as verified packages.
///
/// Without a command it runs in the foreground until SIGTERM or SIGINT.
#[derive(Debug, Parser)]
#[command(name = "hypervisord", version)]
pub struct Args {
    /// The configuration, a YAML file.
    #[arg(long, value_name = "FILE", env = "HYPERSDK_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// trace, debug, info, warn or error; or levels by module, such as info,hypersdk_vsphere=debug.
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,
    /// Where to listen.
    #[arg(long, value_name = "HOST:PORT", global = true)]
    pub addr: Option<String>,
    /// Serve the API alone, without the dashboard at /web/dashboard/.
    #[arg(long, global = true)]
    pub disable_web: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of running the daemon.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the effective configuration, secrets masked, and every mistake with its key and line.
    CheckConfig,
    /// Print the JSON schema of a configuration file, for editors.
    ConfigSchema {
        /// Print the keys and their defaults as tables of Markdown instead.
        #[arg(long)]
        markdown: bool,
    },
    /// Run the daemon with an embedded vSphere simulator, and print what to try.
    Demo {
        /// Where the database and the packages go; a temporary directory if not given.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Look for what stands between this machine and a working daemon, and say what to do about it.
    ///
    /// Configuration, files and permissions, database, address, each connection, clock. Works beside a running
    /// daemon; accounts are tried once. Ends with 1 if something fails, 0 otherwise.
    Doctor {
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write an archive for those who are to help: what doctor finds, the masked configuration, the end of the log,
    /// the newest jobs, and what a running daemon says of itself. Secrets are removed.
    SupportBundle {
        /// The archive, .tar.zst or .tar.gz; it must not exist.
        file: PathBuf,
    },
    /// Say in plain words what a cron expression means, and when it comes next.
    Cron {
        /// Five fields, or six with the second first; in quotes.
        expression: String,
        /// Whose clock it is read off, such as Europe/Berlin.
        #[arg(long, value_name = "ZONE", default_value = "UTC")]
        timezone: String,
        /// How many times to show.
        #[arg(long, short = 'n', value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
    },
    /// Copy the SQLite database into a new file, also while the daemon runs.
    ///
    /// The copy is one instant's, whole and durable when this ends with 0. PostgreSQL has its own: pg_dump.
    Backup {
        /// The copy; it must not exist yet.
        file: PathBuf,
    },
    /// Check a package of any producer: an OVA (also .gz or .zst), an OVF directory, or its descriptor.
    ///
    /// Ends with 0 if it is whole, 2 if it cannot be read, and otherwise by what is wrong: 10 truncated,
    /// 11 archive, 12 unsafe names, 13 descriptor, 14 manifest, 15 missing file, 16 size, 17 digest,
    /// 18 signature, 19 disk.
    Verify {
        /// The package.
        path: PathBuf,
        /// How much is read: headers, structure (every byte), or full (every grain inflated).
        #[arg(long, value_name = "LEVEL", default_value = "full")]
        level: VerifyLevel,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take over what the Go HyperSDK 0.2 had: its schedules, its configuration, or both.
    ///
    /// The schedules go into the database of --config, while no daemon has it open; what is there already is left
    /// alone. Both files of version 0.2 are only read. Ends with 1 if a schedule cannot be taken over.
    ImportLegacy {
        /// Its SQLite file.
        #[arg(long, value_name = "FILE", required_unless_present = "old_config")]
        old_database: Option<PathBuf>,
        /// Its configuration; it is printed as this version writes it.
        #[arg(long, value_name = "FILE")]
        old_config: Option<PathBuf>,
        /// Write that into a new file instead, for its owner alone: it may hold a password.
        #[arg(long, value_name = "FILE", requires = "old_config")]
        write_config: Option<PathBuf>,
        /// Say what would come of it, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Make, list and revoke API tokens, also while the daemon runs.
    ///
    /// They are kept, as digests, in the file that auth.tokens_file of the configuration names.
    Token {
        /// The file, if no configuration is given.
        #[arg(long, value_name = "FILE", global = true)]
        tokens_file: Option<PathBuf>,
        /// What to do.
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Write the man pages.
    #[command(hide = true)]
    Man {
        /// The directory.
        directory: PathBuf,
    },
    /// Print the completion script of a shell.
    #[command(hide = true)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Show the certificate of a vCenter or host, and record it as trusted once you say that it is right.
    ///
    /// Compare the fingerprint with what the server itself shows: on its console, or with
    /// `openssl x509 -noout -fingerprint -sha256` there. Nothing is sent to the server.
    Trust {
        /// The server: NAME, NAME:PORT, or `[IPV6]:PORT`.
        host: String,
        /// Record it without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Write a new key into a new file that only its owner can read, for `secret_key_file`.
    SecretKey {
        /// The file; it must not exist yet.
        file: PathBuf,
    },
    /// Show what is in a package, from its headers, descriptor and manifest alone.
    Inspect {
        /// The package.
        path: PathBuf,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with API tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it: this once, as only its digest is kept.
    Create {
        /// viewer looks; operator also submits and cancels jobs; admin may do everything.
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// What the audit log calls it.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Show the tokens, without their secrets.
    List,
    /// Take a token away; it opens nothing more within a second.
    Revoke {
        /// Its id or its name.
        token: String,
    },
}

/// How much of a package is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifyLevel {
    /// Headers, descriptor and manifest.
    Headers,
    /// Every byte: digests, and the structure of disks.
    Structure,
    /// Also every grain, inflated.
    Full,
}

impl Args {
    /// Where to read the configuration from.
    pub fn sources(&self, environment: Environment) -> Sources {
        Sources {
            file: self.config.clone().filter(|path| !path.as_os_str().is_empty()),
            environment,
            addr: self.addr.clone(),
            log_level: self.log_level.clone(),
            disable_web: self.disable_web,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn flags_stand_before_or_after_the_command() {
        let args = Args::parse_from(["hypervisord", "check-config", "--config", "x.yaml"]);
        assert_eq!(args.config, Some("x.yaml".into()));
        let args = Args::parse_from(["hypervisord", "--config", "x.yaml", "--log-level", "debug"]);
        assert_eq!(args.log_level.as_deref(), Some("debug"));
        assert!(args.command.is_none());
    }
}

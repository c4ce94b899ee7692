//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::catalogue::PackagesArgs;
use crate::commands::context::ContextArgs;
use crate::commands::export::ExportArgs;
use crate::commands::jobs::{CancelArgs, JobsArgs, LogsArgs};
use crate::commands::orphans::OrphansArgs;
use crate::commands::pool::PoolArgs;
use crate::commands::schedules::SchedulesArgs;
use crate::commands::status::StatusArgs;
use crate::commands::token::TokenArgs;
use crate::commands::validate::ValidateArgs;
use crate::commands::verify::VerifyArgs;
use crate::commands::vms::VmsArgs;
use crate::commands::webhooks::WebhooksArgs;
use crate::contexts::Target;

const EXIT_CODES: &str = "\
Exit codes:
  0        done
  1        a job failed, or part of what was asked was refused
  2        a mistake on the command line or in hyperctl's own files
  3        no daemon answers
  4        the daemon refuses who asks (401, 403)
  5        there is no such thing (404)
  6        its state forbids it (409, 412)
  7        the daemon refuses the request (other 4xx)
  8        the daemon failed or is busy (5xx, 429)
  10 - 19  a package is faulty, by what is wrong with it
  130      cancelled";

/// The command line of the HyperSDK daemon: exports, jobs, schedules, packages.
///
/// It talks to the daemon at http://127.0.0.1:8080 unless --url, --context or the current context
/// (`hyperctl context`) names another one.
#[derive(Debug, Parser)]
#[command(name = "hyperctl", version, after_help = EXIT_CODES)]
pub struct Args {
    /// Which daemon.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON on stdout, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Export VMs as verified packages.
    Export(ExportArgs),
    /// Check beforehand what would come of an export.
    Validate(ValidateArgs),
    /// List jobs, or show some.
    Jobs(JobsArgs),
    /// Print a job's log lines.
    Logs(LogsArgs),
    /// Cancel jobs.
    Cancel(CancelArgs),
    /// List VMs, or show one.
    Vms(VmsArgs),
    /// List the packages that were made, show or remove some.
    Packages(PackagesArgs),
    /// Verify a package.
    Verify(VerifyArgs),
    /// List schedules, make and change them, and see what came of them.
    Schedules(SchedulesArgs),
    /// List webhooks, make and test them, and see what was delivered.
    Webhooks(WebhooksArgs),
    /// List what exports left behind at their sources, and remove it.
    Orphans(OrphansArgs),
    /// Show what the sessions of each connection are doing.
    Pool(PoolArgs),
    /// Show whether the daemon is well.
    Status(StatusArgs),
    /// Name daemons and choose one.
    Context(ContextArgs),
    /// Store, check or remove a token.
    Token(TokenArgs),
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the man pages.
    #[command(hide = true)]
    Man {
        /// The directory.
        directory: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    /// Two arguments of one identifier would get each other's values.
    #[test]
    fn no_argument_of_a_command_hides_a_global_one() {
        fn look(command: &clap::Command, global: &[&str]) {
            for sub in command.get_subcommands() {
                for argument in sub.get_arguments().filter(|argument| !argument.is_global_set()) {
                    let id = argument.get_id().as_str();
                    assert!(!global.contains(&id), "{} has an argument {id} of its own", sub.get_name());
                }
                look(sub, global);
            }
        }
        let command = Args::command();
        let global: Vec<&str> = command
            .get_arguments()
            .filter(|argument| argument.is_global_set())
            .map(|argument| argument.get_id().as_str())
            .collect();
        assert!(global.contains(&"url"), "{global:?}");
        look(&command, &global);
    }

    #[test]
    fn export_is_written_as_the_documents_say() {
        let line = [
            "hyperctl",
            "export",
            "/DC0/vm/a",
            "--output",
            "/srv",
            "--format",
            "ova",
            "--compress",
            "--watch",
        ];
        let Command::Export(export) = Args::parse_from(line).command else { panic!("it is an export") };
        assert!(export.watch && export.package.compress);
    }
}

//! From the command line to an exit code.

use std::process::ExitCode;

use crate::cli::{Args, Command};
use crate::client::Client;
use crate::commands::{
    catalogue, context, export, jobs, orphans, pool, schedules, status, token, validate, verify, vms,
    webhooks,
};
use crate::contexts::Connection;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::pages;

/// Carries out the command line; what goes wrong is said on stderr.
pub fn run(args: &Args) -> ExitCode {
    let format = if args.json { Format::Json } else { Format::Text };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::remark(format!("hyperctl: start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(carry_out(args, format));
    // Whoever pressed Ctrl-C twice does not want to wait for what still runs.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::remark(format!("hyperctl: {failure}"));
            failure.exit_code()
        }
    }
}

async fn carry_out(args: &Args, format: Format) -> Result<(), Failure> {
    let client = || Client::new(&Connection::resolve(&args.target)?);
    match &args.command {
        Command::Export(command) => export::run(command, &args.target, format).await,
        Command::Validate(command) => validate::run(command, &client()?, format).await,
        Command::Jobs(command) => jobs::jobs(command, &client()?, format).await,
        Command::Logs(command) => jobs::logs(command, &client()?, format).await,
        Command::Cancel(command) => jobs::cancel(command, &client()?, format).await,
        Command::Vms(command) => vms::run(command, &client()?, format).await,
        Command::Packages(command) => catalogue::run(command, &client()?, format).await,
        Command::Verify(command) => verify::verify(command, &client()?, format).await,
        Command::Schedules(command) => schedules::run(command, &client()?, format).await,
        Command::Webhooks(command) => webhooks::run(command, &client()?, format).await,
        Command::Orphans(command) => orphans::run(command, &client()?, format).await,
        Command::Pool(_) => pool::run(&client()?, format).await,
        Command::Status(_) => status::run(&client()?, format).await,
        Command::Context(command) => context::run(command, format),
        Command::Token(command) => token::run(command, &args.target, format).await,
        Command::Completions { shell } => {
            pages::completions(*shell);
            Ok(())
        }
        Command::Man { directory } => pages::man(directory),
    }
}

//! What each command does, from its arguments to its exit code.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use hypersdk_ova::verify::{Level, verify_blocking};
use hypersdk_sched::{Cron, Tz};
use hypersdk_store::Database;
use tokio::runtime::Runtime;

use crate::app::App;
use crate::bundle;
use crate::cli::{Args, Command};
use crate::config::{Config, Environment, Sources, legacy as legacy_config, schema};
use crate::demo::Demo;
use crate::doctor::Diagnosis;
use crate::legacy;
use crate::pages;
use crate::reload::Reload;
use crate::signals::Signals;
use crate::telemetry::Telemetry;
use crate::{token_command, trust, verification};

/// Carries out the command line.
pub fn run(args: &Args) -> ExitCode {
    let sources = args.sources(Environment::of_process());
    let result = match &args.command {
        None => daemon(sources),
        Some(Command::CheckConfig) => return check_config(&sources),
        Some(Command::ConfigSchema { markdown }) => {
            print(&config_schema(*markdown));
            Ok(())
        }
        Some(Command::Demo { dir }) => demo(sources, dir.as_deref()),
        Some(Command::Doctor { json }) => return doctor(&sources, *json),
        Some(Command::SupportBundle { file }) => support_bundle(&sources, file),
        Some(Command::Man { directory }) => pages::man(directory),
        Some(Command::Completions { shell }) => {
            pages::completions(*shell);
            Ok(())
        }
        Some(Command::Cron { expression, timezone, count }) => cron(expression, timezone, *count),
        Some(Command::Trust { host, yes }) => trust(&sources, host, *yes),
        Some(Command::SecretKey { file }) => secret_key(file),
        Some(Command::Backup { file }) => backup(&sources, file),
        Some(Command::Verify { path, level, json }) => return verify(path, (*level).into(), *json),
        Some(Command::ImportLegacy { old_database, old_config, write_config, dry_run }) => {
            let write_config = write_config.as_deref().filter(|_| !dry_run);
            let converted = old_config.as_deref().map_or(Ok(()), |old| import_config(old, write_config));
            match (converted, old_database) {
                (Ok(()), Some(old)) => import_schedules(&sources, old, *dry_run),
                (converted, _) => converted,
            }
        }
        Some(Command::Token { tokens_file, command }) => {
            token_command::run(&sources, tokens_file.as_deref(), command).map(|text| print(&text))
        }
        Some(Command::Inspect { path, json }) => return verify(path, Level::Headers, *json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("hypervisord: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn daemon(sources: Sources) -> anyhow::Result<()> {
    let config = Config::load(&sources).context("the configuration has mistakes")?;
    let mut telemetry = Telemetry::install(&config.log, config.traces.as_ref())?;
    let _traces = telemetry.take_traces();
    let to_file = config.log.file.is_some();
    let reload = Reload::new(sources, &config, Some(telemetry));
    let result = with_runtime(async {
        let signals = Signals::catch()?;
        App::build(config).await?.run(signals, reload).await
    });
    if let (Err(error), true) = (&result, to_file) {
        tracing::error!("{error:#}");
    }
    result
}

fn demo(mut sources: Sources, dir: Option<&Path>) -> anyhow::Result<()> {
    // A demo is the same everywhere: nothing of the environment reaches it.
    sources.environment = Environment::default();
    with_runtime(async {
        let signals = Signals::catch()?;
        let mut demo = Demo::start(&sources, dir).await?;
        let reload = Reload::new(sources, &demo.config, Some(Telemetry::install(&demo.config.log, None)?));
        demo.config.warnings.clear();
        let app = App::build(demo.config.clone()).await?;
        print(&demo.instructions(app.local_addr()));
        app.run(signals, reload).await?;
        demo.simulator.shutdown().await;
        Ok(())
    })
}

fn trust(sources: &Sources, host: &str, yes: bool) -> anyhow::Result<()> {
    let config = Config::load(sources).context("the configuration has mistakes")?;
    with_runtime(async {
        let shown = trust::look(&config, host).await?;
        print(&trust::describe(&shown));
        if shown.trusted {
            print("it is trusted already: nothing to record");
            return Ok(());
        }
        if !yes {
            print("is this what the server itself shows? (yes/no)");
            trust::confirm(std::io::stdin().lock())?;
        }
        print(&trust::record(&config, &shown)?);
        Ok(())
    })
}

fn secret_key(file: &Path) -> anyhow::Result<()> {
    hypersdk_webhook::write_key(file).map_err(|error| anyhow::anyhow!(error.chain()))?;
    print(&format!(
        "wrote {}; set secret_key_file to it, and keep a copy: what is sealed with it opens with nothing else",
        file.display()
    ));
    Ok(())
}

fn backup(sources: &Sources, file: &Path) -> anyhow::Result<()> {
    let config = Config::load(sources).context("the configuration has mistakes")?;
    with_runtime(async {
        Database::backup(&config.database, file).await.map_err(|error| {
            let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            anyhow::anyhow!("{}{advice}", error.chain())
        })
    })?;
    print(&format!("copied {} to {}", config.database, file.display()));
    Ok(())
}

fn import_config(old: &Path, new: Option<&Path>) -> anyhow::Result<()> {
    let converted = legacy_config::convert(old).map_err(anyhow::Error::msg)?;
    for remark in &converted.remarks {
        say(format_args!("remark: {remark}"));
    }
    let Some(new) = new else {
        print(&converted.yaml);
        return Ok(());
    };
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)
        .with_context(|| format!("write {}", new.display()))?;
    file.write_all(converted.yaml.as_bytes()).and_then(|()| file.sync_all())?;
    print(&format!("wrote {}; look through it, then `hypervisord check-config --config {0}`", new.display()));
    Ok(())
}

fn import_schedules(sources: &Sources, old: &Path, dry_run: bool) -> anyhow::Result<()> {
    let config = Config::load(sources).context("the configuration has mistakes")?;
    let told = |error: hypersdk_core::Error| {
        let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        anyhow::anyhow!("{}{advice}", error.chain())
    };
    with_runtime(async {
        let database = match dry_run {
            true => None,
            false => Some(Database::open(&config.database).await.map_err(told)?),
        };
        let imported = legacy::import(old, database.as_ref()).await;
        if let Some(database) = &database {
            database.close().await;
        }
        let imported = imported.map_err(told)?;
        for line in imported.iter().flat_map(legacy::Imported::lines) {
            print(&line);
        }
        let refused = imported.iter().filter(|one| !one.is_there()).count();
        let (all, into) = (imported.len(), &config.database);
        let verb = if dry_run { "would be" } else { "are" };
        print(&format!("{} of {all} schedules {verb} in {into}", all - refused));
        anyhow::ensure!(refused == 0, "{refused} of {all} schedules cannot be taken over");
        Ok(())
    })
}

fn check_config(sources: &Sources) -> ExitCode {
    let (config, mistakes) = Config::inspect(sources);
    if let Some(config) = config {
        print(&config.to_yaml());
        for warning in &config.warnings {
            say(format_args!("warning: {warning}"));
        }
    }
    for mistake in &mistakes {
        say(format_args!("mistake: {mistake}"));
    }
    if mistakes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn config_schema(markdown: bool) -> String {
    if markdown {
        schema::markdown()
    } else {
        serde_json::to_string_pretty(&schema::json()).expect("a schema is always JSON")
    }
}

fn doctor(sources: &Sources, json: bool) -> ExitCode {
    let mut diagnosis = None;
    let made = with_runtime(async {
        diagnosis = Some(Diagnosis::make(sources).await);
        Ok(())
    });
    match (made, diagnosis) {
        (Ok(()), Some(diagnosis)) => {
            if json {
                print(&serde_json::to_string_pretty(&diagnosis).expect("findings are always JSON"));
            } else {
                print(&diagnosis.to_string());
            }
            diagnosis.exit_code()
        }
        (made, _) => {
            say(format_args!(
                "hypervisord: {:#}",
                made.err().unwrap_or_else(|| anyhow::anyhow!("nothing was found"))
            ));
            ExitCode::FAILURE
        }
    }
}

fn support_bundle(sources: &Sources, file: &Path) -> anyhow::Result<()> {
    with_runtime(async {
        let names = bundle::write(sources, file).await?;
        print(&format!("{}: {}", file.display(), names.join(", ")));
        say(format_args!(
            "secrets were removed; names of VMs, hosts and accounts were not: look before you hand it on"
        ));
        Ok(())
    })
}

fn cron(expression: &str, timezone: &str, count: u16) -> anyhow::Result<()> {
    let cron: Cron = expression.parse().with_context(|| format!("read {expression:?}"))?;
    let zone = timezone.parse::<Tz>().map_err(|_| {
        anyhow::anyhow!("{timezone:?} is no time zone; use a name such as Europe/Berlin or UTC")
    })?;
    let mut text = format!("{expression}  {}\n", cron.describe());
    for time in cron.upcoming(zone, chrono::Utc::now()).take(count.into()) {
        let utc = time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        text.push_str(&format!("{}  {utc}\n", time.with_timezone(&zone).format("%a %F %T %Z")));
    }
    print(&text);
    Ok(())
}

fn verify(path: &Path, level: Level, json: bool) -> ExitCode {
    let report = match verify_blocking(path, level) {
        Ok(report) => report,
        Err(error) => {
            say(format_args!("hypervisord: {:#}", anyhow::Error::from(error)));
            return ExitCode::from(verification::UNREADABLE);
        }
    };
    if json {
        print(&serde_json::to_string_pretty(&report).expect("a report is always JSON"));
    } else {
        print(&report.to_string());
    }
    ExitCode::from(verification::exit_code(&report))
}

/// Runs `work` to its end. What it leaves behind when it fails is not waited for: a second signal means now.
fn with_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("start the runtime")?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

#[expect(clippy::print_stdout, reason = "what a command is asked to print")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}

#[expect(clippy::print_stderr, reason = "a command's last word, where no log is installed")]
fn say(text: std::fmt::Arguments<'_>) {
    eprintln!("{text}");
}

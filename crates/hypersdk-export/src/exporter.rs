//! One VM from its source to its package.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use hypersdk_core::{
    Error, ErrorKind, ExportOptions, ExportSession, FindingLevel, JobContext, JobSpec, LogLevel,
    NamedProvider, Outcome, Phase, PowerState, PreflightDepth, ProviderExt, Result, RetryHint, VerifyMode,
    VmId, VmSummary,
};

use hypersdk_ova::sign::Signer;

use crate::admission::{Entry, Ticket};
use crate::bandwidth::Throttled;
use crate::beside;
use crate::blocking::blocking;
use crate::check::forecast;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::meter::Meter;
use crate::plan::{self, PlannedFile, Target};
use crate::pool::SharedPool;
use crate::power;
use crate::publish;
use crate::receipt::Receipt;
use crate::resume::resume;
use crate::sign;
use crate::transfer::{Transfer, Written};
use crate::verify;
use crate::wrap;

/// How long the source may take to release what a failed export held.
const ABORT_PATIENCE: Duration = Duration::from_secs(10);
/// How often progress is sampled.
const SAMPLE: Duration = Duration::from_millis(250);

/// Settings of an [`Exporter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportConfig {
    /// Streams open at once for one VM, at least 1.
    pub download_workers: usize,
    /// How long to wait for a VM that something else holds: another backup, or the lease of a process that was
    /// killed, which lasts until the source lets it expire.
    pub busy_patience: Duration,
}

impl Default for ExportConfig {
    fn default() -> Self {
        ExportConfig { download_workers: 3, busy_patience: Duration::from_secs(10 * 60) }
    }
}

/// Exports VMs. Its exports share the threads that deflate.
#[derive(Debug, Default)]
pub struct Exporter {
    config: ExportConfig,
    pool: SharedPool,
    limits: Limits,
}

impl Exporter {
    /// An exporter with these settings.
    pub fn new(config: ExportConfig) -> Self {
        Exporter::with_limits(config, Limits::default())
    }

    /// An exporter that keeps within limits which others may share.
    pub fn with_limits(config: ExportConfig, limits: Limits) -> Self {
        Exporter { config, pool: SharedPool::default(), limits }
    }

    /// Exports one VM.
    ///
    /// # Errors
    /// Whatever went wrong; nothing is left under a final name then, and everything at the source is released.
    ///
    /// # Cancel safety
    /// Fire `context.cancel` rather than dropping the future: only then are partial files removed.
    pub async fn export(
        &self,
        provider: &NamedProvider,
        spec: &JobSpec,
        context: &JobContext,
    ) -> Result<Outcome> {
        let started = (Utc::now(), Instant::now());
        context.progress.update(|progress| progress.phase = Phase::Preparing);
        plan::check_directory(&spec.output_dir)?;
        let vm = or_cancelled(context, provider.provider.get(&spec.vm)).await?;
        let name = plan::package_name(spec.package_name.as_deref(), &vm.name);
        let signer = sign::signer(spec)?;
        let target =
            Target::new(spec.output_dir.clone(), name, spec.format, (context.id.clone(), context.attempt))
                .wrapped(spec.archive_compression)
                .beside(!spec.cleanup_ovf);
        let resumed = resume(&target, spec.overwrite);
        if let Some(outcome) = or_cancelled(context, resumed).await? {
            context.log(
                LogLevel::Info,
                "an earlier attempt had finished the package; it was checked and is kept",
            );
            return Ok(outcome);
        }
        let left = blocking("read journal", {
            let target = target.clone();
            move || Journal::left(&target)
        })
        .await?;
        if left.is_none() {
            clean_up(&target).await?;
        }
        publish::check_free(&target, spec.overwrite)?;

        let mut options = spec.options.clone();
        options.job = Some(context.id.clone());
        options.reuse_snapshot = left.as_ref().map(|left| left.snapshot().to_owned());
        let ticket = match self.admitted(provider, &vm, context).await {
            Ok(ticket) => ticket,
            Err(error) => {
                clean_up(&target).await?;
                return Err(error);
            }
        };
        let mark = target.power_mark();
        if !mark.exists() && left.is_none() {
            // A VM that an earlier attempt switched off is exported and switched on again, whatever there is; one of
            // which a part is here was looked at before.
            self.look_first(provider, &vm, spec, context).await?;
        }
        if spec.options.power.stops() && spec.options.restore_power && vm.power == PowerState::On {
            let mark = mark.clone();
            blocking("mark power state", move || power::mark(&mark)).await?;
        }
        options.was_running = mark.exists();
        let session = match self.open(provider, &vm.id, &options, context).await {
            Ok(session) => Box::new(Throttled::new(session, self.limits.bandwidth.clone())),
            Err(error) => {
                // What it had switched off by then was switched on again.
                power::unmark(&mark);
                clean_up(&target).await?;
                return Err(error);
            }
        };
        let source = session.source().clone();
        let journal = Journal::of(&target, &source, left, context).await?;
        context.log(
            LogLevel::Info,
            format!(
                "exporting {} ({}) from {}: {} files",
                source.vm_name,
                source.vm,
                source.host.as_deref().unwrap_or("an unnamed host"),
                session.files().len()
            ),
        );

        let written = match self.write(&*session, &target, spec, signer, journal.as_ref(), context).await {
            Ok(written) => written,
            Err(error) => {
                session.abort(&error.to_string(), ABORT_PATIENCE).await;
                power::unmark(&mark);
                if !spec.keep_partial || error.kind() == ErrorKind::Cancelled {
                    clean_up(&target).await?;
                }
                return Err(error);
            }
        };
        let mut warnings = written.warnings.clone();
        if let Err(error) = session.complete().await {
            // Every byte and the descriptor are here and agree with the host; the lease ends by itself.
            let warning = format!("the source did not confirm the end of the export: {}", error.chain());
            context.log(LogLevel::Warning, &warning);
            warnings.push(warning);
        }
        power::unmark(&mark);
        drop(ticket);
        let total_size = match finish(&target, &written, spec, context).await {
            Ok(size) => size,
            Err(error) => {
                if !spec.keep_partial {
                    clean_up(&target).await?;
                }
                return Err(error);
            }
        };
        if let Some(command) = target.unwrap_command() {
            warnings.push(format!("the archive is compressed as a whole; before an import: {command}"));
        }
        let outcome = Outcome {
            vm_name: source.vm_name.clone(),
            output_dir: spec.output_dir.display().to_string(),
            ovf_path: written.main_file(&target).display().to_string(),
            total_size,
            duration_seconds: started.1.elapsed().as_secs_f64(),
            checksum: written.summary.manifest.digest.hex(),
            files: written.files(),
            warnings,
        };
        let receipt = Receipt {
            version: 1,
            tool: concat!("hypersdk ", env!("CARGO_PKG_VERSION")).to_owned(),
            job: context.id.clone(),
            attempt: context.attempt,
            source,
            started_at: started.0,
            finished_at: Utc::now(),
            outcome: outcome.clone(),
        };
        // This process may have slept, and the job may be another's by now: then the names are not ours to give.
        if let Err(error) = context.confirm_claim().await {
            clean_up(&target).await?;
            return Err(error);
        }
        let overwrite = spec.overwrite;
        let published = blocking("publish", move || {
            receipt.write(&target.partial_receipt())?;
            publish::publish(&target, overwrite).map_err(|refused| refused.given_up(&target))
        })
        .await;
        published?;
        context.progress.update(|progress| {
            progress.phase = Phase::Done;
            progress.fraction = 1.0;
            progress.bytes_total = Some(progress.bytes_done);
            progress.remaining_seconds = None;
        });
        context.log(
            LogLevel::Info,
            format!(
                "wrote {} ({} bytes in {:.1} s)",
                outcome.ovf_path, outcome.total_size, outcome.duration_seconds
            ),
        );
        Ok(outcome)
    }

    /// Waits until host, datastores and source have room for one more export.
    async fn admitted(
        &self,
        provider: &NamedProvider,
        vm: &VmSummary,
        context: &JobContext,
    ) -> Result<Ticket> {
        let (waiting_for, turn) = match self.limits.admission.enter(provider, vm) {
            Entry::Admitted(ticket) => return Ok(ticket),
            Entry::Waiting(waiting_for, turn) => (waiting_for, turn),
        };
        context.log(LogLevel::Info, format!("waiting for {waiting_for}, which other exports keep busy"));
        let ticket = context.wait_aside(&waiting_for, turn).await?;
        ticket.map_err(|_| Error::cancelled("wait for a turn"))
    }

    /// Looks for what is in the export's way before anything is asked of the source.
    async fn look_first(
        &self,
        provider: &NamedProvider,
        vm: &VmSummary,
        spec: &JobSpec,
        context: &JobContext,
    ) -> Result<()> {
        let looking = forecast(provider, vm, spec, &self.limits, PreflightDepth::Quick);
        let found = match or_cancelled(context, looking).await {
            Ok(found) => found.preflight,
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                // The export itself will tell whether it matters.
                context.log(LogLevel::Warning, format!("could not check before: {}", error.chain()));
                return Ok(());
            }
        };
        for finding in &found.findings {
            let level = match finding.level {
                FindingLevel::Info => LogLevel::Info,
                FindingLevel::Warning => LogLevel::Warning,
                FindingLevel::Error => LogLevel::Error,
            };
            let advice = finding.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
            context.log(level, format!("{}: {}{advice}", finding.code, finding.message));
        }
        found.verdict()
    }

    /// Opens the export, waiting for a VM that is busy.
    async fn open(
        &self,
        provider: &NamedProvider,
        vm: &VmId,
        options: &ExportOptions,
        context: &JobContext,
    ) -> Result<Box<dyn ExportSession>> {
        let begun = tokio::time::Instant::now();
        loop {
            let error = match or_cancelled(context, provider.provider.open_export(vm, options)).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let RetryHint::After(wait) = error.retry() else { return Err(error) };
            if error.kind() != ErrorKind::Conflict || begun.elapsed() + wait > self.config.busy_patience {
                return Err(error);
            }
            context
                .log(LogLevel::Info, format!("the VM is busy; trying again in {wait:?}: {}", error.chain()));
            or_cancelled(context, async {
                tokio::time::sleep(wait).await;
                Ok(())
            })
            .await?;
        }
    }

    /// Fetches every file and writes the package under its partial name.
    async fn write(
        &self,
        session: &dyn ExportSession,
        target: &Target,
        spec: &JobSpec,
        signer: Option<Arc<Signer>>,
        journal: Option<&Journal>,
        context: &JobContext,
    ) -> Result<Written> {
        let files = plan::plan_files(&target.name, target.format, session.files())?;
        plan::check_chunks(spec, &files)?;
        let is_kept = |file: &&PlannedFile| journal.is_some_and(|journal| journal.kept(file).is_some());
        plan::check_space(&target.directory, files.iter().filter(|file| !is_kept(file)))?;
        let meter = Meter::new(files.iter().map(|file| (file.name.clone(), file.weight)));
        context.progress.update(|progress| {
            progress.phase = Phase::Exporting;
            meter.sample(Instant::now(), progress);
        });
        let transfer = Transfer {
            session,
            target,
            spec,
            context,
            meter: &meter,
            pool: &self.pool,
            signer,
            workers: self.config.download_workers.max(1),
            journal,
        };
        let written = tokio::select! {
            written = transfer.run(&files) => written?,
            never = sample(session, &meter, context) => match never {},
        };
        context.progress.update(|progress| meter.sample(Instant::now(), progress));
        for file in written.files().iter().filter(|file| !file.attested) {
            context.log(LogLevel::Info, format!("{}: the host did not attest its bytes", file.name));
        }
        Ok(written)
    }
}

/// Exports one VM with an [`Exporter`] of its own.
///
/// # Errors
/// As [`Exporter::export`].
pub async fn export(
    provider: &NamedProvider,
    spec: &JobSpec,
    context: &JobContext,
    config: ExportConfig,
) -> Result<Outcome> {
    Exporter::new(config).export(provider, spec, context).await
}

async fn sample(
    session: &dyn ExportSession,
    meter: &Meter,
    context: &JobContext,
) -> std::convert::Infallible {
    let mut tick = tokio::time::interval(SAMPLE);
    loop {
        tick.tick().await;
        context.progress.update(|progress| meter.sample(Instant::now(), progress));
        session.report_progress((context.progress.now().fraction * 99.0) as u8);
    }
}

/// Checks what was written, as deeply as the job wants, and gives it its last form. Returns its size in bytes.
async fn finish(target: &Target, written: &Written, spec: &JobSpec, context: &JobContext) -> Result<u64> {
    context.progress.update(|progress| progress.phase = Phase::Verifying);
    verify::structure(target, &written.summary).await?;
    if spec.verify == VerifyMode::Full {
        or_cancelled(context, verify::full(target)).await?;
        context.log(LogLevel::Info, "every byte was read again and every grain inflated: no fault");
    }
    if target.format.is_archive() && !spec.cleanup_ovf {
        beside::unpack(target).await?;
    }
    match target.wrapped {
        None => Ok(written.summary.bytes),
        Some(compression) => or_cancelled(context, wrap::wrap(target, compression)).await,
    }
}

/// Removes what this attempt and earlier ones left unfinished, which takes a while for large files.
async fn clean_up(target: &Target) -> Result<()> {
    let target = target.clone();
    blocking("clean up", move || target.remove_partials()).await
}

async fn or_cancelled<T>(context: &JobContext, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = context.cancel.cancelled() => Err(Error::cancelled("export")),
    }
}

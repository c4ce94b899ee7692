//! A job from its VM to its package.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::Utc;
use hypersdk_core::{
    Error, ErrorKind, ExportSession, JobContext, JobSpec, LogLevel, NamedProvider, Outcome, Phase,
    ProviderExt, ProviderRegistry, Result, Runner, VerifyMode,
};

use crate::meter::Meter;
use crate::plan::{self, Target};
use crate::publish;
use crate::receipt::Receipt;
use crate::transfer::{self, Written};
use crate::verify;

/// How long the source may take to release what a failed export held.
const ABORT_PATIENCE: Duration = Duration::from_secs(10);
/// How often progress is sampled.
const SAMPLE: Duration = Duration::from_millis(250);

/// Settings of an [`ExportRunner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportConfig {
    /// Streams open at once for one VM, at least 1.
    pub download_workers: usize,
}

impl Default for ExportConfig {
    fn default() -> Self {
        ExportConfig { download_workers: 3 }
    }
}

/// Runs export jobs: finds the VM, opens the export, writes and checks the package, gives it its name.
#[derive(Debug, Clone)]
pub struct ExportRunner {
    registry: Arc<ProviderRegistry>,
    config: ExportConfig,
}

impl ExportRunner {
    /// A runner over the registry's providers.
    pub fn new(registry: Arc<ProviderRegistry>, config: ExportConfig) -> Self {
        ExportRunner { registry, config }
    }
}

#[async_trait]
impl Runner for ExportRunner {
    async fn run(&self, spec: &JobSpec, context: JobContext) -> Result<Outcome> {
        let provider = self.registry.get(spec.provider.as_ref())?;
        export(&provider, spec, &context, self.config).await
    }
}

/// Exports one VM, without a job manager: for programs that embed the library.
///
/// # Errors
/// Whatever went wrong; nothing is left under a final name then, and everything at the source is released.
///
/// # Cancel safety
/// Fire `context.cancel` rather than dropping the future: only then are partial files removed.
pub async fn export(
    provider: &NamedProvider,
    spec: &JobSpec,
    context: &JobContext,
    config: ExportConfig,
) -> Result<Outcome> {
    let started = (Utc::now(), Instant::now());
    context.progress.update(|progress| progress.phase = Phase::Preparing);
    plan::check_directory(&spec.output_dir)?;
    let vm = or_cancelled(context, provider.provider.get(&spec.vm)).await?;
    let name = plan::package_name(spec.package_name.as_deref(), &vm.name);
    let target = Target::new(spec.output_dir.clone(), name, spec.format, context.id.clone());
    target.remove_partials()?;
    if let Some(outcome) = verify::published_by(&target, &context.id).await {
        context
            .log(LogLevel::Info, "an earlier attempt had finished the package; it was checked and is kept");
        return Ok(outcome);
    }
    publish::check_free(&target, spec.overwrite)?;

    let mut options = spec.options.clone();
    options.job = Some(context.id.clone());
    let session = or_cancelled(context, provider.provider.open_export(&vm.id, &options)).await?;
    let source = session.source().clone();
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

    let written = match write(&*session, &target, spec, context, config).await {
        Ok(written) => written,
        Err(error) => {
            session.abort(&error.to_string(), ABORT_PATIENCE).await;
            if !spec.keep_partial || error.kind() == ErrorKind::Cancelled {
                target.remove_partials()?;
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
    let finished = finish(&target, written, spec, context).await;
    let written = match finished {
        Ok(written) => written,
        Err(error) => {
            if !spec.keep_partial {
                target.remove_partials()?;
            }
            return Err(error);
        }
    };
    let outcome = Outcome {
        vm_name: source.vm_name.clone(),
        output_dir: spec.output_dir.display().to_string(),
        ovf_path: written.main_file(&target).display().to_string(),
        total_size: written.summary.bytes,
        duration_seconds: started.1.elapsed().as_secs_f64(),
        checksum: written.summary.manifest.digest.hex(),
        files: written.files(),
        warnings,
    };
    let receipt = Receipt {
        version: 1,
        tool: concat!("hypersdk ", env!("CARGO_PKG_VERSION")).to_owned(),
        job: context.id.clone(),
        source,
        started_at: started.0,
        finished_at: Utc::now(),
        outcome: outcome.clone(),
    };
    let overwrite = spec.overwrite;
    let published = blocking("publish", move || {
        receipt.write(&target.partial_receipt())?;
        publish::publish(&target, overwrite).inspect_err(|_| {
            let _ = target.remove_partials();
        })
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

/// Fetches every file and writes the package under its partial name.
async fn write(
    session: &dyn ExportSession,
    target: &Target,
    spec: &JobSpec,
    context: &JobContext,
    config: ExportConfig,
) -> Result<Written> {
    let files = plan::plan_files(&target.name, session.files())?;
    plan::check_space(&target.directory, &files)?;
    let meter = Meter::new(files.iter().map(|file| file.weight));
    context.progress.update(|progress| {
        progress.phase = Phase::Exporting;
        meter.sample(Instant::now(), progress);
    });
    let transfer = transfer::Transfer {
        session,
        target,
        spec,
        context,
        meter: &meter,
        workers: config.download_workers.max(1),
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

/// Checks what was written, as deeply as the job wants.
async fn finish(target: &Target, written: Written, spec: &JobSpec, context: &JobContext) -> Result<Written> {
    context.progress.update(|progress| progress.phase = Phase::Verifying);
    verify::structure(target, &written.summary).await?;
    if spec.verify == VerifyMode::Full {
        or_cancelled(context, verify::full(target)).await?;
        context.log(LogLevel::Info, "every byte was read again and every grain inflated: no fault");
    }
    Ok(written)
}

async fn or_cancelled<T>(context: &JobContext, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = context.cancel.cancelled() => Err(Error::cancelled("export")),
    }
}

/// Runs what may block on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, operation, "the thread died")))
}

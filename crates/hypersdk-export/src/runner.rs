//! Jobs, done by an [`Exporter`].

use std::sync::Arc;

use async_trait::async_trait;
use hypersdk_core::{ErrorKind, JobContext, JobId, JobSpec, Outcome, ProviderRegistry, Result, Runner};

use crate::blocking::blocking;
use crate::exporter::{ExportConfig, Exporter};
use crate::limits::Limits;
use crate::plan;

/// Runs export jobs: finds the VM, opens the export, writes and checks the package, gives it its name.
#[derive(Debug)]
pub struct ExportRunner {
    registry: Arc<ProviderRegistry>,
    exporter: Exporter,
}

impl ExportRunner {
    /// A runner over the registry's providers.
    pub fn new(registry: Arc<ProviderRegistry>, config: ExportConfig) -> Self {
        ExportRunner::with_limits(registry, config, Limits::default())
    }

    /// The same, within limits that may be changed meanwhile.
    pub fn with_limits(registry: Arc<ProviderRegistry>, config: ExportConfig, limits: Limits) -> Self {
        ExportRunner { registry, exporter: Exporter::with_limits(config, limits) }
    }
}

#[async_trait]
impl Runner for ExportRunner {
    async fn run(&self, spec: &JobSpec, context: JobContext) -> Result<Outcome> {
        let provider = self.registry.get(spec.provider.as_ref())?;
        self.exporter.export(&provider, spec, &context).await
    }

    async fn discard(&self, spec: &JobSpec, job: &JobId, attempts: u32) -> Result<()> {
        let (directory, job) = (spec.output_dir.clone(), job.clone());
        blocking("clean up", move || match plan::remove_partials(&directory, &job, attempts) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
        .await
    }
}

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use hypersdk_core::{
    ByteStream, Descriptor, ExportSession, ExportSource, HostDigest, PackagedFile, Result, SourceFile,
};

use super::Bandwidth;

/// An export whose streams keep to a limit they share with all others.
#[derive(Debug)]
pub(crate) struct Throttled {
    inner: Box<dyn ExportSession>,
    bandwidth: Bandwidth,
}

impl Throttled {
    pub(crate) fn new(inner: Box<dyn ExportSession>, bandwidth: Bandwidth) -> Self {
        Throttled { inner, bandwidth }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ExportSession for Throttled {
    fn source(&self) -> &ExportSource {
        self.inner.source()
    }

    fn files(&self) -> &[SourceFile] {
        self.inner.files()
    }

    async fn open(&self, file: &SourceFile) -> Result<ByteStream> {
        let bandwidth = self.bandwidth.clone();
        let stream = self.inner.open(file).await?.then(move |chunk| {
            let bandwidth = bandwidth.clone();
            async move {
                if let Ok(bytes) = &chunk {
                    bandwidth.take(bytes.len()).await;
                }
                chunk
            }
        });
        Ok(stream.boxed())
    }

    fn report_progress(&self, percent: u8) {
        self.inner.report_progress(percent);
    }

    async fn host_digests(&self) -> Result<Vec<HostDigest>> {
        self.inner.host_digests().await
    }

    async fn descriptor(&self, name: &str, files: &[PackagedFile]) -> Result<Descriptor> {
        self.inner.descriptor(name, files).await
    }

    async fn complete(self: Box<Self>) -> Result<()> {
        self.inner.complete().await
    }

    async fn abort(self: Box<Self>, reason: &str, patience: Duration) {
        self.inner.abort(reason, patience).await;
    }
}

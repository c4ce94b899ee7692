//! A provider of one's own, in fewer than 80 lines: a folder of streamOptimized disks, each of them a VM.
#![expect(clippy::print_stdout, reason = "what the example shows")]

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use hypersdk_core::*;
use hypersdk_examples::{Output, sample_disk};
use hypersdk_export::{ExportConfig, export};
use hypersdk_ova::{ovf, verify};
use serde_json::json;
use tokio_util::io::ReaderStream;

#[derive(Debug)]
struct Disks(PathBuf);

#[async_trait::async_trait]
impl Provider for Disks {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("disks")
    }
    fn list(&self, filter: VmFilter) -> BoxStream<'static, Result<VmSummary>> {
        let vms = fs::read_dir(&self.0).and_then(|entries| entries.map(vm).collect());
        let vms: Result<Vec<_>> = vms.map_err(|error| Error::io("list disks", error));
        let vms = stream::iter([vms]).map_ok(|vms| stream::iter(vms).map(Ok)).try_flatten();
        vms.try_filter(move |vm| std::future::ready(filter.matches(vm))).boxed()
    }
    async fn find(&self, selector: &VmSelector) -> Result<Vec<VmSummary>> {
        let vms: Vec<_> = self.list(VmFilter::default()).try_collect().await?;
        Ok(vms.into_iter().filter(|vm| selector.matches(vm)).collect())
    }
    async fn open_export(&self, vm: &VmId, _: &ExportOptions) -> Result<Box<dyn ExportSession>> {
        let (vm, vm_name, path) = (vm.clone(), vm.to_string(), self.0.join(vm.as_str()));
        let size_bytes = Some(fs::metadata(&path).map_err(|error| Error::io("open disk", error))?.len());
        let source = ExportSource { vm, vm_name, instance_uuid: None, host: None, snapshot: None };
        let (key, name, kind) = (path.display().to_string(), "disk.vmdk".into(), FileKind::Disk);
        let file = SourceFile { key, name, kind, capacity_bytes: None, size_bytes, estimate_bytes: None };
        Ok(Box::new(Disk { source, file }))
    }
    async fn close(&self) {}
}

fn vm(disk: io::Result<fs::DirEntry>) -> io::Result<VmSummary> {
    let name = disk?.file_name().to_string_lossy().into_owned();
    // All that is needed; a source may know more.
    let facts = json!({ "id": name, "name": name, "path": format!("/{name}"), "power": "off" });
    Ok(serde_json::from_value(facts)?)
}

#[derive(Debug)]
struct Disk {
    source: ExportSource,
    file: SourceFile,
}

#[async_trait::async_trait]
impl ExportSession for Disk {
    fn source(&self) -> &ExportSource {
        &self.source
    }
    fn files(&self) -> &[SourceFile] {
        std::slice::from_ref(&self.file)
    }
    async fn open(&self, file: &SourceFile) -> Result<ByteStream> {
        let file = tokio::fs::File::open(&file.key).await.map_err(|error| Error::io("open disk", error))?;
        Ok(ReaderStream::new(file).map_err(|error| Error::io("read disk", error)).boxed())
    }
    fn report_progress(&self, _percent: u8) {}
    async fn host_digests(&self) -> Result<Vec<HostDigest>> {
        Ok(vec![])
    }
    async fn descriptor(&self, name: &str, files: &[PackagedFile]) -> Result<Descriptor> {
        let disks = files.iter().map(|file| ovf::EnvelopeDisk {
            href: file.name.clone(),
            size: file.size_bytes,
            capacity_bytes: file.capacity_bytes.unwrap_or_default(),
            populated_bytes: file.populated_bytes.unwrap_or_default(),
        });
        let (name, disks) = (name.to_owned(), disks.collect());
        let envelope = ovf::Envelope { name, cpus: 1, memory_mib: 1024, disks, files: vec![] };
        Ok(Descriptor { ovf: envelope.to_xml(), warnings: vec![] })
    }
    async fn complete(self: Box<Self>) -> Result<()> {
        Ok(())
    }
    async fn abort(self: Box<Self>, _reason: &str, _patience: Duration) {}
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (folder, output) = (tempfile::tempdir()?, Output::choose(std::env::args().nth(1))?);
    sample_disk(&folder.path().join("appliance"))?;
    let disks = NamedProvider { name: "disks".parse()?, provider: Arc::new(Disks(folder.path().into())) };
    let spec = JobSpec::new("/appliance".parse()?, output.path());
    let (context, _log) = JobContext::new(JobId::generate(), 1, Default::default());
    let outcome = export(&disks, &spec, &context, ExportConfig::default()).await?;
    println!("{}", verify::verify(outcome.ovf_path.as_ref(), verify::Level::Full).await?);
    Ok(())
}

//! Exports one VM as qcow2 disks for KVM, converted as they arrive: no VMDK touches the storage.
//!
//! `cargo run -p hypersdk-examples --example convert_to_qcow2 [VM [DIRECTORY]]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use std::path::Path;

use hypersdk_core::{JobContext, JobId, JobSpec, PackageFormat};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{ExportConfig, export};
use hypersdk_ova::{ovf::OvfDescriptor, verify};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let source = Source::open().await?;
    let vm = source.choose(arguments.next(), "/DC0/vm/demo/web01")?;
    let output = Output::choose(arguments.next())?;

    let mut spec = JobSpec::new(vm, output.path());
    spec.overwrite = true;
    spec.format = PackageFormat::Qcow2;
    // Clusters may be deflated too; stored ones are read and written faster.
    spec.compress = false;
    let (context, _log) = JobContext::new(JobId::generate(), 1, Default::default());
    let outcome = export(&source.provider, &spec, &context, ExportConfig::default()).await?;
    source.close().await;

    // The descriptor tells what the VM had, for whoever defines it anew.
    let descriptor = OvfDescriptor::parse(&std::fs::read(&outcome.ovf_path)?)?;
    for disk in &descriptor.disks {
        let Some(file) = descriptor.file_of(disk) else { continue };
        let written = outcome.files.iter().find(|written| written.name == file.href);
        let (came, size) = written.map_or((0, 0), |written| (written.source_size, written.size));
        let capacity = disk.capacity_bytes.unwrap_or_default();
        println!("{}: a disk of {capacity} bytes; {came} came, {size} written", file.href);
    }
    println!("{}", verify::verify(Path::new(&outcome.ovf_path), verify::Level::Full).await?);
    Ok(())
}

//! Lists the VMs of an inventory as they arrive, without keeping them all.
//!
//! `cargo run -p hypersdk-examples --example list_vms [NAME]`, where NAME may be a glob such as `web*`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use futures::TryStreamExt;
use hypersdk_core::VmFilter;
use hypersdk_examples::Source;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let source = Source::open().await?;
    let filter = VmFilter { name: std::env::args().nth(1), ..VmFilter::default() };

    let mut vms = source.provider.provider.list(filter);
    let mut count = 0;
    while let Some(vm) = vms.try_next().await? {
        println!(
            "{:<8} {:<9} {:>2} CPUs {:>6} MiB {:>2} disks  {}",
            vm.id.as_str(),
            format!("{:?}", vm.power).to_lowercase(),
            vm.cpus.unwrap_or_default(),
            vm.memory_bytes.unwrap_or_default() >> 20,
            vm.disks.unwrap_or_default(),
            vm.path,
        );
        count += 1;
    }
    println!("{count} VMs");
    source.close().await;
    Ok(())
}

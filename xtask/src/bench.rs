//! Measures the daemon, a release build in a process of its own, against the simulator in another.

mod api;
mod binaries;
mod case;
mod compress;
mod content;
mod daemon;
mod download;
mod export;
mod inventory;
mod lab;
mod lease;
mod memory;
mod package;
mod pool;
mod report;
mod series;
mod simulator;
mod store;
mod usage;
mod webhooks;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use self::report::Report;
use crate::run;

/// What to measure, and the parts that run as processes of their own.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Pass-through export against a bare download, CPU time, and peak memory by disk size.
    Export(Options),
    /// Every kind of package against what it takes without us, and the bounds that are promised.
    Package(PackageOptions),
    /// Short jobs with a session pool against a login for each.
    Pool(pool::PoolOptions),
    /// Ten thousand VMs: listed, kept in memory, and against pyVmomi.
    Inventory(inventory::InventoryOptions),
    /// Deliveries a second to a local receiver, and memory while many wait.
    Webhooks(webhooks::WebhookOptions),
    /// Jobs a second through the queue, and a daemon with a million jobs and ten thousand schedules.
    Store(store::StoreOptions),
    #[command(hide = true)]
    Jobs(store::Jobs),
    /// The API under load while exports run, a thousand listeners, and a daemon with nothing to do.
    Api(api::ApiOptions),
    #[command(hide = true)]
    Receive(webhooks::Receive),
    #[command(hide = true)]
    ServeInventory(inventory::ServeInventory),
    #[command(hide = true)]
    Simulate(simulator::Simulate),
    #[command(hide = true)]
    Download(download::Download),
}

/// What every measurement can be told.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// Capacity of the large disk in MiB; the small one has an eighth
    #[arg(long, default_value_t = 8192)]
    mib: u64,
    /// Share of the disk that is allocated, from 0 to 1
    #[arg(long, default_value_t = 0.5)]
    fill: f64,
    /// Share of each allocated grain that deflates well, from 0 to 1
    #[arg(long, default_value_t = 0.5)]
    compressibility: f64,
    /// Runs of each; medians are printed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Directory for the output; on the file system to measure [default: the build directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Only print; a missed bound is no failure
    #[arg(long)]
    no_gate: bool,
}

/// What the measurement of packages can be told besides.
#[derive(Args, Clone)]
pub(crate) struct PackageOptions {
    #[command(flatten)]
    common: Options,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = package::Part::ALL)]
    only: Vec<package::Part>,
    /// Where the ordinary content for compression comes from
    #[arg(long, default_value = "/usr")]
    content: PathBuf,
    /// How much of it to take, in MiB
    #[arg(long, default_value_t = 1024)]
    content_mib: u64,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        // Fails only if somebody else was first.
        _ = rustls::crypto::ring::default_provider().install_default();
        match self {
            Bench::Simulate(simulate) => {
                tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(simulate.run())
            }
            Bench::Webhooks(options) => {
                let gate = !options.no_gate;
                conclude(&single()?.block_on(webhooks::run(&options))?, gate)
            }
            Bench::Inventory(options) => {
                let gate = !options.no_gate;
                conclude(&single()?.block_on(inventory::run(&options))?, gate)
            }
            Bench::ServeInventory(serve) => {
                tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve.run())
            }
            Bench::Store(options) => {
                let gate = !options.no_gate;
                conclude(&single()?.block_on(store::run(&options))?, gate)
            }
            Bench::Jobs(jobs) => {
                tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(jobs.run())
            }
            Bench::Api(options) => {
                let gate = !options.no_gate;
                conclude(&single()?.block_on(api::run(&options))?, gate)
            }
            Bench::Receive(receive) => single()?.block_on(receive.run()),
            Bench::Download(download) => single()?.block_on(download.run()),
            Bench::Pool(options) => {
                tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(options.run())
            }
            Bench::Export(options) => {
                let gate = !options.no_gate;
                conclude(&single()?.block_on(export::run(&options))?, gate)
            }
            Bench::Package(options) => {
                let gate = !options.common.no_gate;
                conclude(&single()?.block_on(package::run(&options))?, gate)
            }
        }
    }
}

fn single() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn conclude(report: &Report, gate: bool) -> Result<()> {
    report.print();
    let missed = report.missed();
    if gate && !missed.is_empty() {
        bail!("missed: {}", missed.join("; "));
    }
    Ok(())
}

//! Runs the simulator until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use hypersdk_vsim::{Kind, ManifestSupport, Vsim};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Simulates a vCenter or an ESXi host on a loopback address.
///
/// The first line printed is GOVC_URL=https://user:password@host:port/sdk, the
/// second VSIM_CONTROL=http://host:port/control/; then it serves until SIGINT or SIGTERM.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of the control endpoint, which has no authentication
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Kind of server
    #[arg(long, value_enum, default_value_t = KindName::Vcenter)]
    kind: KindName,
    /// Number of virtual machines
    #[arg(long, default_value_t = 4)]
    vms: usize,
    /// Capacity of each disk in MiB
    #[arg(long, default_value_t = 64)]
    disk_mib: u64,
    /// Share of each disk that is allocated, from 0 to 1
    #[arg(long, default_value_t = 0.5)]
    fill: f64,
    /// Share of each allocated grain that deflates well, from 0 to 1
    #[arg(long, default_value_t = 0.5)]
    compressibility: f64,
    /// Seconds without progress after which a lease expires
    #[arg(long, default_value_t = 300.0)]
    lease_timeout: f64,
    /// Milliseconds a lease stays initializing
    #[arg(long, default_value_t = 20)]
    lease_delay_ms: u64,
    /// Milliseconds added to each SOAP call
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Cap of each NFC stream in bytes a second
    #[arg(long)]
    stream_rate: Option<u64>,
    /// Objects in one page of a property retrieval
    #[arg(long, default_value_t = 100)]
    page_size: usize,
    /// What the host attests of the bytes it sent
    #[arg(long, value_enum, default_value_t = ManifestName::Full)]
    manifest: ManifestName,
    /// Serve NFC from a listener and certificate of its own
    #[arg(long)]
    separate_nfc_host: bool,
    /// User name
    #[arg(long, default_value = "administrator@vsphere.local")]
    username: String,
    /// Password
    #[arg(long, env = "VSIM_PASSWORD", default_value = "vsim-password", hide_env_values = true)]
    password: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindName {
    Vcenter,
    Esxi,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ManifestName {
    /// SHA-1 always, SHA-256 when asked for
    Full,
    /// Only the sums asked for: costs least
    Requested,
    /// None, as an old host
    Unsupported,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let levels = std::env::var("RUST_LOG").ok().and_then(|levels| levels.parse().ok());
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr))
        .with(levels.unwrap_or_else(|| Targets::new().with_default(LevelFilter::ERROR)))
        .init();
    let arguments = Arguments::parse();
    let mut stop = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let timeout = Duration::try_from_secs_f64(arguments.lease_timeout).context("--lease-timeout")?;
    let mut builder = Vsim::builder()
        .listen(arguments.listen)
        .control(arguments.control)
        .kind(match arguments.kind {
            KindName::Vcenter => Kind::VirtualCenter,
            KindName::Esxi => Kind::Esxi,
        })
        .vms(arguments.vms)
        .disk_size(arguments.disk_mib << 20)
        .disk_fill(arguments.fill)
        .disk_compressibility(arguments.compressibility)
        .lease_timeout(timeout)
        .lease_delay(Duration::from_millis(arguments.lease_delay_ms))
        .soap_delay(Duration::from_millis(arguments.delay_ms))
        .page_size(arguments.page_size)
        .manifest(match arguments.manifest {
            ManifestName::Full => ManifestSupport::Full,
            ManifestName::Requested => ManifestSupport::Requested,
            ManifestName::Unsupported => ManifestSupport::Unsupported,
        })
        .credentials(arguments.username, arguments.password);
    if let Some(rate) = arguments.stream_rate {
        builder = builder.stream_rate(rate);
    }
    if arguments.separate_nfc_host {
        builder = builder.separate_nfc_host();
    }
    let sim = builder.start().await.context("start the simulator")?;
    announce(&sim)?;
    tokio::select! {
        _ = stop.0.recv() => {}
        _ = stop.1.recv() => {}
    }
    sim.shutdown().await;
    Ok(())
}

/// Two lines for a parent process, whatever else goes to standard error.
fn announce(sim: &Vsim) -> anyhow::Result<()> {
    let mut url = sim.url();
    // Cannot fail: the address has a host.
    _ = url.set_username(sim.username());
    _ = url.set_password(Some(sim.password()));
    let mut out = std::io::stdout().lock();
    writeln!(out, "GOVC_URL={url}\nVSIM_CONTROL={}", sim.control_url())?;
    out.flush().context("write the addresses to standard output")
}

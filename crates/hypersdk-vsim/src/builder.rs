use std::net::SocketAddr;
use std::time::Duration;

use crate::disk::{DiskSpec, Layout};
use crate::sim::{StartError, Vsim};
use crate::spec::{Config, Kind, ManifestSupport, PowerState, VmSpec};

const MIB: u64 = 1 << 20;

/// Describes a server before it starts; made by [`Vsim::builder`].
///
/// Without [`vm`](Self::vm) and [`vms`](Self::vms) the inventory holds four
/// machines that between them show every case an export meets; the crate's
/// documentation lists them.
#[derive(Clone, Debug)]
pub struct VsimBuilder {
    config: Config,
    generated: Option<usize>,
    disk_bytes: u64,
    fill: f64,
    compressibility: f64,
    explicit: Vec<VmSpec>,
}

impl Default for VsimBuilder {
    fn default() -> Self {
        Self {
            config: Config::default(),
            generated: None,
            disk_bytes: 64 * MIB,
            fill: 0.5,
            compressibility: 0.5,
            explicit: Vec::new(),
        }
    }
}

impl VsimBuilder {
    /// Sets what kind of server it is; a vCenter by default.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.config.kind = kind;
        self
    }

    /// Address of the HTTPS server; `127.0.0.1:0` by default, which picks a free port.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.config.listen = address;
        self
    }

    /// Address of the plain HTTP control endpoint; `127.0.0.1:0` by default.
    /// It has no authentication: keep it on loopback.
    #[must_use]
    pub fn control(mut self, address: SocketAddr) -> Self {
        self.config.control = address;
        self
    }

    /// Sets the one account's user name and password.
    #[must_use]
    pub fn credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.config.username = username.into();
        self.config.password = password.into();
        self
    }

    /// Adds a machine; the generated ones are then left out unless
    /// [`vms`](Self::vms) asks for them.
    #[must_use]
    pub fn vm(mut self, vm: VmSpec) -> Self {
        self.explicit.push(vm);
        self
    }

    /// Number of generated machines: the four named ones first, then `vm-0005` and so on.
    #[must_use]
    pub fn vms(mut self, count: usize) -> Self {
        self.generated = Some(count);
        self
    }

    /// Capacity in bytes of each disk of the generated machines; 64 MiB by default.
    #[must_use]
    pub fn disk_size(mut self, bytes: u64) -> Self {
        self.disk_bytes = bytes;
        self
    }

    /// Share of the generated disks that is allocated, from 0 to 1; half by default.
    #[must_use]
    pub fn disk_fill(mut self, fill: f64) -> Self {
        self.fill = fill;
        self
    }

    /// Share of the generated disks' grains that deflates well, from 0 to 1; half by default.
    #[must_use]
    pub fn disk_compressibility(mut self, compressibility: f64) -> Self {
        self.compressibility = compressibility;
        self
    }

    /// Number of hosts in the cluster (vCenter only); 2 by default, at least 1.
    #[must_use]
    pub fn hosts(mut self, count: usize) -> Self {
        self.config.hosts = count.max(1);
        self
    }

    /// Number of datastores; 2 by default, at least 1. The disks of a machine
    /// are spread over them.
    #[must_use]
    pub fn datastores(mut self, count: usize) -> Self {
        self.config.datastores = count.max(1);
        self
    }

    /// Objects the server puts in one page of RetrievePropertiesEx and
    /// WaitForUpdatesEx, whatever the client allows; 100 by default.
    #[must_use]
    pub fn page_size(mut self, objects: usize) -> Self {
        self.config.page_size = objects.max(1);
        self
    }

    /// Time without HttpNfcLeaseProgress after which a lease expires; 300 s by
    /// default. It is announced in whole seconds, rounded up, and enforced as given.
    #[must_use]
    pub fn lease_timeout(mut self, timeout: Duration) -> Self {
        self.config.lease_timeout = timeout;
        self
    }

    /// Time a lease stays `initializing`; 20 ms by default.
    #[must_use]
    pub fn lease_delay(mut self, delay: Duration) -> Self {
        self.config.lease_delay = delay;
        self
    }

    /// Time a task runs; 20 ms by default.
    #[must_use]
    pub fn task_delay(mut self, delay: Duration) -> Self {
        self.config.task_delay = delay;
        self
    }

    /// Time without a call after which a session ends; 30 min by default.
    #[must_use]
    pub fn session_idle(mut self, idle: Duration) -> Self {
        self.config.session_idle = idle;
        self
    }

    /// Time added to each SOAP call; none by default.
    #[must_use]
    pub fn soap_delay(mut self, delay: Duration) -> Self {
        self.config.soap_delay = delay;
        self
    }

    /// Caps each NFC stream at this many bytes a second; no cap by default.
    #[must_use]
    pub fn stream_rate(mut self, bytes_per_second: u64) -> Self {
        self.config.stream_rate = Some(bytes_per_second.max(1));
        self
    }

    /// Sets what the host attests of the bytes it sent; everything by default.
    #[must_use]
    pub fn manifest(mut self, support: ManifestSupport) -> Self {
        self.config.manifest = support;
        self
    }

    /// Serves NFC from a listener and certificate of its own, "the ESXi host",
    /// which device URLs then name, instead of `https://*/`.
    #[must_use]
    pub fn separate_nfc_host(mut self) -> Self {
        self.config.separate_nfc = true;
        self
    }

    /// Takes a privilege from the account, for instance `VApp.Export`.
    #[must_use]
    pub fn deny_privilege(mut self, privilege: impl Into<String>) -> Self {
        self.config.denied.insert(privilege.into());
        self
    }

    /// Bytes each datastore says are free; by default what the machines leave of 4 TiB.
    #[must_use]
    pub fn datastore_free(mut self, bytes: u64) -> Self {
        self.config.datastore_free = Some(bytes);
        self
    }

    /// Names the first host after the address that serves NFC, with that port, so that a client
    /// can connect to what it reads there; no name of the other hosts leads anywhere.
    #[must_use]
    pub fn reachable_host(mut self) -> Self {
        self.config.reachable_host = true;
        self
    }

    /// Has the server announce this thumbprint for its hosts instead of the true one.
    #[must_use]
    pub fn host_thumbprint(mut self, thumbprint: impl Into<String>) -> Self {
        self.config.host_thumbprint = Some(thumbprint.into());
        self
    }

    /// Binds the listeners and starts serving, on the current Tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be bound, a source file cannot be read, or two
    /// machines have the same path.
    pub async fn start(self) -> Result<Vsim, StartError> {
        let machines = self.machines();
        Vsim::start(self.config, machines).await
    }

    fn machines(&self) -> Vec<VmSpec> {
        let default = if self.explicit.is_empty() { 4 } else { 0 };
        let generated = (0..self.generated.unwrap_or(default)).map(|index| self.generate(index));
        self.explicit.iter().cloned().chain(generated).collect()
    }

    fn generate(&self, index: usize) -> VmSpec {
        let disk = |unit: u64| {
            DiskSpec::synth(index as u64 * 64 + unit + 1, self.disk_bytes)
                .fill(self.fill)
                .compressibility(self.compressibility)
        };
        match index {
            0 => VmSpec::new("web-01").folder("prod").disk(disk(0)),
            1 => VmSpec::new("db-01")
                .folder("prod")
                .disk(disk(0))
                .disk(disk(1))
                .nvram(nvram(index as u64))
                .guest_id("rhel9_64Guest"),
            2 => VmSpec::new("app-01").folder("prod/apps").disk(disk(0)).power(PowerState::On),
            3 => VmSpec::new("build-01")
                .folder("test")
                .disk(disk(0).layout(Layout::Qemu))
                .guest_id("ubuntu64Guest"),
            _ => VmSpec::new(format!("vm-{:04}", index + 1)).disk(disk(0)),
        }
    }
}

/// Bytes in the place of an NVRAM file; a real one of a vSphere machine is this long too.
fn nvram(seed: u64) -> Vec<u8> {
    let mut contents = vec![0; 8684];
    contents[..4].copy_from_slice(b"MRVN");
    fastrand::Rng::with_seed(seed).fill(&mut contents[4..]);
    contents
}

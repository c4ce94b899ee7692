use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;

use crate::builder::VsimBuilder;
use crate::disk::DiskSpec;
use crate::faults::FaultRule;
use crate::log::{Event, Log};
use crate::model::{Endpoint, World, add_machine, populate};
use crate::net::{Identity, routes, serve};
use crate::spec::{Config, PowerState, VmSpec};

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be bound.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The inventory could not be laid out: a source file cannot be read, or
    /// two machines have one path.
    #[error("lay out the inventory")]
    Inventory(#[source] io::Error),
    /// No certificate could be made.
    #[error("make a certificate")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running simulator. It serves until [`shutdown`](Self::shutdown) or drop.
#[derive(Debug)]
pub struct Vsim {
    world: Arc<World>,
    identity: Identity,
    address: SocketAddr,
    control: SocketAddr,
}

impl Vsim {
    /// Describes a simulator to start.
    pub fn builder() -> VsimBuilder {
        VsimBuilder::default()
    }

    pub(crate) async fn start(mut config: Config, machines: Vec<VmSpec>) -> Result<Self, StartError> {
        let identity = Identity::generate().map_err(StartError::Certificate)?;
        let (listener, address) = bind(config.listen).await?;
        let (control_listener, control) = bind(config.control).await?;
        let mut nfc = Endpoint { authority: "*".to_owned(), thumbprint: identity.sha1.clone() };
        let mut host = None;
        let mut nfc_address = address;
        if config.separate_nfc {
            let host_identity = Identity::generate().map_err(StartError::Certificate)?;
            let (host_listener, host_address) = bind(SocketAddr::new(config.listen.ip(), 0)).await?;
            nfc_address = host_address;
            nfc = Endpoint { authority: host_address.to_string(), thumbprint: host_identity.sha1.clone() };
            host = Some((host_listener, host_identity));
        }
        config.host_address = config.reachable_host.then_some(nfc_address);
        let idle = config.session_idle;
        let state = tokio::task::spawn_blocking({
            let config = config.clone();
            move || populate(&config, machines)
        })
        .await
        .map_err(io::Error::other)
        .and_then(|state| state)
        .map_err(StartError::Inventory)?;
        let world = Arc::new(World::new(config, nfc, state));
        let tls = identity.acceptor();
        world.tracker.spawn(serve(Arc::clone(&world), listener, Some(tls), routes::sdk));
        world.tracker.spawn(serve(Arc::clone(&world), control_listener, None, routes::control));
        if let Some((host_listener, host_identity)) = host {
            let tls = host_identity.acceptor();
            world.tracker.spawn(serve(Arc::clone(&world), host_listener, Some(tls), routes::nfc));
        }
        world.tracker.spawn(sweep(Arc::clone(&world), idle));
        Ok(Self { world, identity, address, control })
    }

    /// The SDK's address, `https://127.0.0.1:<port>/sdk`, without credentials.
    pub fn url(&self) -> Url {
        Url::parse(&format!("https://{}/sdk", self.address)).expect("a socket address makes a URL")
    }

    /// User name of the one account.
    pub fn username(&self) -> &str {
        &self.world.config.username
    }

    /// Password of the one account.
    pub fn password(&self) -> &str {
        &self.world.config.password
    }

    /// SHA-1 thumbprint of the server's certificate, as vSphere writes it: `AB:CD:…`.
    pub fn thumbprint(&self) -> &str {
        &self.identity.sha1
    }

    /// SHA-256 thumbprint of the server's certificate, written the same way.
    pub fn thumbprint_sha256(&self) -> &str {
        &self.identity.sha256
    }

    /// The server's certificate, self-signed for `localhost` and the loopback addresses.
    pub fn certificate_pem(&self) -> &str {
        &self.identity.pem
    }

    /// SHA-1 thumbprint device URLs announce: the server's, or with
    /// [`separate_nfc_host`](VsimBuilder::separate_nfc_host) that host's own.
    pub fn nfc_thumbprint(&self) -> &str {
        &self.world.nfc.thumbprint
    }

    /// The control endpoint's address, `http://127.0.0.1:<port>/control/`.
    pub fn control_url(&self) -> Url {
        Url::parse(&format!("http://{}/control/", self.control)).expect("a socket address makes a URL")
    }

    /// What has happened so far.
    pub fn log(&self) -> &Log {
        &self.world.log
    }

    /// Adds a fault rule.
    pub fn add_fault(&self, rule: FaultRule) {
        self.world.faults.add(rule);
    }

    /// Removes every fault rule.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Rules not used up yet, with what is left of their counts.
    pub fn faults(&self) -> Vec<FaultRule> {
        self.world.faults.rules()
    }

    /// Expires the open leases of a machine (name or id), or all of them;
    /// returns how many.
    pub fn expire_leases(&self, vm: Option<&str>) -> usize {
        self.world.expire_leases(vm)
    }

    /// Ends every session, as an administrator would; returns how many.
    pub fn terminate_sessions(&self) -> usize {
        self.world.end_sessions(|_| true, |session| Event::SessionTerminated { session })
    }

    /// Inventory paths of all machines, sorted.
    pub fn vm_paths(&self) -> Vec<String> {
        let mut paths: Vec<String> =
            self.world.read(|state| state.vms().map(|(entity, _)| state.path(&entity.moref)).collect());
        paths.sort();
        paths
    }

    /// Power state of the machine of this name, id or inventory path.
    pub fn power(&self, vm: &str) -> Option<PowerState> {
        self.world.read(|state| state.find_vm(vm).map(|(_, machine)| machine.power))
    }

    /// Gives the machine of this name, id or inventory path another name.
    ///
    /// # Errors
    /// When there is no such machine, or another of that name beside it.
    pub fn rename(&self, vm: &str, name: &str) -> io::Result<()> {
        self.world.rename(vm, name)
    }

    /// Adds a machine; gives its managed object id.
    ///
    /// # Errors
    /// When there is one at its path already, or a source file cannot be read.
    pub fn add_vm(&self, vm: VmSpec) -> io::Result<String> {
        let kind = self.world.config.kind;
        self.world.change(|state| add_machine(state, kind, vm)).map(|moref| moref.id)
    }

    /// Takes the machine of this name, id or inventory path out of the inventory, whatever it does.
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn remove_vm(&self, vm: &str) -> io::Result<()> {
        self.world.remove_vm(vm)
    }

    /// A disk of the machine of this name, id or inventory path, counted from 0.
    pub fn disk(&self, vm: &str, disk: usize) -> Option<DiskSpec> {
        self.world.disk(vm, disk).ok().map(Arc::unwrap_or_clone)
    }

    /// Writes the guest's view of such a disk to `path` as a sparse raw file.
    ///
    /// # Errors
    /// When there is no such disk or `path` cannot be written.
    pub async fn write_raw(&self, vm: &str, disk: usize, path: &Path) -> io::Result<()> {
        let spec = self.world.disk(vm, disk)?;
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || spec.write_raw(&path)).await.map_err(io::Error::other)?
    }

    /// Stops serving, cuts every connection and waits until all is quiet.
    pub async fn shutdown(self) {
        self.world.stop.cancel();
        self.world.tracker.close();
        self.world.tracker.wait().await;
    }
}

impl Drop for Vsim {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Ends idle sessions without waiting for a call to notice.
async fn sweep(world: Arc<World>, idle: Duration) {
    let period = (idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        tokio::select! {
            () = world.stop.cancelled() => return,
            () = tokio::time::sleep(period) => world.expire_sessions(),
        }
    }
}

//! What to simulate: virtual machines and the habits of the server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::disk::DiskSpec;

/// What kind of server is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A vCenter: `apiType` VirtualCenter, a datacenter with folders and a cluster.
    #[default]
    VirtualCenter,
    /// A stand-alone ESXi host: `apiType` HostAgent, fixed `ha-` ids, `/ha-nfc/` paths.
    Esxi,
}

/// Whether a virtual machine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// Running.
    On,
    /// Not running.
    #[default]
    Off,
    /// Not running, with its memory kept.
    Suspended,
}

impl PowerState {
    /// The member of VirtualMachinePowerState.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::On => "poweredOn",
            Self::Off => "poweredOff",
            Self::Suspended => "suspended",
        }
    }
}

/// What the host attests of the bytes it sent, through HttpNfcLeaseGetManifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestSupport {
    /// SHA-1 always, and the type asked for by HttpNfcLeaseSetManifestChecksumType.
    #[default]
    Full,
    /// Only the type asked for; `sha1` is empty otherwise. Costs least, for measurements.
    Requested,
    /// An old host: both calls fail with NotSupported.
    Unsupported,
}

/// Something about a machine that is in an export's way, or that people should know before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A virtual TPM.
    Tpm,
    /// Its files are encrypted.
    Encryption,
    /// A device handed through from the host, which OvfManager refuses to describe.
    Passthrough,
    /// Its disks wait for consolidation.
    Consolidation,
    /// An ISO image of these contents in its drive, which a lease offers as `NAME.iso`.
    ConnectedIso(Bytes),
}

/// A virtual machine to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct VmSpec {
    /// Name, unique in its folder.
    pub name: String,
    /// Folder below the datacenter's `vm` folder, parts separated by `/`; empty
    /// for the `vm` folder itself. Missing folders are made. An ESXi host has none.
    pub folder: String,
    /// Whether it runs.
    pub power: PowerState,
    /// Its disks, in the order of their units.
    pub disks: Vec<DiskSpec>,
    /// Contents of its NVRAM file; a machine that has one boots by EFI.
    pub nvram: Option<Bytes>,
    /// Guest operating system, a member of VirtualMachineGuestOsIdentifier.
    pub guest_id: String,
    /// Number of virtual processors.
    pub cpus: i32,
    /// Memory in MiB.
    pub memory_mib: i32,
    /// Whether VMware Tools run, without which ShutdownGuest fails.
    pub tools: bool,
    /// What is in an export's way.
    pub obstacles: Vec<Obstacle>,
}

impl VmSpec {
    /// A machine in the `vm` folder, off, without disks.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            folder: String::new(),
            power: PowerState::Off,
            disks: Vec::new(),
            nvram: None,
            guest_id: "debian12_64Guest".to_owned(),
            cpus: 2,
            memory_mib: 4096,
            tools: true,
            obstacles: Vec::new(),
        }
    }

    /// Puts it in a folder below the datacenter's `vm` folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<String>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Sets whether it runs.
    #[must_use]
    pub fn power(mut self, power: PowerState) -> Self {
        self.power = power;
        self
    }

    /// Adds a disk.
    #[must_use]
    pub fn disk(mut self, disk: DiskSpec) -> Self {
        self.disks.push(disk);
        self
    }

    /// Gives it an NVRAM file and so EFI firmware.
    #[must_use]
    pub fn nvram(mut self, contents: impl Into<Bytes>) -> Self {
        self.nvram = Some(contents.into());
        self
    }

    /// Puts something in an export's way.
    #[must_use]
    pub fn obstacle(mut self, obstacle: Obstacle) -> Self {
        self.obstacles.push(obstacle);
        self
    }

    /// Leaves VMware Tools out.
    #[must_use]
    pub fn without_tools(mut self) -> Self {
        self.tools = false;
        self
    }

    /// The image in its drive, if there is one.
    pub(crate) fn iso(&self) -> Option<&Bytes> {
        self.obstacles.iter().find_map(|obstacle| match obstacle {
            Obstacle::ConnectedIso(contents) => Some(contents),
            _ => None,
        })
    }

    /// Sets the guest operating system.
    #[must_use]
    pub fn guest_id(mut self, guest_id: impl Into<String>) -> Self {
        self.guest_id = guest_id.into();
        self
    }
}

/// The habits of the server, fixed at start.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) kind: Kind,
    pub(crate) listen: SocketAddr,
    pub(crate) control: SocketAddr,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) hosts: usize,
    pub(crate) datastores: usize,
    pub(crate) page_size: usize,
    pub(crate) lease_timeout: Duration,
    pub(crate) lease_delay: Duration,
    pub(crate) task_delay: Duration,
    pub(crate) session_idle: Duration,
    pub(crate) soap_delay: Duration,
    pub(crate) stream_rate: Option<u64>,
    pub(crate) manifest: ManifestSupport,
    pub(crate) separate_nfc: bool,
    pub(crate) denied: BTreeSet<String>,
    pub(crate) datastore_free: Option<u64>,
    pub(crate) host_thumbprint: Option<String>,
    pub(crate) reachable_host: bool,
    /// Where the first host is reached by name; known once listening.
    pub(crate) host_address: Option<SocketAddr>,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            kind: Kind::VirtualCenter,
            listen: loopback,
            control: loopback,
            username: "administrator@vsphere.local".to_owned(),
            password: "vsim-password".to_owned(),
            hosts: 2,
            datastores: 2,
            page_size: 100,
            lease_timeout: Duration::from_secs(300),
            lease_delay: Duration::from_millis(20),
            task_delay: Duration::from_millis(20),
            session_idle: Duration::from_secs(30 * 60),
            soap_delay: Duration::ZERO,
            stream_rate: None,
            manifest: ManifestSupport::Full,
            separate_nfc: false,
            denied: BTreeSet::new(),
            datastore_free: None,
            host_thumbprint: None,
            reachable_host: false,
            host_address: None,
        }
    }
}

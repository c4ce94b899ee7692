use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::entity::DRIVE;
use super::world::{State, World};
use crate::disk::DiskSpec;
use crate::log::Event;
use crate::wire::{Fault, MoRef};

/// HttpNfcLeaseState, with the fault of its error state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LeasePhase {
    Initializing,
    Ready,
    Done,
    Error(Fault),
}

/// An export lease.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) moref: MoRef,
    pub(crate) vm: MoRef,
    pub(crate) vm_name: String,
    pub(crate) snapshot: Option<MoRef>,
    pub(crate) phase: LeasePhase,
    pub(crate) percent: i64,
    /// The secret part of its device URLs.
    pub(crate) ticket: String,
    pub(crate) files: Vec<LeaseFile>,
    /// Checksum types asked for, by device key.
    pub(crate) checksums: BTreeMap<String, String>,
    /// Cancelled when the lease ends, however it does.
    pub(crate) ended: CancellationToken,
    task: MoRef,
    deadline: Instant,
}

/// A file offered by a lease.
#[derive(Clone, Debug)]
pub(crate) struct LeaseFile {
    /// Device key, which CreateDescriptor knows as `deviceId`.
    pub(crate) key: String,
    /// Name of the file, `disk-0.vmdk`.
    pub(crate) target: String,
    pub(crate) source: FileSource,
    pub(crate) capacity: u64,
    pub(crate) populated: u64,
    pub(crate) datastore: String,
    /// What the last finished stream of it sent.
    pub(crate) sent: Option<Sums>,
}

#[derive(Clone, Debug)]
pub(crate) enum FileSource {
    Disk(Arc<DiskSpec>),
    Bytes(Bytes),
}

impl LeaseFile {
    pub(crate) fn is_disk(&self) -> bool {
        matches!(self.source, FileSource::Disk(_))
    }
}

/// Size and checksums of what a stream sent, in lower-case hex.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub(crate) size: u64,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
}

/// How a lease ends.
#[derive(Clone, Debug)]
pub(crate) enum LeaseEnd {
    Completed,
    Aborted(Fault),
    Expired,
}

impl World {
    /// Opens a lease on a machine, of its present disks or a snapshot's, and
    /// lets it become ready and, without renewal, expire.
    pub(crate) fn open_lease(
        self: &Arc<Self>,
        vm: &MoRef,
        snapshot: Option<MoRef>,
        user: &str,
    ) -> Result<MoRef, Fault> {
        let moref = MoRef::new("HttpNfcLease", format!("session[{}]{}", Uuid::new_v4(), Uuid::new_v4()));
        let ended = CancellationToken::new();
        self.change(|state| {
            let task = state.add_task("ExportVm", "vim.VirtualMachine.exportVm", vm, user)?;
            state.start_task(&task);
            let lease = Lease {
                moref: moref.clone(),
                vm: vm.clone(),
                vm_name: state.name(vm),
                snapshot: snapshot.clone(),
                phase: LeasePhase::Initializing,
                percent: 0,
                ticket: Uuid::new_v4().to_string(),
                files: files(state, vm, snapshot.is_some())?,
                checksums: BTreeMap::new(),
                ended: ended.clone(),
                task,
                deadline: Instant::now() + self.config.lease_delay + self.config.lease_timeout,
            };
            state.vm_mut(vm)?.lease = Some(moref.id.clone());
            self.log.push(Event::LeaseOpened {
                lease: moref.id.clone(),
                vm: lease.vm_name.clone(),
                snapshot: snapshot.map(|snapshot| snapshot.id),
            });
            state.leases.insert(moref.id.clone(), lease);
            Ok::<_, Fault>(())
        })?;
        let world = Arc::clone(self);
        let id = moref.id.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = world.stop.cancelled() => {}
                () = ended.cancelled() => {}
                () = world.drive_lease(&id) => {}
            }
        });
        Ok(moref)
    }

    async fn drive_lease(&self, id: &str) {
        tokio::time::sleep(self.config.lease_delay).await;
        self.change(|state| {
            if let Some(lease) = state.leases.get_mut(id) {
                lease.phase = LeasePhase::Ready;
                lease.deadline = Instant::now() + self.config.lease_timeout;
                self.log.push(Event::LeaseReady { lease: id.to_owned(), vm: lease.vm_name.clone() });
            }
        });
        while let Some(deadline) = self.read(|state| state.leases.get(id).map(|lease| lease.deadline)) {
            if deadline <= Instant::now() {
                // It may have ended at this very moment: then there is nothing to do.
                _ = self.end_lease(id, LeaseEnd::Expired);
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }

    /// Renews a lease.
    pub(crate) fn renew_lease(&self, id: &str, percent: i64) -> Result<(), Fault> {
        self.change(|state| {
            let lease = open(state, id)?;
            lease.percent = percent;
            lease.deadline = Instant::now() + self.config.lease_timeout;
            let task = lease.task.id.clone();
            self.log.push(Event::LeaseProgress { lease: id.to_owned(), vm: lease.vm_name.clone(), percent });
            if let Some(task) = state.tasks.get_mut(&task) {
                task.progress = percent as i32;
            }
            Ok(())
        })
    }

    /// Ends a lease that has not ended; cuts its streams.
    pub(crate) fn end_lease(&self, id: &str, end: LeaseEnd) -> Result<(), Fault> {
        self.change(|state| {
            let lease = open(state, id)?;
            let (lease_id, vm) = (id.to_owned(), lease.vm_name.clone());
            let (phase, result, event) = match end {
                LeaseEnd::Completed if lease.phase != LeasePhase::Ready => return Err(Fault::invalid_state()),
                LeaseEnd::Completed => {
                    (LeasePhase::Done, Ok(None), Event::LeaseCompleted { lease: lease_id, vm })
                }
                LeaseEnd::Aborted(fault) => (
                    LeasePhase::Error(fault.clone()),
                    Err(fault),
                    Event::LeaseAborted { lease: lease_id, vm },
                ),
                LeaseEnd::Expired => {
                    let fault = Fault::timed_out();
                    (
                        LeasePhase::Error(fault.clone()),
                        Err(fault),
                        Event::LeaseExpired { lease: lease_id, vm },
                    )
                }
            };
            lease.phase = phase;
            lease.ended.cancel();
            let (vm, task) = (lease.vm.clone(), lease.task.clone());
            state.vm_mut(&vm)?.lease = None;
            state.end_task(&task, result);
            self.log.push(event);
            Ok(())
        })
    }

    /// Expires every open lease of the machine of this name or id, or of all.
    pub(crate) fn expire_leases(&self, vm: Option<&str>) -> usize {
        let ids: Vec<String> = self.read(|state| {
            let wanted = |lease: &&Lease| vm.is_none_or(|vm| lease.vm_name == vm || lease.vm.id == vm);
            state.leases.values().filter(wanted).map(|lease| lease.moref.id.clone()).collect()
        });
        ids.iter().filter(|id| self.end_lease(id, LeaseEnd::Expired).is_ok()).count()
    }
}

impl State {
    /// The task that holds a machine while it is exported.
    pub(crate) fn export_task(&self, vm: &MoRef) -> Option<MoRef> {
        let lease = self.vm(vm).ok()?.lease.as_ref()?;
        Some(self.leases.get(lease)?.task.clone())
    }
}

/// A lease that has not ended; one that timed out says so.
fn open<'a>(state: &'a mut State, id: &str) -> Result<&'a mut Lease, Fault> {
    let lease = state.leases.get_mut(id).ok_or_else(|| Fault::not_found(&MoRef::new("HttpNfcLease", id)))?;
    match &lease.phase {
        LeasePhase::Initializing | LeasePhase::Ready => Ok(lease),
        LeasePhase::Error(fault) if fault.name == "Timedout" => Err(fault.clone()),
        LeasePhase::Error(_) | LeasePhase::Done => Err(Fault::invalid_state()),
    }
}

fn files(state: &State, vm: &MoRef, from_snapshot: bool) -> Result<Vec<LeaseFile>, Fault> {
    let machine = state.vm(vm)?;
    let exported = machine.exported_disks(from_snapshot);
    let disks = exported.map(|(number, disk)| LeaseFile {
        key: format!("/{}/ParaVirtualSCSIController0:{}", vm.id, disk.unit),
        target: format!("disk-{number}.vmdk"),
        source: FileSource::Disk(Arc::clone(&disk.spec)),
        capacity: disk.capacity,
        populated: disk.populated,
        datastore: disk.datastore.id.clone(),
        sent: None,
    });
    let name = &machine.spec.name;
    let nvram = machine.spec.nvram.iter().map(|contents| ("nvram", format!("{name}.nvram"), contents));
    let iso = machine.spec.iso().into_iter().map(|contents| (DRIVE, format!("{name}.iso"), contents));
    let others = nvram.chain(iso).map(|(device, target, contents)| LeaseFile {
        key: format!("/{}/{device}", vm.id),
        target,
        source: FileSource::Bytes(contents.clone()),
        capacity: contents.len() as u64,
        populated: contents.len() as u64,
        datastore: machine.home.id.clone(),
        sent: None,
    });
    Ok(disks.chain(others).collect())
}

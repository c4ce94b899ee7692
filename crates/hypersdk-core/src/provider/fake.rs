//! A provider in memory, with knobs for what can go wrong.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::{
    ByteStream, Capabilities, Descriptor, ExportOptions, ExportSession, ExportSource, FileKind, HostDigest,
    Orphan, PackagedFile, Preflight, PreflightDepth, Provider, SourceFile,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::VmId;
use crate::vm::{PowerState, VmFilter, VmSelector, VmSummary};

/// Makes the descriptor of a fake export.
pub type DescriptorMaker = fn(&str, &[PackagedFile]) -> String;

/// What goes wrong with one reading of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFault {
    /// The stream fails after this many bytes.
    Cut(usize),
    /// The stream ends, without an error, after this many bytes.
    EndEarly(usize),
    /// The byte at this offset is inverted.
    Flip(usize),
    /// Nothing more comes after this many bytes.
    Stall(usize),
}

/// A file of a fake VM.
#[derive(Debug, Clone)]
pub struct FakeFile {
    /// What the source says of it.
    pub meta: SourceFile,
    /// What it holds.
    pub content: Bytes,
}

impl FakeFile {
    /// A file of this kind and content. A disk's `capacity_bytes` must match its content.
    pub fn new(name: &str, kind: FileKind, capacity_bytes: Option<u64>, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        FakeFile {
            meta: SourceFile {
                key: format!("/fake/{name}"),
                name: name.to_owned(),
                kind,
                capacity_bytes,
                size_bytes: (kind != FileKind::Disk).then_some(content.len() as u64),
                estimate_bytes: Some(content.len() as u64),
            },
            content,
        }
    }
}

/// How often each thing happened.
#[derive(Debug, Default)]
pub struct FakeLedger {
    /// Exports opened.
    pub opened: AtomicU32,
    /// Exports completed.
    pub completed: AtomicU32,
    /// Exports aborted, by call or by drop.
    pub aborted: AtomicU32,
    /// Streams opened.
    pub readings: AtomicU32,
    /// Streams open now.
    pub streams: AtomicU32,
    /// The most streams that were ever open at once.
    pub peak: AtomicU32,
}

impl FakeLedger {
    /// `(opened, completed, aborted)`.
    pub fn exports(&self) -> (u32, u32, u32) {
        let read = |counter: &AtomicU32| counter.load(Ordering::SeqCst);
        (read(&self.opened), read(&self.completed), read(&self.aborted))
    }

    /// The most streams that were ever open at once.
    pub fn most_streams(&self) -> u32 {
        self.peak.load(Ordering::SeqCst)
    }
}

/// A provider in memory.
#[derive(Debug, Clone)]
pub struct FakeProvider {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    vms: Mutex<Vec<(VmSummary, Vec<FakeFile>)>>,
    stream_faults: Mutex<HashMap<String, Vec<StreamFault>>>,
    call_faults: Mutex<Vec<Error>>,
    opening_faults: Mutex<VecDeque<Error>>,
    descriptor: DescriptorMaker,
    pace: Mutex<Option<Duration>>,
    preflight: Mutex<Preflight>,
    orphans: Mutex<Vec<Orphan>>,
    ledger: Arc<FakeLedger>,
}

impl FakeProvider {
    /// A provider without VMs whose descriptors come from `descriptor`.
    pub fn new(descriptor: DescriptorMaker) -> Self {
        FakeProvider {
            shared: Arc::new(Shared {
                vms: Mutex::default(),
                stream_faults: Mutex::default(),
                call_faults: Mutex::default(),
                opening_faults: Mutex::default(),
                descriptor,
                pace: Mutex::default(),
                preflight: Mutex::default(),
                orphans: Mutex::default(),
                ledger: Arc::default(),
            }),
        }
    }

    /// Adds a stopped VM at an inventory path.
    pub fn add_vm(&self, path: &str, files: Vec<FakeFile>) -> VmId {
        let mut vms = self.shared.vms.lock().expect("no holder panics");
        let id = VmId::new(format!("fake-{}", vms.len() + 1));
        let disks = files.iter().filter(|file| file.meta.kind == FileKind::Disk).count();
        let summary = VmSummary {
            id: id.clone(),
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            path: path.to_owned(),
            power: PowerState::Off,
            instance_uuid: Some(uuid::Uuid::new_v4().to_string()),
            guest_os: Some("otherGuest64".to_owned()),
            host: Some("fakehost".to_owned()),
            cluster: None,
            datastores: Vec::new(),
            attributes: Default::default(),
            cpus: Some(1),
            memory_bytes: Some(1 << 30),
            disks: u32::try_from(disks).ok(),
            storage_used_bytes: Some(files.iter().map(|file| file.content.len() as u64).sum()),
            changed_at: None,
        };
        vms.push((summary, files));
        id
    }

    /// The next readings of the file called `name` go wrong in this way, one fault a reading.
    pub fn fault_stream(&self, name: &str, faults: impl IntoIterator<Item = StreamFault>) {
        let mut map = self.shared.stream_faults.lock().expect("no holder panics");
        map.entry(name.to_owned()).or_default().extend(faults);
    }

    /// The next calls of `find` or `open_export` fail with these errors, first one first.
    pub fn fault_calls(&self, errors: impl IntoIterator<Item = Error>) {
        self.shared.call_faults.lock().expect("no holder panics").extend(errors);
    }

    /// The next calls of `open_export` fail with these errors, first one first.
    pub fn fault_openings(&self, errors: impl IntoIterator<Item = Error>) {
        self.shared.opening_faults.lock().expect("no holder panics").extend(errors);
    }

    /// Every chunk of a stream takes this long.
    pub fn pace(&self, chunk: Duration) {
        *self.shared.pace.lock().expect("no holder panics") = Some(chunk);
    }

    /// What looking at any VM finds.
    pub fn find_in_preflight(&self, preflight: Preflight) {
        *self.shared.preflight.lock().expect("no holder panics") = preflight;
    }

    /// Leaves something behind, as an export that was killed would.
    pub fn leave_behind(&self, orphan: Orphan) {
        self.shared.orphans.lock().expect("no holder panics").push(orphan);
    }

    /// Changes a VM's host.
    pub fn put_on_host(&self, vm: &VmId, host: &str) {
        let mut vms = self.shared.vms.lock().expect("no holder panics");
        vms.iter_mut()
            .filter(|(summary, _)| summary.id == *vm)
            .for_each(|(summary, _)| summary.host = Some(host.to_owned()));
    }

    /// How often each thing happened.
    pub fn ledger(&self) -> &FakeLedger {
        &self.shared.ledger
    }

    fn next_fault(&self) -> Result<()> {
        let mut faults = self.shared.call_faults.lock().expect("no holder panics");
        if faults.is_empty() { Ok(()) } else { Err(faults.remove(0)) }
    }

    fn snapshot(&self) -> Vec<VmSummary> {
        self.shared.vms.lock().expect("no holder panics").iter().map(|(vm, _)| vm.clone()).collect()
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("fake")
    }

    fn list(&self, filter: VmFilter) -> BoxStream<'static, Result<VmSummary>> {
        stream::iter(self.snapshot().into_iter().filter(move |vm| filter.matches(vm)).map(Ok)).boxed()
    }

    async fn find(&self, selector: &VmSelector) -> Result<Vec<VmSummary>> {
        self.next_fault()?;
        Ok(self.snapshot().into_iter().filter(|vm| selector.matches(vm)).collect())
    }

    async fn preflight(
        &self,
        _vm: &VmId,
        _options: &ExportOptions,
        _depth: PreflightDepth,
    ) -> Result<Preflight> {
        Ok(self.shared.preflight.lock().expect("no holder panics").clone())
    }

    async fn orphans(&self) -> Result<Vec<Orphan>> {
        Ok(self.shared.orphans.lock().expect("no holder panics").clone())
    }

    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        self.shared.orphans.lock().expect("no holder panics").retain(|left| left.id != orphan.id);
        Ok(())
    }

    async fn open_export(&self, vm: &VmId, _options: &ExportOptions) -> Result<Box<dyn ExportSession>> {
        self.next_fault()?;
        if let Some(error) = self.shared.opening_faults.lock().expect("no holder panics").pop_front() {
            return Err(error);
        }
        let (summary, files) = self
            .shared
            .vms
            .lock()
            .expect("no holder panics")
            .iter()
            .find(|(summary, _)| summary.id == *vm)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "open export", format!("there is no VM {vm}")))?;
        self.shared.ledger.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(FakeSession {
            shared: Arc::clone(&self.shared),
            source: ExportSource {
                vm: summary.id,
                vm_name: summary.name,
                instance_uuid: summary.instance_uuid,
                host: summary.host,
                snapshot: None,
            },
            metas: files.iter().map(|file| file.meta.clone()).collect(),
            files,
            ended: false,
        }))
    }

    async fn close(&self) {}
}

#[derive(Debug)]
struct FakeSession {
    shared: Arc<Shared>,
    source: ExportSource,
    files: Vec<FakeFile>,
    metas: Vec<SourceFile>,
    ended: bool,
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.ledger.aborted.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl ExportSession for FakeSession {
    fn source(&self) -> &ExportSource {
        &self.source
    }

    fn files(&self) -> &[SourceFile] {
        &self.metas
    }

    async fn open(&self, file: &SourceFile) -> Result<ByteStream> {
        let found = self
            .files
            .iter()
            .find(|candidate| candidate.meta.key == file.key)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "open file", file.key.clone()))?;
        let open = OpenStream::new(&self.shared.ledger);
        let fault = {
            let mut map = self.shared.stream_faults.lock().expect("no holder panics");
            map.get_mut(&file.name).filter(|faults| !faults.is_empty()).map(|faults| faults.remove(0))
        };
        let pace = *self.shared.pace.lock().expect("no holder panics");
        let body = faulty(found.content.clone(), fault).then(move |chunk| {
            let _open = &open;
            async move {
                if let Some(pace) = pace {
                    tokio::time::sleep(pace).await;
                }
                chunk
            }
        });
        Ok(body.boxed())
    }

    fn report_progress(&self, _percent: u8) {}

    async fn host_digests(&self) -> Result<Vec<HostDigest>> {
        Ok(Vec::new())
    }

    async fn descriptor(&self, name: &str, files: &[PackagedFile]) -> Result<Descriptor> {
        Ok(Descriptor { ovf: (self.shared.descriptor)(name, files), warnings: Vec::new() })
    }

    async fn complete(mut self: Box<Self>) -> Result<()> {
        self.ended = true;
        self.shared.ledger.completed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn abort(self: Box<Self>, _reason: &str, _patience: Duration) {}
}

/// Counts a stream while it is open.
struct OpenStream(Arc<FakeLedger>);

impl OpenStream {
    fn new(ledger: &Arc<FakeLedger>) -> Self {
        ledger.readings.fetch_add(1, Ordering::SeqCst);
        let now = ledger.streams.fetch_add(1, Ordering::SeqCst) + 1;
        ledger.peak.fetch_max(now, Ordering::SeqCst);
        OpenStream(Arc::clone(ledger))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Odd, so that pieces never fall on the boundaries of formats.
const CHUNK: usize = 10_007;

fn faulty(content: Bytes, fault: Option<StreamFault>) -> ByteStream {
    let content = match fault {
        Some(StreamFault::Flip(at)) => {
            let mut bytes = content.to_vec();
            bytes[at] ^= 0xff;
            Bytes::from(bytes)
        }
        Some(StreamFault::Cut(at) | StreamFault::EndEarly(at) | StreamFault::Stall(at)) => {
            content.slice(..at.min(content.len()))
        }
        None => content,
    };
    let pieces: Vec<Result<Bytes>> = (0..content.len())
        .step_by(CHUNK)
        .map(|at| Ok(content.slice(at..(at + CHUNK).min(content.len()))))
        .collect();
    let body = stream::iter(pieces);
    match fault {
        Some(StreamFault::Cut(_)) => body
            .chain(stream::iter([Err(Error::new(ErrorKind::Unavailable, "read stream", "connection reset"))]))
            .boxed(),
        Some(StreamFault::Stall(_)) => body.chain(stream::pending()).boxed(),
        _ => body.boxed(),
    }
}

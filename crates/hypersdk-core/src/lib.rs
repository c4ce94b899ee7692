#![doc = include_str!("../README.md")]

#[cfg(any(test, feature = "testing"))]
pub mod testing {
    //! Fakes and conformance suites, for tests of whatever implements or uses a port.
    pub use crate::job::conformance::{
        StoreFactory, job_store as job_store_conformance, node_store as node_store_conformance,
    };
    pub use crate::job::fake::{FakeRun, FakeRunner};
    pub use crate::package::conformance::{
        CatalogueFactory, package_catalogue as package_catalogue_conformance,
    };
    pub use crate::provider::conformance::provider as provider_conformance;
    pub use crate::provider::fake::{DescriptorMaker, FakeFile, FakeLedger, FakeProvider, StreamFault};
}

mod audit;
mod error;
mod event;
mod id;
mod job;
mod package;
mod progress;
mod provider;
mod replay;
mod vm;

pub use audit::{AuditEntry, AuditLog};
pub use error::{Error, ErrorKind, Result, RetryHint};
pub use event::{Event, EventKind, EventLog};
pub use id::{InvalidId, JobId, ProviderName, ScheduleId, Seq, VmId};
pub use job::{
    ArchiveCompression, CancelOutcome, Claim, ClaimCheck, Claimant, Clock, DrainReport, Failure,
    IllegalTransition, Job, JobContext, JobCounts, JobManager, JobManagerConfig, JobPage, JobQuery, JobSpec,
    JobStatus, JobStore, Lane, LogLevel, LogLine, ManifestDigest, MemoryStore, NewJob, Node, NodeReport,
    NodeStore, Outcome, OutcomeChunk, OutcomeFile, Owner, PackageFormat, Retries, RunProgress, Runner,
    ScheduledBy, Settled, Signing, StopReason, Transition, VerifyMode, take_turns,
};
pub use package::{
    Package, PackageCatalogue, PackageChange, PackagePage, PackageQuery, PackageState, Verification,
    VerificationLevel,
};
pub use progress::{FileProgress, Phase, Progress};
pub use provider::{
    ByteStream, Capabilities, ConnectionHolder, ConnectionStats, Descriptor, DiskSelection, ExportOptions,
    ExportSession, ExportSource, FileKind, Finding, FindingLevel, HostDigest, Inventory, InventoryCopy,
    InventoryStats, NamedProvider, Orphan, PackagedFile, PowerPolicy, Preflight, PreflightDepth, Provider,
    ProviderExt, ProviderFactory, ProviderRegistry, SourceFile, VmChange, layers,
};
pub use replay::{KeptAnswer, Replay, ReplayStore};
pub use vm::{
    AttributeFilter, InvalidSelector, PathGlob, PowerState, VmFilter, VmMatcher, VmSelector, VmSummary,
};

//! The catalogue of packages: what completed jobs made, and what became of it.
//!
//! A package enters it with the write that completes its job, and is known by that job's identifier. Only what is
//! in it may ever be removed, and a removal is noted before the first file goes, so that one that is cut short is
//! gone on with.

mod change;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod verification;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use change::PackageChange;
pub use verification::{Verification, VerificationLevel};

use crate::error::Result;
use crate::id::{JobId, ScheduleId};
use crate::job::{JobSpec, Outcome};

/// A package that a job made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// The job, whose identifier is the package's as well.
    pub id: JobId,
    /// What the job was told.
    pub spec: JobSpec,
    /// What it made.
    pub outcome: Outcome,
    /// When it was whole.
    pub completed_at: DateTime<Utc>,
    /// What the last check of it found; at first its job's own.
    pub verification: Option<Verification>,
    /// What became of it.
    pub state: PackageState,
    /// Why it is in that state, where that needs saying.
    pub reason: Option<String>,
    /// The process that removes it, or did.
    pub remover: Option<String>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
}

/// What became of a package.
///
/// ```text
/// present ──► removing ──► removed
///    │           │
///    └──► replaced ◄─┘   somebody else has its name now
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageState {
    /// It is where its job put it, as far as is known.
    Present,
    /// Another job's package has its name.
    Replaced,
    /// It is being removed.
    Removing,
    /// It was removed.
    Removed,
}

/// Which packages to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageQuery {
    /// That a schedule made.
    pub schedule: Option<ScheduleId>,
    /// Of the VM of this name, or that its job named so.
    pub vm: Option<String>,
    /// In one of these states; in any if empty.
    pub states: Vec<PackageState>,
    /// Older than this package, in the listing's order (newest first).
    pub before: Option<JobId>,
    /// At most this many; 100 by default.
    pub limit: usize,
}

impl Default for PackageQuery {
    fn default() -> Self {
        PackageQuery { schedule: None, vm: None, states: Vec::new(), before: None, limit: 100 }
    }
}

/// A page of a listing, the package that was whole last first.
#[derive(Debug, Clone, PartialEq)]
pub struct PackagePage {
    /// The packages.
    pub packages: Vec<Package>,
    /// Give this as [`PackageQuery::before`] for the next page.
    pub next: Option<JobId>,
}

/// Knows every package that a job has made. A [`JobStore`](crate::JobStore) is one as well: what completes a job
/// enters its package.
///
/// What each change does to a package is written once, in [`Package::change`]: a store loads the package, applies
/// the change, and writes the package and the event.
#[async_trait]
pub trait PackageCatalogue: fmt::Debug + Send + Sync + 'static {
    /// A page of packages.
    ///
    /// # Errors
    /// `NotFound` if `query.before` names no package.
    async fn packages(&self, query: &PackageQuery) -> Result<PackagePage>;

    /// A package.
    ///
    /// # Errors
    /// Whatever the store fails with.
    async fn package(&self, id: &JobId) -> Result<Option<Package>>;

    /// The package that is present with this main file, as its job named it.
    ///
    /// # Errors
    /// Whatever the store fails with.
    async fn package_at(&self, main_file: &str) -> Result<Option<Package>>;

    /// Changes a package, with its event where it has one. Returns it as it then stands.
    ///
    /// # Errors
    /// `NotFound` for an unknown package; `Conflict` if it is in no state for that. Nothing was changed then.
    async fn change_package(&self, id: &JobId, change: PackageChange) -> Result<Package>;

    /// Forgets packages that were removed or replaced before an instant, and says how many.
    ///
    /// # Errors
    /// Whatever the store fails with.
    async fn forget_packages(&self, before: DateTime<Utc>) -> Result<u64>;
}

impl PackageState {
    /// Every state.
    pub const ALL: [PackageState; 4] =
        [PackageState::Present, PackageState::Replaced, PackageState::Removing, PackageState::Removed];

    /// The name in JSON and in databases.
    pub fn as_str(self) -> &'static str {
        match self {
            PackageState::Present => "present",
            PackageState::Replaced => "replaced",
            PackageState::Removing => "removing",
            PackageState::Removed => "removed",
        }
    }
}

impl fmt::Display for PackageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PackageState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        PackageState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            format!("{text:?} is no state of a package; use present, replaced, removing, removed")
        })
    }
}

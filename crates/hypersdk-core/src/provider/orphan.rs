//! What exports left behind at a source.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::VmId;

/// Something at the source that an export made for itself and that bears the export's name. Whether anybody
/// still needs it, only the keeper of the jobs knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The source's identifier of the thing.
    pub id: String,
    /// What it is, e.g. `snapshot`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The work that made it: a job's identifier, or another text if no job did.
    pub work: String,
    /// The VM it belongs to.
    pub vm: VmId,
    /// That VM's name.
    pub vm_name: String,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
}

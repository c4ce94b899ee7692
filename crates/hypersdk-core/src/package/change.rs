//! What each change does to a package, for every store alike: the new row and the event that goes with it.
//!
//! Nothing here reads a clock or waits.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Package, PackageState, Verification};
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventKind;
use crate::job::{Job, JobStatus};

/// A change of a package.
#[derive(Debug, Clone, PartialEq)]
pub enum PackageChange {
    /// It was checked.
    Verified(Verification),
    /// It is to be removed: what follows may delete its files.
    Doomed {
        /// Why.
        reason: String,
        /// The process that removes it.
        remover: String,
    },
    /// Its files are gone.
    Removed {
        /// What else there is to say.
        note: Option<String>,
    },
    /// Somebody else has its name: its files are not its own any more.
    Replaced {
        /// How that is known.
        reason: String,
    },
}

impl Package {
    /// What a job has made, if it is completed. The job's own check is the first that it had.
    pub fn of(job: &Job) -> Option<Package> {
        if job.status != JobStatus::Completed {
            return None;
        }
        let (outcome, completed_at) = (job.outcome.clone()?, job.completed_at?);
        let verification = Verification { at: completed_at, level: job.spec.verify.into(), fault: None };
        Some(Package {
            id: job.id.clone(),
            spec: job.spec.clone(),
            outcome,
            completed_at,
            verification: Some(verification),
            state: PackageState::Present,
            reason: None,
            remover: None,
            updated_at: completed_at,
        })
    }

    /// Applies a change and names its event, if it has one.
    ///
    /// # Errors
    /// `Conflict` if the package is in no state for that; nothing was changed then.
    pub fn change(&mut self, change: PackageChange, now: DateTime<Utc>) -> Result<Option<EventKind>> {
        use PackageState::{Present, Removed, Removing, Replaced};
        let refused = |state: PackageState| {
            let message = format!("the package {} is {state}", self.id);
            Err(Error::new(ErrorKind::Conflict, "change package", message))
        };
        let event = match (change, self.state) {
            (PackageChange::Verified(verification), Present) => {
                if verification.supersedes(self.verification.as_ref()) {
                    self.verification = Some(verification);
                }
                None
            }
            (PackageChange::Doomed { reason, remover }, Present) => {
                self.state = Removing;
                self.reason = Some(reason);
                self.remover = Some(remover);
                None
            }
            (PackageChange::Removed { note }, Removing) => {
                self.state = Removed;
                if let Some(note) = note {
                    let reason = self.reason.take().map(|reason| format!("{reason}; "));
                    self.reason = Some(reason.unwrap_or_default() + note.as_str());
                }
                Some(EventKind::PackageRemoved)
            }
            (PackageChange::Replaced { reason }, Present | Removing) => {
                self.state = Replaced;
                self.reason = Some(reason);
                None
            }
            (_, state) => return refused(state),
        };
        self.updated_at = now;
        Ok(event)
    }

    /// What happens to another package that was present under the name that this one was given.
    pub fn replaces(&self) -> PackageChange {
        PackageChange::Replaced { reason: format!("job {} has put another in its place", self.id) }
    }

    /// What an event says about the package: `package_id, job_id, job_name, vm_path, vm_name, provider,
    /// schedule_id, path, total_size, completed_at, reason`.
    pub fn event_data(&self) -> Value {
        json!({
            "package_id": self.id,
            "job_id": self.id,
            "job_name": self.spec.name,
            "vm_path": self.spec.vm,
            "vm_name": self.outcome.vm_name,
            "provider": self.spec.provider,
            "schedule_id": self.spec.schedule.as_ref().map(|by| &by.id),
            "path": self.outcome.ovf_path,
            "total_size": self.outcome.total_size,
            "completed_at": self.completed_at,
            "reason": self.reason,
        })
    }
}

//! What a schedule starts: its template, resolved to jobs at the moment it fires.
//!
//! A job's identifier is `SCHEDULE-TIME-VM`, so a firing that is started again after a crash finds the jobs
//! that it made and makes the others only.

mod package_name;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{
    CancelOutcome, Error, ErrorKind, Job, JobId, JobManager, JobSpec, JobStatus, Result, ScheduledBy,
    VmSummary,
};
use hypersdk_sched::{Firing, Launcher, Schedule, Standing};

pub(crate) use package_name::PackageName;

use crate::submission::Submission;

/// Reads templates: what the API checked when the schedule was made is read again when it fires.
pub(crate) type ReadTemplate =
    fn(&serde_json::Map<String, serde_json::Value>) -> Result<JobSpec, Vec<String>>;

/// Starts jobs through the same checks as anybody's.
#[derive(Debug)]
pub(crate) struct JobLauncher {
    submission: Submission,
    manager: JobManager,
    read: ReadTemplate,
}

impl JobLauncher {
    pub(crate) fn new(submission: Submission, manager: JobManager, read: ReadTemplate) -> Arc<Self> {
        Arc::new(JobLauncher { submission, manager, read })
    }
}

#[async_trait]
impl Launcher for JobLauncher {
    async fn launch(&self, schedule: &Schedule, firing: &Firing) -> Result<Vec<JobId>> {
        let mut spec = (self.read)(&schedule.spec.job_template)
            .map_err(|errors| Error::new(ErrorKind::Invalid, "read job_template", errors.join("; ")))?;
        spec.schedule = Some(ScheduledBy { id: schedule.id.clone(), planned_at: firing.planned_at });
        if spec.name.is_none() {
            spec.name = Some(schedule.spec.name.clone());
        }
        let pattern = spec.package_name.take();
        let name = PackageName::of(pattern.as_deref(), spec.overwrite)
            .map_err(|message| Error::new(ErrorKind::Invalid, "read job_template.package_name", message))?;
        let local = firing.planned_at.with_timezone(&schedule.spec.timezone).naive_local();
        let fit = |vm: &VmSummary, spec: &mut JobSpec| {
            spec.package_name = name.as_ref().map(|name| name.for_vm(&vm.name, schedule.id.as_str(), local));
            job_id(schedule, firing.planned_at, vm)
        };
        self.submission.submit_once(spec, &fit).await.map_err(|fault| fault.error.context(fault.field))
    }

    async fn standing(&self, jobs: &[JobId]) -> Result<Standing> {
        let mut standing = Standing::default();
        for id in jobs {
            let Some(job) = self.manager.get(id).await? else { continue };
            match job.status {
                JobStatus::Pending | JobStatus::Running => standing.open.push(job.id),
                JobStatus::Completed => {}
                JobStatus::Cancelled => standing.cancelled += 1,
                JobStatus::Failed => {
                    let why = why(&job);
                    standing.failed.push((job.id, why));
                }
            }
        }
        Ok(standing)
    }

    async fn cancel(&self, jobs: &[JobId]) -> Result<()> {
        for id in jobs {
            match self.manager.cancel(id).await {
                Ok(CancelOutcome::Cancelled | CancelOutcome::Requested | CancelOutcome::AlreadyEnded(_)) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn why(job: &Job) -> String {
    job.failure.as_ref().map_or_else(|| "it failed".to_owned(), |failure| failure.message.clone())
}

/// The identifier of the job of a firing for a VM. The provider's identifiers are short and plain; of one
/// that is not, a hash stands for it.
fn job_id(schedule: &Schedule, planned_at: DateTime<Utc>, vm: &VmSummary) -> JobId {
    let time = match planned_at.timestamp_subsec_micros() {
        0 => planned_at.format("%Y%m%dT%H%M%SZ").to_string(),
        _ => planned_at.format("%Y%m%dT%H%M%S%.6fZ").to_string(),
    };
    let plain = |text: &str| text.parse::<JobId>().is_ok() && text.len() <= 32;
    let vm = match vm.id.as_str() {
        id if plain(id) => id.to_owned(),
        id => format!("{:016x}", fnv1a(id.as_bytes())),
    };
    format!("{}-{time}-{vm}", schedule.id).parse().expect("its parts are plain and short")
}

/// FNV-1a, which is the same in every version of this program.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hypersdk_core::{PowerState, VmId};
    use hypersdk_sched::{NewSchedule, ScheduleSpec};

    use super::*;

    fn vm(id: &str) -> VmSummary {
        VmSummary {
            id: VmId::new(id),
            name: "web".to_owned(),
            path: "/DC0/vm/web".to_owned(),
            power: PowerState::Off,
            instance_uuid: None,
            guest_os: None,
            host: None,
            cluster: None,
            datastores: Vec::new(),
            attributes: BTreeMap::new(),
            cpus: None,
            memory_bytes: None,
            disks: None,
            storage_used_bytes: None,
            changed_at: None,
        }
    }

    #[test]
    fn a_jobs_identifier_follows_from_the_firing_and_the_vm() {
        let id = format!("s{}", "x".repeat(63));
        let spec = ScheduleSpec::new("x", "0 2 * * *".parse().unwrap(), serde_json::Map::new());
        let new = NewSchedule { id: id.parse().unwrap(), spec, enabled: true };
        let schedule = Schedule::created(new, Utc::now());
        let whole = "2026-11-24T02:00:00Z".parse().unwrap();
        assert_eq!(job_id(&schedule, whole, &vm("vm-42")).as_str(), format!("{id}-20261124T020000Z-vm-42"));
        let parts = "2026-11-24T02:00:00.000001Z".parse().unwrap();
        let odd = job_id(&schedule, parts, &vm("ü/x"));
        assert_eq!(odd, job_id(&schedule, parts, &vm("ü/x")));
        assert_ne!(odd, job_id(&schedule, parts, &vm("ü/y")));
        assert_ne!(odd, job_id(&schedule, whole, &vm("ü/x")));
    }
}

//! What each change does to a job, for every store alike: the new row and the event that goes with it.
//!
//! Nothing here reads a clock or waits. A store loads the job, applies the change and writes the job and
//! the event in one transaction.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{CancelOutcome, Failure, IllegalTransition, Job, JobStatus, NewJob, Settled, Transition};
use crate::error::ErrorKind;
use crate::event::EventKind;
use crate::id::JobId;
use crate::progress::Progress;

impl Job {
    /// A job just accepted. Its event is `job.created`.
    pub fn accepted(new: NewJob, now: DateTime<Utc>) -> Job {
        Job {
            id: new.id,
            spec: new.spec,
            status: JobStatus::Pending,
            attempt: 0,
            failures: 0,
            created_at: now,
            started_at: None,
            completed_at: None,
            updated_at: now,
            not_before: None,
            cancel_requested: false,
            progress: Progress::default(),
            outcome: None,
            failure: None,
        }
    }

    /// Begins an attempt. What the last one left (failure, progress) is cleared.
    ///
    /// # Errors
    /// [`IllegalTransition`] unless the job is pending.
    pub fn start(&mut self, now: DateTime<Utc>) -> Result<EventKind, IllegalTransition> {
        self.status = self.status.apply(Transition::Start)?;
        self.attempt += 1;
        self.started_at = Some(now);
        self.updated_at = now;
        self.not_before = None;
        self.failure = None;
        self.progress = Progress::default();
        Ok(EventKind::JobStarted)
    }

    /// Ends an attempt. A job that is to go back to pending although somebody asked for it to stop is
    /// cancelled instead.
    ///
    /// # Errors
    /// [`IllegalTransition`] unless the job is running.
    pub fn settle(
        &mut self,
        settled: Settled,
        progress: Progress,
        now: DateTime<Utc>,
    ) -> Result<EventKind, IllegalTransition> {
        let settled = match settled {
            Settled::Requeued { .. } if self.cancel_requested => Settled::Cancelled,
            settled => settled,
        };
        let transition = match settled {
            Settled::Completed(_) => Transition::Complete,
            Settled::Failed(_) => Transition::Fail,
            Settled::Cancelled => Transition::Cancel,
            Settled::Requeued { .. } => Transition::Requeue,
        };
        if self.status != JobStatus::Running {
            return Err(IllegalTransition { from: self.status, transition });
        }
        self.status = self.status.apply(transition)?;
        self.updated_at = now;
        self.completed_at = self.status.is_final().then_some(now);
        self.progress = progress;
        Ok(match settled {
            Settled::Completed(outcome) => {
                self.outcome = Some(outcome);
                EventKind::JobCompleted
            }
            Settled::Failed(failure) => {
                self.failures += 1;
                self.failure = Some(failure);
                EventKind::JobFailed
            }
            Settled::Cancelled => {
                self.cancel_requested = true;
                EventKind::JobCancelled
            }
            Settled::Requeued { failure, not_before } => {
                self.failures += u32::from(failure.is_some());
                self.failure = failure;
                self.not_before = not_before;
                EventKind::JobRequeued
            }
        })
    }

    /// Takes a running job back from an owner that has gone: to pending, or to its end if somebody had
    /// asked for it to stop.
    ///
    /// # Errors
    /// [`IllegalTransition`] unless the job is running.
    pub fn take_back(&mut self, now: DateTime<Utc>) -> Result<EventKind, IllegalTransition> {
        let progress =
            if self.cancel_requested { std::mem::take(&mut self.progress) } else { Progress::default() };
        self.settle(Settled::Requeued { failure: None, not_before: None }, progress, now)
    }

    /// Ends a pending job whose turn can never come, as `dependency` ended as `status`.
    ///
    /// # Errors
    /// [`IllegalTransition`] unless the job is pending.
    pub fn forgo(
        &mut self,
        dependency: &JobId,
        status: JobStatus,
        now: DateTime<Utc>,
    ) -> Result<EventKind, IllegalTransition> {
        self.status = self.status.apply(Transition::Forgo)?;
        self.not_before = None;
        self.completed_at = Some(now);
        self.updated_at = now;
        self.failure = Some(Failure {
            kind: ErrorKind::Conflict,
            message: format!("job {dependency}, which this one was to come after, is {status}"),
            advice: Some("submit it again, after a job that is completed or after none".to_owned()),
            retryable: false,
        });
        Ok(EventKind::JobFailed)
    }

    /// Asks for the job to stop. A pending one is cancelled at once, with an event; a running one only
    /// learns of it.
    pub fn ask_to_stop(&mut self, now: DateTime<Utc>) -> (CancelOutcome, Option<EventKind>) {
        match self.status {
            JobStatus::Pending => {
                self.status = JobStatus::Cancelled;
                self.cancel_requested = true;
                self.not_before = None;
                self.completed_at = Some(now);
                self.updated_at = now;
                (CancelOutcome::Cancelled, Some(EventKind::JobCancelled))
            }
            JobStatus::Running => {
                self.cancel_requested = true;
                self.updated_at = now;
                (CancelOutcome::Requested, None)
            }
            ended => (CancelOutcome::AlreadyEnded(ended), None),
        }
    }

    /// What the event of `kind` says about the job: `job_id, job_name, vm_path, output_dir, provider,
    /// attempt`, the cause as `error` if an attempt failed, and what was made as `result` once completed.
    pub fn event_data(&self, kind: EventKind) -> Value {
        let mut data = json!({
            "job_id": self.id,
            "job_name": self.spec.name,
            "vm_path": self.spec.vm,
            "output_dir": self.spec.output_dir,
            "provider": self.spec.provider,
            "attempt": self.attempt,
        });
        match kind {
            EventKind::JobFailed | EventKind::JobRequeued => {
                if let Some(failure) = &self.failure {
                    data["error"] = json!({
                        "kind": failure.kind,
                        "message": failure.message,
                        "advice": failure.advice,
                    });
                }
            }
            EventKind::JobCompleted => data["result"] = json!(self.outcome),
            // Nothing that happens to a job is one of the others.
            EventKind::JobCreated
            | EventKind::JobStarted
            | EventKind::JobCancelled
            | EventKind::ScheduleFired
            | EventKind::ScheduleMissed
            | EventKind::PackageRemoved => {}
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobSpec;

    fn running() -> Job {
        let spec = JobSpec::new("/DC0/vm/web".parse().unwrap(), "/srv");
        let mut job = Job::accepted(NewJob { id: JobId::generate(), spec }, Utc::now());
        job.start(Utc::now()).unwrap();
        job
    }

    fn failure() -> Failure {
        Failure {
            kind: ErrorKind::Unavailable,
            message: "open export: no route to host".to_owned(),
            advice: Some("check the host".to_owned()),
            retryable: true,
        }
    }

    #[test]
    fn a_retry_counts_as_a_failure_and_an_interruption_does_not() {
        let mut job = running();
        let interrupted = Settled::Requeued { failure: None, not_before: None };
        job.settle(interrupted, Progress::default(), Utc::now()).unwrap();
        assert_eq!((job.attempt, job.failures), (1, 0));
        job.start(Utc::now()).unwrap();
        let failed = Settled::Requeued { failure: Some(failure()), not_before: None };
        job.settle(failed, Progress::default(), Utc::now()).unwrap();
        assert_eq!((job.attempt, job.failures), (2, 1));
    }

    #[test]
    fn the_failure_stays_while_a_retry_waits_and_goes_when_it_starts() {
        let mut job = running();
        let failed = Settled::Requeued { failure: Some(failure()), not_before: None };
        let kind = job.settle(failed, Progress::default(), Utc::now()).unwrap();
        assert_eq!(job.failure, Some(failure()));
        assert_eq!(job.event_data(kind)["error"]["kind"], "unavailable");
        job.start(Utc::now()).unwrap();
        assert_eq!(job.failure, None);
    }

    #[test]
    fn a_job_asked_to_stop_is_cancelled_instead_of_requeued() {
        let mut job = running();
        assert_eq!(job.ask_to_stop(Utc::now()), (CancelOutcome::Requested, None));
        assert_eq!(job.take_back(Utc::now()), Ok(EventKind::JobCancelled));
        assert_eq!(job.status, JobStatus::Cancelled);
    }

    #[test]
    fn an_ended_job_never_changes() {
        let mut job = running();
        job.settle(Settled::Failed(failure()), Progress::default(), Utc::now()).unwrap();
        let before = job.clone();
        assert!(job.start(Utc::now()).is_err());
        assert!(job.settle(Settled::Cancelled, Progress::default(), Utc::now()).is_err());
        assert!(job.take_back(Utc::now()).is_err());
        assert_eq!(job.ask_to_stop(Utc::now()).0, CancelOutcome::AlreadyEnded(JobStatus::Failed));
        assert_eq!(job, before);
    }

    #[test]
    fn event_data_has_the_names_listeners_rely_on() {
        let data = running().event_data(EventKind::JobStarted);
        let mut names: Vec<_> = data.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["attempt", "job_id", "job_name", "output_dir", "provider", "vm_path"]);
    }
}

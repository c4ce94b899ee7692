//! Proof that an attempt's job is still this process's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Inner;
use super::attempt::{Running, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::id::JobId;
use crate::job::{ClaimCheck, StopReason};

/// How long to wait before a store that did not answer is asked again, give or take a quarter.
const AGAIN: Duration = Duration::from_secs(1);

fn lost(job: &JobId) -> Error {
    let message = format!("job {job} is another process's by now");
    Error::new(ErrorKind::Conflict, "confirm the claim", message)
}

/// The claim of a running attempt.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) inner: Arc<Inner>,
    pub(super) job: JobId,
    pub(super) running: Arc<Running>,
}

#[async_trait]
impl ClaimCheck for Held {
    async fn confirm(&self) -> Result<()> {
        if self.inner.config.exclusive {
            // Nobody else can have taken it.
            return Ok(());
        }
        loop {
            let beat = [(self.job.clone(), self.running.fence, self.running.progress.now())];
            let answer = tokio::select! {
                answer = self.inner.store.heartbeat(&self.inner.owner, &beat) => answer,
                () = self.running.stopped() => return Err(Error::cancelled("confirm the claim")),
            };
            match answer {
                Ok(stop) => match stop.first() {
                    None => return Ok(()),
                    Some((_, reason)) => {
                        let (stop, error) = match reason {
                            StopReason::CancelRequested => {
                                (Stop::User, Error::cancelled("confirm the claim"))
                            }
                            StopReason::ClaimLost => (Stop::Lost, lost(&self.job)),
                        };
                        self.running.stop(stop);
                        return Err(error);
                    }
                },
                Err(error) => {
                    tracing::warn!(job = %self.job, error = %error.chain(), "cannot confirm the claim; will try again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN.mul_f64(0.75 + fastrand::f64() / 2.0)) => {}
                () = self.running.stopped() => return Err(Error::cancelled("confirm the claim")),
            }
        }
    }
}

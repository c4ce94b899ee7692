//! Carries a job's log lines to the store, several at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::error::ErrorKind;
use crate::id::JobId;
use crate::job::{Clock, JobStore, LogLevel, LogLine};

/// How long lines wait for others to be written with.
const GATHER: Duration = Duration::from_millis(200);

/// The most lines kept while the store cannot be written to.
const KEPT: usize = 1000;

/// How often the last lines are tried before they are left to the program's log.
const LAST_TRIES: u32 = 3;

/// Writes what comes through `lines` to the job's log until `end` fires and the channel is empty, under the fence of
/// the attempt's claim.
pub(super) async fn keep(
    store: Arc<dyn JobStore>,
    (job, fence): (JobId, i64),
    clock: Clock,
    mut lines: UnboundedReceiver<(LogLevel, String)>,
    end: CancellationToken,
) {
    let mut waiting = Vec::new();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = end.cancelled() => None,
        };
        let Some(line) = line else { break };
        push(&mut waiting, line, &clock);
        let gathered = tokio::time::sleep(GATHER);
        tokio::pin!(gathered);
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(line) => push(&mut waiting, line, &clock),
                    None => break,
                },
                () = &mut gathered => break,
                () = end.cancelled() => break,
            }
        }
        write(&store, (&job, fence), &mut waiting).await;
    }
    lines.close();
    while let Some(line) = lines.recv().await {
        push(&mut waiting, line, &clock);
    }
    for _ in 0..LAST_TRIES {
        write(&store, (&job, fence), &mut waiting).await;
        if waiting.is_empty() {
            return;
        }
        tokio::time::sleep(GATHER).await;
    }
}

fn push(waiting: &mut Vec<LogLine>, (level, message): (LogLevel, String), clock: &Clock) {
    if waiting.len() == KEPT {
        waiting.remove(0);
    }
    waiting.push(LogLine { time: clock.now(), level, message });
}

/// Writes what waits; keeps it if that fails, unless the job is another's by now. The program's log has every line in
/// any case.
async fn write(store: &Arc<dyn JobStore>, (job, fence): (&JobId, i64), waiting: &mut Vec<LogLine>) {
    if waiting.is_empty() {
        return;
    }
    match store.append_log(job, Some(fence), waiting).await {
        Ok(()) => waiting.clear(),
        Err(error) if error.kind() == ErrorKind::Conflict => waiting.clear(),
        Err(error) => {
            tracing::warn!(job = %job, error = %error.chain(), "cannot write the job's log");
        }
    }
}

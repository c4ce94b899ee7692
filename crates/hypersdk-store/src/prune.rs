//! Forgetting ended jobs, for every kind of database alike.

/// The place of the newest job that is beyond the `$1` newest ended ones.
pub(crate) const BEYOND: &str = "SELECT seq FROM jobs WHERE status IN ('completed', 'failed', 'cancelled')
     ORDER BY seq DESC LIMIT 1 OFFSET $1";

/// Ended jobs that are old (before `$1`) or beyond (up to place `$2`), of which every event was seen (`$3`) and after
/// which nothing waits; at most `$4`.
pub(crate) const GONE: &str = "SELECT id, status FROM jobs
     WHERE status IN ('completed', 'failed', 'cancelled')
         AND (completed_at < $1 OR seq <= $2)
         AND NOT EXISTS (SELECT 1 FROM events WHERE events.job = jobs.id AND events.seq > $3)
         AND NOT EXISTS (
             SELECT 1 FROM job_dependencies JOIN jobs AS later ON later.id = job_dependencies.job
             WHERE job_dependencies.needs = jobs.id AND later.status = 'pending'
         )
     ORDER BY seq LIMIT $4";

/// Events about no job that are old and were seen.
pub(crate) const OLD_EVENTS: &str = "DELETE FROM events WHERE job IS NULL AND time < $1 AND seq <= $2";

/// The tables that have rows about a job, and the job last.
pub(crate) const FORGET: [&str; 5] = [
    "DELETE FROM job_dependencies WHERE needs = $1",
    "DELETE FROM job_dependencies WHERE job = $1",
    "DELETE FROM events WHERE job = $1",
    "DELETE FROM job_logs WHERE job = $1",
    "DELETE FROM jobs WHERE id = $1",
];

//! Finding the jobs whose turn it is, for every kind of database alike.
//!
//! The lanes in which something waits are found by jumping from one to the next through the index, and of each that
//! the claimant serves only the first few jobs are read: however many jobs wait, a claim costs as much as there are
//! lanes.

use std::collections::BTreeMap;

use hypersdk_core::{Claimant, Lane, Result};

use crate::error::unreadable;
use crate::rows::Row;

/// The lanes in which jobs wait. `$by` names the index to go by where the database has to be told.
macro_rules! waiting {
    ($by:literal) => {
        concat!(
            "WITH RECURSIVE waiting (lane) AS (
                 SELECT min(lane) FROM jobs",
            $by,
            " WHERE status = 'pending' AND blocked_by = 0
                 UNION ALL
                 SELECT (SELECT min(jobs.lane) FROM jobs",
            $by,
            " WHERE status = 'pending' AND blocked_by = 0 AND jobs.lane > waiting.lane)
                 FROM waiting WHERE waiting.lane IS NOT NULL
             )
             SELECT lane FROM waiting WHERE lane IS NOT NULL"
        )
    };
}
pub(crate) use waiting;

/// How many jobs of each lane run.
pub(crate) const RUNNING: &str = "SELECT lane, count(*) FROM jobs WHERE status = 'running' GROUP BY lane";

/// The first jobs of lane `$1` whose time had come at `$2`, at most `$3`; `$by` as above.
macro_rules! due_in_lane {
    ($by:literal, $rest:literal) => {
        concat!(
            "SELECT * FROM jobs",
            $by,
            " WHERE status = 'pending' AND blocked_by = 0 AND lane = $1
                 AND (not_before IS NULL OR not_before <= $2)
             ORDER BY priority DESC, seq LIMIT $3",
            $rest
        )
    };
}
pub(crate) use due_in_lane;

/// Of the waiting lanes those that the claimant serves, with how many of their jobs run.
pub(crate) fn served(
    waiting: Vec<String>,
    running: Vec<(String, i64)>,
    claimant: &Claimant,
) -> Result<Vec<(String, u64)>> {
    let running: BTreeMap<String, i64> = running.into_iter().collect();
    let mut lanes = Vec::new();
    for text in waiting {
        let lane: Lane = serde_json::from_str(&text).map_err(|error| unreadable("lane", error))?;
        if claimant.serves(&lane) {
            let running = running.get(&text).and_then(|count| u64::try_from(*count).ok()).unwrap_or_default();
            lanes.push((text, running));
        }
    }
    Ok(lanes)
}

/// The rows whose turn it is.
pub(crate) fn chosen(lanes: Vec<(u64, Vec<Row>)>, limit: usize) -> Vec<Row> {
    hypersdk_core::take_turns(lanes, limit, |row: &Row| (row.job.spec.priority, row.seq))
}

//! Statements about many rows at one time.
//!
//! SQLite works in a thread of its own, and every statement is a trip there and back, which costs more than most of
//! them do. What concerns many rows is therefore told in few statements, in a few sizes so that each stays prepared;
//! and what has many rows comes back as one, since every row wakes whoever waits for it.

use std::fmt::Write;

use hypersdk_core::{JobId, Result};

use crate::rows::{RawJob, Row, from_json};

/// Rows of one statement, the most first. With the widest rows there are it has a thousand parameters; SQLite allows
/// thirty times as many.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// The rows in parts that have a statement.
pub(super) fn parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (part, rest) = rows.split_at(size);
        rows = rest;
        Some(part)
    })
}

/// `VALUES (?, ?), (?, ?)` and so on, between what comes before it and what comes after.
pub(super) fn values(before: &str, (rows, columns): (usize, usize), after: &str) -> String {
    let row = vec!["?"; columns].join(",");
    let mut sql = format!("{before} VALUES ");
    for index in 0..rows {
        let comma = if index == 0 { "" } else { "," };
        write!(sql, "{comma}({row})").expect("a String takes everything");
    }
    sql + after
}

/// A statement that gives as one text the rows of `jobs` that `$rows` selects, in its order: [`jobs`] reads it.
macro_rules! jobs_of {
    ($rows:expr) => {
        concat!(
            "SELECT json_group_array(json_object(
                 'seq', seq, 'id', id, 'spec', spec, 'status', status, 'attempt', attempt, 'failures', failures,
                 'created_at', created_at, 'started_at', started_at, 'completed_at', completed_at,
                 'updated_at', updated_at, 'not_before', not_before,
                 'cancel_requested', json(iif(cancel_requested, 'true', 'false')), 'progress', progress,
                 'outcome', outcome, 'failure', failure, 'owner', owner, 'fence', fence,
                 'heartbeat_at', heartbeat_at
             )) FROM (",
            $rows,
            ")"
        )
    };
}
pub(super) use jobs_of;

/// The rows that a statement of [`jobs_of`] gives.
pub(super) fn jobs(text: &str) -> Result<Vec<Row>> {
    from_json::<Vec<RawJob>>("jobs", text)?.into_iter().map(Row::try_from).collect()
}

/// One parameter for a list of identifiers: `id IN (SELECT value FROM json_each($1))`.
pub(super) fn list<'a>(ids: impl IntoIterator<Item = &'a JobId>) -> String {
    serde_json::Value::from_iter(ids.into_iter().map(JobId::as_str)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part_in_its_order() {
        let rows: Vec<usize> = (0..150).collect();
        let parts: Vec<&[usize]> = parts(&rows).collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [64, 64, 16, 4, 1, 1]);
        assert_eq!(parts.concat(), rows);
    }

    #[test]
    fn values_are_rows_of_parameters() {
        assert_eq!(
            values("INSERT INTO t (a, b)", (2, 2), " RETURNING a"),
            "INSERT INTO t (a, b) VALUES (?,?),(?,?) RETURNING a"
        );
    }
}

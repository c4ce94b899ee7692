//! The text of a listing, for every kind of database alike.

use hypersdk_core::{JobId, JobQuery, JobStatus};
use sqlx::{Database, Encode, QueryBuilder, Type};

/// One more job than `query` asks for, newest first, older than `place` if one is given. `with_ids` appends the
/// condition that the identifier is among those given.
///
/// With several states the newest of each are merged: the index has each state's jobs in order, but not several
/// states' together, and sorting a million rows for a page takes seconds.
pub(crate) fn listing<'q, DB>(
    query: &JobQuery,
    place: Option<i64>,
    with_ids: impl Fn(&mut QueryBuilder<DB>, Vec<String>),
) -> QueryBuilder<DB>
where
    DB: Database,
    i64: Encode<'q, DB> + Type<DB>,
    String: Encode<'q, DB> + Type<DB>,
{
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut statuses = query.statuses.clone();
    statuses.sort_by_key(|status| status.as_str());
    statuses.dedup();
    let branches: Vec<Option<JobStatus>> = match statuses.len() {
        0 => vec![None],
        all if all == JobStatus::ALL.len() => vec![None],
        _ => statuses.into_iter().map(Some).collect(),
    };
    let mut select = QueryBuilder::new("SELECT * FROM (");
    for (index, status) in branches.iter().enumerate() {
        if index > 0 {
            select.push(" UNION ALL ");
        }
        select.push("SELECT * FROM (SELECT * FROM jobs WHERE TRUE");
        if let Some(status) = status {
            // One of our own words, and a literal lets the planner see which.
            select.push(" AND status = '").push(status.as_str()).push("'");
        }
        if let Some(place) = place {
            select.push(" AND seq < ").push_bind(place);
        }
        if !query.ids.is_empty() {
            with_ids(&mut select, query.ids.iter().map(JobId::to_string).collect());
        }
        select.push(" ORDER BY seq DESC LIMIT ").push_bind(limit).push(format!(") AS branch_{index}"));
    }
    select.push(") AS page ORDER BY seq DESC LIMIT ").push_bind(limit);
    select
}

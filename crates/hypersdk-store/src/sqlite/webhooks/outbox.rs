//! The statements. Lists go in as one JSON text each, whatever their length.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use hypersdk_core::{Owner, Result, Seq};
use hypersdk_webhook::{Attempt, Cursor, DeliveryId, EndpointId, Halt, NewDelivery, StoredEndpoint};
use sqlx::SqliteExecutor;
use sqlx::sqlite::SqliteConnection;

use super::super::error::failed;
use crate::webhook_rows::{self as rows, RawDelivery, Reported};

pub(super) async fn put_endpoint(connection: &mut SqliteConnection, endpoint: &StoredEndpoint) -> Result<()> {
    let failed = |error: sqlx::Error| failed("write webhook", &error);
    let version: Option<i64> = sqlx::query_scalar("SELECT version FROM webhook_endpoints WHERE id = $1")
        .bind(endpoint.id.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    if version.unwrap_or_default() + 1 != endpoint.version {
        return Err(rows::changed(&endpoint.id));
    }
    sqlx::query(
        "INSERT INTO webhook_endpoints (id, spec, sealed, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET spec = excluded.spec, sealed = excluded.sealed,
             version = excluded.version, updated_at = excluded.updated_at",
    )
    .bind(endpoint.id.as_str())
    .bind(&endpoint.spec)
    .bind(&endpoint.sealed)
    .bind(endpoint.version)
    .bind(endpoint.created_at.timestamp_micros())
    .bind(endpoint.updated_at.timestamp_micros())
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    halt(connection, &endpoint.id, None).await
}

pub(super) async fn remove_endpoint(connection: &mut SqliteConnection, id: &EndpointId) -> Result<bool> {
    let mut removed = 0;
    for sql in
        ["DELETE FROM webhook_deliveries WHERE endpoint = $1", "DELETE FROM webhook_endpoints WHERE id = $1"]
    {
        let result = sqlx::query(sql).bind(id.as_str()).execute(&mut *connection).await;
        removed = result.map_err(|error| failed("remove webhook", &error))?.rows_affected();
    }
    if removed > 0 {
        halt(connection, id, None).await?;
    }
    Ok(removed > 0)
}

/// Sets or ends a halt; in either case something has changed.
pub(super) async fn halt(
    connection: &mut SqliteConnection,
    id: &EndpointId,
    halt: Option<&Halt>,
) -> Result<()> {
    let failed = |error: sqlx::Error| failed("write webhook halt", &error);
    let statement = match halt {
        Some(halt) => sqlx::query(
            "INSERT INTO webhook_halts (endpoint, since, reason) VALUES ($1, $2, $3)
             ON CONFLICT (endpoint) DO UPDATE SET since = excluded.since, reason = excluded.reason",
        )
        .bind(id.as_str())
        .bind(halt.since.timestamp_micros())
        .bind(&halt.reason),
        None => sqlx::query("DELETE FROM webhook_halts WHERE endpoint = $1").bind(id.as_str()),
    };
    statement.execute(&mut *connection).await.map_err(failed)?;
    sqlx::query("UPDATE webhook_cursor SET revision = revision + 1")
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

pub(super) async fn cursor(database: impl SqliteExecutor<'_>) -> Result<Option<Cursor>> {
    let (position, revision): (Option<i64>, i64) =
        sqlx::query_as("SELECT position, revision FROM webhook_cursor")
            .fetch_one(database)
            .await
            .map_err(|error| failed("read webhook cursor", &error))?;
    Ok(position.map(|position| Cursor { position: Seq(position), revision }))
}

/// The cursor, which is put at `start` if it is nowhere yet.
pub(super) async fn make_cursor(connection: &mut SqliteConnection, start: Seq) -> Result<Cursor> {
    let (position, revision): (i64, i64) = sqlx::query_as(
        "UPDATE webhook_cursor SET position = coalesce(position, $1) RETURNING position, revision",
    )
    .bind(start.0)
    .fetch_one(connection)
    .await
    .map_err(|error| failed("write webhook cursor", &error))?;
    Ok(Cursor { position: Seq(position), revision })
}

pub(super) async fn move_cursor(connection: &mut SqliteConnection, from: Cursor, to: Seq) -> Result<bool> {
    let moved = sqlx::query("UPDATE webhook_cursor SET position = $1 WHERE position = $2 AND revision = $3")
        .bind(to.0)
        .bind(from.position.0)
        .bind(from.revision)
        .execute(connection)
        .await
        .map_err(|error| failed("move webhook cursor", &error))?;
    Ok(moved.rows_affected() == 1)
}

pub(super) async fn add(
    connection: &mut SqliteConnection,
    deliveries: &[NewDelivery],
    now: DateTime<Utc>,
) -> Result<()> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let failed = |error: sqlx::Error| failed("add webhook deliveries", &error);
    let mut fresh = Vec::with_capacity(deliveries.len());
    for new in deliveries {
        // A sample takes the place of one that waits.
        let replaced = if new.latest_only {
            sqlx::query(
                "UPDATE webhook_deliveries SET time = $1, data = $2
                 WHERE endpoint = $3 AND lane = $4 AND ended_at IS NULL AND state = 'pending' AND latest_only",
            )
            .bind(new.time.timestamp_micros())
            .bind(new.data.to_string())
            .bind(new.endpoint.as_str())
            .bind(&new.lane)
            .execute(&mut *connection)
            .await
            .map_err(failed)?
            .rows_affected()
        } else {
            0
        };
        if replaced == 0 {
            fresh.push(new.clone());
        }
    }
    sqlx::query(
        "INSERT INTO webhook_deliveries (id, endpoint, lane, event, time, data, latest_only, state, created_at, due_at)
         SELECT value ->> 'id', value ->> 'endpoint', value ->> 'lane', value ->> 'event', value ->> 'time',
             value ->> 'data', value ->> 'latest_only', 'pending', $2, $2
         FROM json_each($1) ORDER BY key",
    )
    .bind(rows::new_rows(&fresh))
    .bind(now.timestamp_micros())
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    promote(connection, &rows::lanes(fresh.iter().map(|new| (new.endpoint.as_str(), new.lane.as_str()))))
        .await
}

/// Makes the oldest delivery that has not ended the head of each of these lanes.
async fn promote(connection: &mut SqliteConnection, lanes: &str) -> Result<()> {
    sqlx::query(
        "UPDATE webhook_deliveries SET head = 1 WHERE head = 0 AND seq IN (
             SELECT (SELECT min(d.seq) FROM webhook_deliveries AS d
                 WHERE d.endpoint = value ->> 0 AND d.lane = value ->> 1 AND d.ended_at IS NULL)
             FROM json_each($1))",
    )
    .bind(lanes)
    .execute(connection)
    .await
    .map_err(|error| failed("order webhook deliveries", &error))?;
    Ok(())
}

/// Which of the endpoints have something due.
pub(super) async fn with_due(
    database: impl SqliteExecutor<'_>,
    wanted: &[(EndpointId, usize)],
    now: DateTime<Utc>,
) -> Result<HashSet<String>> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT value FROM json_each($1) WHERE EXISTS (SELECT 1 FROM webhook_deliveries AS d
             WHERE d.endpoint = value AND d.state = 'pending' AND d.head = 1 AND d.due_at <= $2)",
    )
    .bind(rows::ids(wanted.iter().map(|(id, _)| id)))
    .bind(now.timestamp_micros())
    .fetch_all(database)
    .await
    .map_err(|error| failed("look for webhook deliveries", &error))?;
    Ok(found.into_iter().collect())
}

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    owner: &Owner,
    endpoint: &EndpointId,
    number: usize,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<RawDelivery>> {
    let mut claimed: Vec<RawDelivery> = sqlx::query_as(
        "UPDATE webhook_deliveries SET state = 'in_flight', owner = $1, lease_until = $2, fence = fence + 1
         WHERE seq IN (SELECT seq FROM webhook_deliveries
             WHERE endpoint = $3 AND state = 'pending' AND head = 1 AND due_at <= $4
             ORDER BY due_at, seq LIMIT $5)
         RETURNING *",
    )
    .bind(owner.as_str())
    .bind(until.timestamp_micros())
    .bind(endpoint.as_str())
    .bind(now.timestamp_micros())
    .bind(i64::try_from(number).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
    .map_err(|error| failed("claim webhook deliveries", &error))?;
    claimed.sort_by_key(|row| (row.due_at, row.seq));
    Ok(claimed)
}

pub(super) async fn report(
    connection: &mut SqliteConnection,
    owner: &Owner,
    reports: &str,
) -> Result<Vec<Reported>> {
    let failed = |error: sqlx::Error| failed("write webhook deliveries", &error);
    let written: Vec<Reported> = sqlx::query_as(
        "UPDATE webhook_deliveries SET state = r.state, due_at = coalesce(r.due_at, webhook_deliveries.due_at), tries = r.tries,
             attempts = r.attempts, ended_at = r.ended_at, owner = NULL, lease_until = NULL,
             head = CASE WHEN r.ended_at IS NULL THEN head ELSE 0 END
         FROM (SELECT value ->> 'id' AS id, value ->> 'fence' AS fence, value ->> 'state' AS state,
                 value ->> 'due_at' AS due_at, value ->> 'ended_at' AS ended_at, value ->> 'tries' AS tries,
                 value ->> 'attempts' AS attempts
             FROM json_each($1)) AS r
         WHERE webhook_deliveries.id = r.id AND webhook_deliveries.fence = r.fence AND +owner = $2
         RETURNING id, endpoint, lane, ended_at, latest_only",
    )
    .bind(reports)
    .bind(owner.as_str())
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    if written.iter().any(|row| row.latest_only && row.ended_at.is_some()) {
        let ids = written.iter().filter(|row| row.latest_only).map(|row| row.id.as_str());
        sqlx::query(
            "DELETE FROM webhook_deliveries
             WHERE id IN (SELECT value FROM json_each($1)) AND ended_at IS NOT NULL",
        )
        .bind(serde_json::Value::from_iter(ids).to_string())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    let ended = written.iter().filter(|row| row.ended_at.is_some());
    promote(connection, &rows::lanes(ended.map(|row| (row.endpoint.as_str(), row.lane.as_str())))).await?;
    Ok(written)
}

pub(super) async fn has_claims(database: impl SqliteExecutor<'_>, owner: &Owner) -> Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM webhook_deliveries WHERE state = 'in_flight' AND owner = $1)",
    )
    .bind(owner.as_str())
    .fetch_one(database)
    .await
    .map_err(|error| failed("look for webhook claims", &error))
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    owner: &Owner,
    until: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("UPDATE webhook_deliveries SET lease_until = $1 WHERE state = 'in_flight' AND owner = $2")
        .bind(until.timestamp_micros())
        .bind(owner.as_str())
        .execute(connection)
        .await
        .map_err(|error| failed("prolong webhook claims", &error))?;
    Ok(())
}

pub(super) async fn has_lapsed(
    database: impl SqliteExecutor<'_>,
    owner: &Owner,
    all: bool,
    now: DateTime<Utc>,
) -> Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM webhook_deliveries
             WHERE state = 'in_flight' AND (lease_until <= $1 OR ($2 AND owner <> $3)))",
    )
    .bind(now.timestamp_micros())
    .bind(all)
    .bind(owner.as_str())
    .fetch_one(database)
    .await
    .map_err(|error| failed("look for lapsed webhook claims", &error))
}

pub(super) async fn take_back(
    connection: &mut SqliteConnection,
    owner: &Owner,
    all: bool,
    now: DateTime<Utc>,
) -> Result<u64> {
    let taken = sqlx::query(
        "UPDATE webhook_deliveries SET state = 'pending', owner = NULL, lease_until = NULL
         WHERE state = 'in_flight' AND (lease_until <= $1 OR ($2 AND owner <> $3))",
    )
    .bind(now.timestamp_micros())
    .bind(all)
    .bind(owner.as_str())
    .execute(connection)
    .await
    .map_err(|error| failed("take webhook deliveries back", &error))?;
    Ok(taken.rows_affected())
}

pub(super) async fn redeliver(
    connection: &mut SqliteConnection,
    id: &DeliveryId,
    now: DateTime<Utc>,
) -> Result<bool> {
    let found: Option<(i64, String, String, bool)> =
        sqlx::query_as("SELECT seq, endpoint, lane, ended_at IS NULL FROM webhook_deliveries WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&mut *connection)
            .await
            .map_err(|error| failed("find webhook delivery", &error))?;
    let (seq, endpoint, lane, open) = found.ok_or_else(|| rows::no_delivery(id))?;
    if open {
        return Ok(false);
    }
    revive(connection, &format!("[{seq}]"), &rows::lanes([(endpoint.as_str(), lane.as_str())]), now).await?;
    Ok(true)
}

pub(super) async fn redeliver_dead(
    connection: &mut SqliteConnection,
    endpoint: &EndpointId,
    now: DateTime<Utc>,
) -> Result<u64> {
    let dead: Vec<(i64, String)> =
        sqlx::query_as("SELECT seq, lane FROM webhook_deliveries WHERE endpoint = $1 AND state = 'dead'")
            .bind(endpoint.as_str())
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| failed("find dead webhook deliveries", &error))?;
    let seqs = serde_json::Value::from_iter(dead.iter().map(|(seq, _)| *seq)).to_string();
    let lanes = rows::lanes(dead.iter().map(|(_, lane)| (endpoint.as_str(), lane.as_str())));
    revive(connection, &seqs, &lanes, now).await?;
    Ok(dead.len() as u64)
}

/// Makes ended deliveries pending again, in their old places of their lanes.
async fn revive(
    connection: &mut SqliteConnection,
    seqs: &str,
    lanes: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let failed = |error: sqlx::Error| failed("send webhook deliveries again", &error);
    sqlx::query(
        "UPDATE webhook_deliveries SET state = 'pending', tries = 0, due_at = $2, ended_at = NULL
         WHERE seq IN (SELECT value FROM json_each($1))",
    )
    .bind(seqs)
    .bind(now.timestamp_micros())
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    // Whoever was the head and is not under way gives way to an older one.
    sqlx::query(
        "UPDATE webhook_deliveries SET head = 0 WHERE head = 1 AND state = 'pending' AND seq IN (
             SELECT d.seq FROM json_each($1) AS lane CROSS JOIN webhook_deliveries AS d
             WHERE d.endpoint = lane.value ->> 0 AND d.lane = lane.value ->> 1 AND d.ended_at IS NULL)",
    )
    .bind(lanes)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    promote(connection, lanes).await
}

pub(super) async fn prune(
    connection: &mut SqliteConnection,
    delivered: DateTime<Utc>,
    dead: DateTime<Utc>,
    limit: usize,
) -> Result<u64> {
    let mut left = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut pruned = 0;
    for (state, before) in [("delivered", delivered), ("dead", dead)] {
        let result = sqlx::query(
            "DELETE FROM webhook_deliveries WHERE seq IN (SELECT seq FROM webhook_deliveries
                 WHERE state = $1 AND ended_at IS NOT NULL AND ended_at < $2 LIMIT $3)",
        )
        .bind(state)
        .bind(before.timestamp_micros())
        .bind(left)
        .execute(&mut *connection)
        .await
        .map_err(|error| failed("forget webhook deliveries", &error))?;
        pruned += result.rows_affected();
        left -= i64::try_from(result.rows_affected()).unwrap_or(left);
    }
    Ok(pruned)
}

pub(super) async fn give_up_others(
    connection: &mut SqliteConnection,
    known: &str,
    attempt: &Attempt,
) -> Result<u64> {
    let text = rows::attempts(std::slice::from_ref(attempt))?;
    let given_up = sqlx::query(
        "UPDATE webhook_deliveries SET state = 'dead', head = 0, ended_at = $2,
             attempts = json_insert(attempts, '$[#]', json_extract($3, '$[0]'))
         WHERE state = 'pending' AND ended_at IS NULL AND endpoint NOT IN (SELECT value FROM json_each($1))",
    )
    .bind(known)
    .bind(attempt.at.timestamp_micros())
    .bind(text)
    .execute(connection)
    .await
    .map_err(|error| failed("give webhook deliveries up", &error))?;
    Ok(given_up.rows_affected())
}

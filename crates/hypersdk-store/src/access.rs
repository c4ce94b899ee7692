//! Rows of the audit log and of kept answers, which both kinds of database hold alike.

use hypersdk_core::{AuditEntry, KeptAnswer, Replay, Result};
use sqlx::FromRow;

use crate::error::unreadable;

/// Audit entries that are kept.
pub(crate) const KEPT: i64 = 200_000;
/// How many more than that there may be before the oldest go.
pub(crate) const SLACK: i64 = 1000;
/// How long a key is remembered, in microseconds.
pub(crate) const DAY: i64 = 24 * 3600 * 1_000_000;

/// A row of `audit`.
#[derive(FromRow)]
pub(crate) struct RawEntry {
    seq: i64,
    time: i64,
    actor: String,
    role: String,
    action: String,
    target: String,
    status: i64,
    client: String,
    request_id: String,
}

impl TryFrom<RawEntry> for AuditEntry {
    type Error = hypersdk_core::Error;

    fn try_from(raw: RawEntry) -> Result<AuditEntry> {
        let time = chrono::DateTime::from_timestamp_micros(raw.time)
            .ok_or_else(|| unreadable("time", format!("{} is no time", raw.time)))?;
        let status = u16::try_from(raw.status).map_err(|error| unreadable("status", error))?;
        let RawEntry { seq, actor, role, action, target, client, request_id, .. } = raw;
        Ok(AuditEntry { seq, time, actor, role, action, target, status, client, request_id })
    }
}

/// `fingerprint, status, body` of a row of `replays`.
pub(crate) type RawReplay = (String, Option<i64>, Option<String>);

/// What a row says to a request with this fingerprint.
pub(crate) fn replay(row: RawReplay, fingerprint: &str) -> Result<Replay> {
    match row {
        (known, ..) if known != fingerprint => Ok(Replay::Other),
        (_, Some(status), Some(body)) => {
            let status = u16::try_from(status).map_err(|error| unreadable("status", error))?;
            Ok(Replay::Answered(KeptAnswer { status, body }))
        }
        _ => Ok(Replay::Begun),
    }
}

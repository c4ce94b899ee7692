//! What a provider's connections to its source are doing, in figures.

use std::iter::Sum;
use std::ops::AddAssign;
use std::time::Duration;

use serde::Serialize;

/// The connections of a provider, or of several added up.
///
/// The totals count from the provider's beginning, and these hold at any quiet moment:
/// `total_created == total_connections + total_closed`, `total_connections == in_use + idle`,
/// `total_reused <= total_borrowed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Connections are kept for the next piece of work; else each piece of work makes one and ends it.
    pub pooled: bool,
    /// Connections open now.
    pub total_connections: u64,
    /// Of these, how many are lent to somebody.
    pub in_use: u64,
    /// Of these, how many wait for work.
    pub idle: u64,
    /// The most there may be; 0 if there is no limit.
    pub max_connections: u64,
    /// Pieces of work that wait for a connection now.
    pub waiting: u64,
    /// Connections ever made.
    pub total_created: u64,
    /// Connections ever ended.
    pub total_closed: u64,
    /// Connections that ended early at the source and were made good in place.
    pub total_renewed: u64,
    /// Pieces of work that were ever given a connection.
    pub total_borrowed: u64,
    /// Of these, how many got one that existed already.
    pub total_reused: u64,
    /// Pieces of work that gave up waiting for one.
    pub total_timeouts: u64,
    /// Who has a connection now.
    pub holders: Vec<ConnectionHolder>,
}

/// A piece of work that has a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionHolder {
    /// The job's id, or what is being done.
    pub work: String,
    /// For how many seconds.
    pub seconds: u64,
}

impl ConnectionHolder {
    /// Who has had a connection for so long.
    pub fn new(work: impl Into<String>, since: Duration) -> Self {
        ConnectionHolder { work: work.into(), seconds: since.as_secs() }
    }
}

impl ConnectionStats {
    /// The share of borrowers that got a connection which existed already, 0 to 1; 0 before the first.
    pub fn reuse_ratio(&self) -> f64 {
        if self.total_borrowed == 0 { 0.0 } else { self.total_reused as f64 / self.total_borrowed as f64 }
    }
}

impl AddAssign<&ConnectionStats> for ConnectionStats {
    fn add_assign(&mut self, other: &ConnectionStats) {
        self.pooled |= other.pooled;
        self.total_connections += other.total_connections;
        self.in_use += other.in_use;
        self.idle += other.idle;
        self.max_connections += other.max_connections;
        self.waiting += other.waiting;
        self.total_created += other.total_created;
        self.total_closed += other.total_closed;
        self.total_renewed += other.total_renewed;
        self.total_borrowed += other.total_borrowed;
        self.total_reused += other.total_reused;
        self.total_timeouts += other.total_timeouts;
        self.holders.extend(other.holders.iter().cloned());
    }
}

impl<'a> Sum<&'a ConnectionStats> for ConnectionStats {
    fn sum<I: Iterator<Item = &'a ConnectionStats>>(all: I) -> Self {
        all.fold(ConnectionStats::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_of_all_borrowers_and_sums_weigh_by_them() {
        let busy = ConnectionStats { total_borrowed: 90, total_reused: 90, ..ConnectionStats::default() };
        let quiet = ConnectionStats { total_borrowed: 10, total_reused: 0, ..ConnectionStats::default() };
        assert_eq!(ConnectionStats::default().reuse_ratio(), 0.0);
        assert_eq!([&busy, &quiet].into_iter().sum::<ConnectionStats>().reuse_ratio(), 0.9);
    }
}

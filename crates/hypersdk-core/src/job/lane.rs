//! Whose turn it is: jobs wait in lanes, and a claimant takes turns among the lanes that it serves.
//!
//! A lane is what jobs have in common when it comes to who may run them and for whom: the provider, the labels
//! that a process must have, and the submitter. Within a lane jobs go by priority and then age. Among lanes, of the
//! jobs with the highest priority the one goes first whose lane has the fewest running; so a thousand jobs of one
//! submitter do not keep another's single job waiting.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{JobSpec, Owner};
use crate::id::ProviderName;

/// What jobs must have in common to wait for one another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lane(Option<ProviderName>, BTreeSet<String>, Option<String>);

impl Lane {
    /// The lane that a job waits in.
    pub fn of(spec: &JobSpec) -> Lane {
        Lane(spec.provider.clone(), spec.labels.clone(), spec.submitter.clone())
    }
}

/// Who claims: a process, and which jobs it may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The process.
    pub owner: Owner,
    /// The providers it can reach; any if `None`. A job without a provider is anybody's.
    pub providers: Option<BTreeSet<ProviderName>>,
    /// The labels it has: it runs a job only if it has all of the job's.
    pub labels: BTreeSet<String>,
}

impl Claimant {
    /// A process that may run every job without labels.
    pub fn of_any(owner: &Owner) -> Claimant {
        Claimant { owner: owner.clone(), providers: None, labels: BTreeSet::new() }
    }

    /// True if it may run the jobs of this lane.
    pub fn serves(&self, lane: &Lane) -> bool {
        let Lane(provider, labels, _) = lane;
        let reachable = match (provider, &self.providers) {
            (Some(provider), Some(reachable)) => reachable.contains(provider),
            _ => true,
        };
        reachable && labels.is_subset(&self.labels)
    }
}

/// Picks up to `limit` of the candidates. Each lane comes with how many of its jobs run, and with its first jobs in
/// the order of their turns; `turn` gives a job's priority and its place in the order of acceptance.
pub fn take_turns<T>(mut lanes: Vec<(u64, Vec<T>)>, limit: usize, turn: impl Fn(&T) -> (i32, i64)) -> Vec<T> {
    for (_, jobs) in &mut lanes {
        jobs.sort_by_key(|job| (Reverse(turn(job).0), turn(job).1));
        jobs.reverse();
    }
    let mut taken = Vec::new();
    while taken.len() < limit {
        let next = lanes.iter_mut().filter(|(_, jobs)| !jobs.is_empty()).min_by_key(|(running, jobs)| {
            let (priority, place) = jobs.last().map_or((0, 0), &turn);
            (Reverse(priority), *running, place)
        });
        let Some((running, jobs)) = next else { break };
        *running += 1;
        taken.extend(jobs.pop());
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_turns_and_priority_comes_first() {
        let many: Vec<(i32, i64)> = (0..10).map(|place| (0, place)).collect();
        let one = vec![(0, 20)];
        let urgent = vec![(5, 30), (5, 31)];
        let taken = take_turns(vec![(0, many), (0, one), (9, urgent)], 5, |job| *job);
        assert_eq!(taken, [(5, 30), (5, 31), (0, 0), (0, 20), (0, 1)]);
    }

    #[test]
    fn a_lane_with_much_running_waits_for_one_with_little() {
        let taken = take_turns(vec![(3, vec![(0, 1), (0, 2)]), (2, vec![(0, 9), (0, 8)])], 3, |job| *job);
        assert_eq!(taken, [(0, 8), (0, 1), (0, 9)]);
    }

    #[test]
    fn a_claimant_serves_what_it_reaches_and_has_the_labels_for() {
        let mut spec = JobSpec::new("/DC0/vm/a".parse().unwrap(), "/srv");
        let mut claimant = Claimant::of_any(&Owner::unique());
        assert!(claimant.serves(&Lane::of(&spec)));
        claimant.providers = Some(["berlin".parse().unwrap()].into());
        assert!(claimant.serves(&Lane::of(&spec)));
        spec.provider = Some("paris".parse().unwrap());
        assert!(!claimant.serves(&Lane::of(&spec)));
        spec.provider = Some("berlin".parse().unwrap());
        spec.labels = ["fast".to_owned(), "near".to_owned()].into();
        claimant.labels = ["fast".to_owned()].into();
        assert!(!claimant.serves(&Lane::of(&spec)));
        claimant.labels.insert("near".to_owned());
        assert!(claimant.serves(&Lane::of(&spec)));
    }
}

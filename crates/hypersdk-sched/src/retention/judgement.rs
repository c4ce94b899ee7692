//! Who goes. Whatever the rules say, a package goes only if a later one of the same VM is whole, there, and stays.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::Retention;

/// A package, as far as the rules look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What it is a package of. Packages of different things have nothing to do with each other.
    pub of: String,
    /// The time it is filed under: that of its run.
    pub time: DateTime<Utc>,
    /// It is where its job put it.
    pub is_there: bool,
    /// Its last check found no fault.
    pub is_whole: bool,
    /// What it takes, in bytes.
    pub bytes: u64,
    /// The file system it is on, if that is known.
    pub volume: Option<u64>,
}

/// What the rules say of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// It may be removed.
    pub goes: bool,
    /// Why it goes or stays: the names of the rules that keep it, or a sentence.
    pub why: String,
}

impl Judgement {
    fn stays(why: impl Into<String>) -> Self {
        Judgement { goes: false, why: why.into() }
    }

    fn goes(why: impl Into<String>) -> Self {
        Judgement { goes: true, why: why.into() }
    }
}

impl Retention {
    /// Judges packages, in whatever order; an answer a package, in the same order. `free` says how many bytes are free
    /// on each volume. Days, weeks, months and years are those of `zone`.
    ///
    /// Only packages that are whole and there count for a rule, so that `keep_last: 2` is two that can be used. The
    /// last one of each VM that is, never goes, and what is older goes only because that one is there: so the newest
    /// package being faulty, or missing, keeps those before it.
    pub fn judge(&self, candidates: &[Candidate], free: &BTreeMap<u64, u64>, zone: Tz) -> Vec<Judgement> {
        let mut judgements = vec![Judgement::stays(""); candidates.len()];
        // By package: whether a later one of the same VM can be used.
        let mut succeeded = vec![false; candidates.len()];
        for group in groups(candidates) {
            let good: Vec<usize> =
                group.iter().copied().filter(|place| is_good(&candidates[*place])).collect();
            let times: Vec<DateTime<Utc>> = good.iter().map(|place| candidates[*place].time).collect();
            let reasons: BTreeMap<usize, Vec<&str>> =
                good.iter().copied().zip(self.kept(&times, zone)).collect();
            let mut later_is_good = false;
            for place in group.into_iter().rev() {
                succeeded[place] = later_is_good;
                judgements[place] =
                    self.judge_one(&candidates[place], reasons.get(&place).map(Vec::as_slice), later_is_good);
                later_is_good |= is_good(&candidates[place]);
            }
        }
        if let Some(least) = self.min_free {
            make_room(least, candidates, &succeeded, free, &mut judgements);
        }
        judgements
    }

    fn judge_one(&self, candidate: &Candidate, reasons: Option<&[&str]>, later_is_good: bool) -> Judgement {
        match reasons {
            _ if !candidate.is_there => Judgement::stays("it is not where its job put it, as seen from here"),
            Some(reasons) if !reasons.is_empty() => Judgement::stays(reasons.join(", ")),
            _ if !self.has_rules() => Judgement::stays("no rule lets it go"),
            _ if !later_is_good => Judgement::stays("no later package of the VM is verified and there"),
            Some(_) => Judgement::goes("no rule keeps it"),
            None => Judgement::goes("it is faulty, and a later one is not"),
        }
    }
}

fn is_good(candidate: &Candidate) -> bool {
    candidate.is_there && candidate.is_whole
}

/// The places of each VM's packages, the oldest first; of one time in the order they were given.
fn groups(candidates: &[Candidate]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, candidate) in candidates.iter().enumerate() {
        groups.entry(&candidate.of).or_default().push(place);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by_key(|place| candidates[*place].time);
    }
    groups
}

/// Lets the oldest go as well, while too little is free where they are.
fn make_room(
    least: u64,
    candidates: &[Candidate],
    succeeded: &[bool],
    free: &BTreeMap<u64, u64>,
    judgements: &mut [Judgement],
) {
    let mut oldest_first: Vec<usize> = (0..candidates.len()).collect();
    oldest_first.sort_by_key(|place| candidates[*place].time);
    for (volume, free) in free {
        let there = |place: &usize| candidates[*place].volume == Some(*volume) && candidates[*place].is_there;
        let going = (0..candidates.len()).filter(|place| there(place) && judgements[*place].goes);
        let mut free = going.fold(*free, |free, place| free.saturating_add(candidates[place].bytes));
        for place in oldest_first.iter().copied().filter(there) {
            if free >= least {
                break;
            }
            if !judgements[place].goes && succeeded[place] {
                free = free.saturating_add(candidates[place].bytes);
                let kept = std::mem::take(&mut judgements[place].why);
                judgements[place] =
                    Judgement::goes(format!("less than min_free ({least} bytes) is free; else: {kept}"));
            }
        }
    }
}

#[cfg(test)]
mod tests;

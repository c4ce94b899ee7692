use proptest::prelude::*;

use super::*;

fn at(day: i64) -> DateTime<Utc> {
    "2026-11-02T02:00:00Z".parse::<DateTime<Utc>>().unwrap() + chrono::TimeDelta::days(day)
}

fn package(of: &str, day: i64) -> Candidate {
    Candidate { of: of.to_owned(), time: at(day), is_there: true, is_whole: true, bytes: 10, volume: Some(1) }
}

fn last(count: u32) -> Retention {
    Retention { keep_last: Some(count), ..Retention::default() }
}

/// The days of the packages that go.
fn going(rules: &Retention, candidates: &[Candidate], free: u64) -> Vec<i64> {
    let judgements = rules.judge(candidates, &BTreeMap::from([(1, free)]), Tz::UTC);
    let pairs = candidates.iter().zip(&judgements);
    pairs
        .filter(|(_, judgement)| judgement.goes)
        .map(|(package, _)| (package.time - at(0)).num_days())
        .collect()
}

#[test]
fn each_vm_has_its_own_last_ones() {
    let packages: Vec<_> = (0..4)
        .flat_map(|day| [package("web", day), package("db", day + 10)])
        .chain([package("app", 0)])
        .collect();
    assert_eq!(going(&last(2), &packages, 0), [0, 10, 1, 11]);
}

#[test]
fn a_faulty_or_missing_newest_keeps_those_before_it() {
    for spoil in [
        |package: &mut Candidate| package.is_whole = false,
        |package: &mut Candidate| package.is_there = false,
    ] {
        let mut packages: Vec<_> = (0..2).map(|day| package("web", day)).collect();
        spoil(&mut packages[1]);
        assert_eq!(going(&last(1), &packages, 0), [0; 0]);
        // The next one that is whole ends that, and what is faulty goes as well.
        packages.push(package("web", 2));
        let expected: &[i64] = if packages[1].is_there { &[0, 1] } else { &[0] };
        assert_eq!(going(&last(1), &packages, 0), expected);
    }
    let mut packages: Vec<_> = (0..3).map(|day| package("web", day)).collect();
    packages[2].is_whole = false;
    assert_eq!(going(&last(2), &packages, 0), [0; 0], "two that can be used are kept beside it");
}

#[test]
fn room_is_made_from_the_oldest_on_and_never_from_a_vms_last() {
    let rules = Retention { min_free: Some(100), ..last(3) };
    let packages: Vec<_> = (0..4).map(|day| package("web", day)).chain([package("db", -1)]).collect();
    assert_eq!(going(&rules, &packages, 90), [0], "what goes anyway is enough");
    assert_eq!(going(&rules, &packages, 85), [0, 1]);
    assert_eq!(going(&rules, &packages, 0), [0, 1, 2], "the last one of each stays");
    let only = Retention { min_free: Some(100), ..Retention::default() };
    assert_eq!(going(&only, &packages, 81), [0, 1], "without other rules");
    assert_eq!(going(&only, &packages, 100), [0; 0]);
    let mut elsewhere = packages.clone();
    elsewhere[0].volume = Some(2);
    assert_eq!(going(&only, &elsewhere, 95), [1], "what is on another volume makes no room here");
}

#[test]
fn every_judgement_says_why() {
    let mut packages: Vec<_> = (0..4).map(|day| package("web", day)).collect();
    packages[1].is_whole = false;
    packages[2].is_there = false;
    let found = last(1).judge(&packages, &BTreeMap::new(), Tz::UTC);
    let why: Vec<_> = found.iter().map(|judgement| judgement.why.as_str()).collect();
    assert_eq!(
        why,
        [
            "no rule keeps it",
            "it is faulty, and a later one is not",
            "it is not where its job put it, as seen from here",
            "keep_last",
        ]
    );
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0..3_u8, 0..2000_i64, any::<(bool, bool, bool)>(), 1..1000_u64, 0..3_u64);
    prop::collection::vec(one, 0..40).prop_map(|rows| {
        rows.into_iter()
            .map(|(of, hours, (there, whole, sure), bytes, volume)| Candidate {
                of: of.to_string(),
                time: at(0) + chrono::TimeDelta::hours(hours),
                is_there: there || sure,
                is_whole: whole || sure,
                bytes,
                volume: (volume > 0).then_some(volume),
            })
            .collect()
    })
}

fn rules() -> impl Strategy<Value = Retention> {
    let count = || prop::option::of(0..6_u32);
    let least = prop::option::of(0..20_000_u64);
    (count(), count(), count(), count(), count(), least).prop_map(
        |(keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, min_free)| Retention {
            keep_last,
            keep_daily,
            keep_weekly,
            keep_monthly,
            keep_yearly,
            min_free,
        },
    )
}

fn zones() -> impl Strategy<Value = Tz> {
    prop::sample::select(vec![Tz::UTC, Tz::Europe__Berlin, Tz::Pacific__Kiritimati, Tz::America__St_Johns])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_goes_leaves_a_later_one_that_can_be_used(
        candidates in candidates(), rules in rules(), zone in zones(), free in 0..20_000_u64,
    ) {
        let free = BTreeMap::from([(1, free), (2, free / 2)]);
        let judged = rules.judge(&candidates, &free, zone);
        for (place, gone) in candidates.iter().enumerate().filter(|(place, _)| judged[*place].goes) {
            prop_assert!(gone.is_there, "what is not there cannot go");
            let stays = candidates.iter().zip(&judged).any(|(other, judgement)| {
                !judgement.goes && is_good(other) && other.of == gone.of && other.time >= gone.time
            });
            prop_assert!(stays, "{place} of {candidates:?}");
        }
        prop_assert!(judged.iter().all(|judgement| !judgement.why.is_empty()));
    }

    #[test]
    fn as_many_as_keep_last_says_can_be_used_afterwards(candidates in candidates(), count in 1..6_u32) {
        let judged = last(count).judge(&candidates, &BTreeMap::new(), Tz::UTC);
        for of in ["0", "1", "2"] {
            let good = |stays: bool| candidates.iter().zip(&judged).filter(|(package, judgement)| {
                package.of == of && is_good(package) && (!stays || !judgement.goes)
            }).count();
            prop_assert_eq!(good(true), good(false).min(count as usize));
        }
    }

    #[test]
    fn what_was_kept_is_kept_when_it_is_judged_again(
        candidates in candidates(), rules in rules(), zone in zones(),
    ) {
        let rules = Retention { min_free: None, ..rules };
        let judged = rules.judge(&candidates, &BTreeMap::new(), zone);
        let pairs = candidates.iter().zip(&judged).filter(|(_, judgement)| !judgement.goes);
        let kept: Vec<Candidate> = pairs.map(|(package, _)| package.clone()).collect();
        let again = rules.judge(&kept, &BTreeMap::new(), zone);
        prop_assert!(again.iter().all(|judgement| !judgement.goes));
    }

    #[test]
    fn a_larger_number_never_keeps_less(
        candidates in candidates(), rules in rules(), zone in zones(),
    ) {
        let rules = Retention { min_free: None, keep_last: rules.keep_last.or(Some(1)), ..rules };
        let judged = rules.judge(&candidates, &BTreeMap::new(), zone);
        let more = Retention { keep_last: rules.keep_last.map(|count| count + 1), ..rules };
        let wider = more.judge(&candidates, &BTreeMap::new(), zone);
        for (one, other) in judged.iter().zip(&wider) {
            prop_assert!(one.goes || !other.goes);
        }
    }

    #[test]
    fn room_is_made_as_far_as_it_can_be(candidates in candidates(), least in 1..20_000_u64) {
        let rules = Retention { min_free: Some(least), ..Retention::default() };
        let judged = rules.judge(&candidates, &BTreeMap::from([(1, 0)]), Tz::UTC);
        let freed: u64 = candidates.iter().zip(&judged).filter(|(_, judgement)| judgement.goes).map(|(package, _)| package.bytes).sum();
        let could_go = candidates.iter().enumerate().any(|(place, package)| {
            package.volume == Some(1) && package.is_there && !judged[place].goes
                && candidates.iter().any(|other| is_good(other) && other.of == package.of && other.time > package.time)
        });
        prop_assert!(freed >= least || !could_go);
        let largest = candidates.iter().map(|package| package.bytes).max().unwrap_or(0);
        prop_assert!(freed < least + largest, "and no more goes than has to");
    }
}

//! What the rules of a schedule mean for its packages.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hypersdk_core::{
    AuditEntry, AuditLog, ErrorKind, JobId, Package, PackageQuery, PackageState, Result, ScheduleId,
};
use hypersdk_export::{free_space, package_stands};
use hypersdk_sched::{Candidate, Schedule, ScheduleStore};

use super::remover::{PAGE, Remover, on_thread};

/// What the rules say of a package.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) package: Package,
    pub(crate) goes: bool,
    pub(crate) why: String,
}

/// Applies the rules of schedules to the catalogue.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    remover: Remover,
    schedules: Arc<dyn ScheduleStore>,
    audit: Arc<dyn AuditLog>,
}

/// How a package's directory looks from here.
#[derive(Debug, Default)]
struct Sight {
    is_there: bool,
    volume: Option<u64>,
}

impl Keeper {
    pub(crate) fn new(remover: Remover, schedules: Arc<dyn ScheduleStore>, audit: Arc<dyn AuditLog>) -> Self {
        Keeper { remover, schedules, audit }
    }

    pub(crate) fn remover(&self) -> &Remover {
        &self.remover
    }

    /// Every schedule that has rules.
    pub(super) async fn ruled(&self) -> Result<Vec<Schedule>> {
        let schedules = self.schedules.schedules().await?;
        Ok(schedules.into_iter().filter(|schedule| schedule.spec.retention.is_some()).collect())
    }

    /// The schedule, if it has rules.
    pub(super) async fn ruled_by(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        Ok(self.schedules.schedule(id).await?.filter(|schedule| schedule.spec.retention.is_some()))
    }

    /// What would go of a schedule's packages, what would stay, and why; the latest first. Without rules all stay.
    pub(crate) async fn judge(&self, schedule: &Schedule) -> Result<Vec<Verdict>> {
        let packages = self.present(&schedule.id).await?;
        let (sights, free) = self.look(&packages).await?;
        let candidates: Vec<Candidate> =
            packages.iter().zip(&sights).map(|(package, sight)| candidate(package, sight)).collect();
        let rules = schedule.spec.retention.unwrap_or_default();
        let judgements = rules.judge(&candidates, &free, schedule.spec.timezone);
        let mut verdicts: Vec<Verdict> = packages
            .into_iter()
            .zip(judgements)
            .map(|(package, judgement)| Verdict { package, goes: judgement.goes, why: judgement.why })
            .collect();
        verdicts.reverse();
        Ok(verdicts)
    }

    /// Removes what is to go, the oldest first, and says what went.
    pub(crate) async fn apply(&self, schedule: &Schedule) -> Result<Vec<Verdict>> {
        let mut gone = Vec::new();
        for verdict in self.judge(schedule).await?.into_iter().rev().filter(|verdict| verdict.goes) {
            let Verdict { package, goes, why } = verdict;
            let reason = format!("retention of schedule {}: {why}", schedule.id);
            match self.remover.remove(package, reason).await {
                Ok(package) => {
                    self.record(&schedule.id, &package.id).await;
                    gone.push(Verdict { package, goes, why });
                }
                // Another daemon, or somebody by hand, was faster.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    tracing::debug!(schedule = %schedule.id, "{}", error.chain());
                }
                Err(error) => tracing::error!(schedule = %schedule.id, "remove a package: {}", error.chain()),
            }
        }
        Ok(gone)
    }

    /// The schedule's packages that are present, the oldest first.
    async fn present(&self, id: &ScheduleId) -> Result<Vec<Package>> {
        let mut query = PackageQuery {
            schedule: Some(id.clone()),
            states: vec![PackageState::Present],
            limit: PAGE,
            ..PackageQuery::default()
        };
        let mut packages = Vec::new();
        loop {
            let page = self.remover.catalogue().packages(&query).await?;
            packages.extend(page.packages);
            match page.next {
                Some(next) => query.before = Some(next),
                None => break,
            }
        }
        packages.reverse();
        Ok(packages)
    }

    /// How each package looks from here, and the bytes that are free by file system.
    async fn look(&self, packages: &[Package]) -> Result<(Vec<Sight>, BTreeMap<u64, u64>)> {
        let mut places = Vec::new();
        for package in packages {
            let directory = match self.remover.locate(package) {
                Ok(directory) => Some(directory),
                // It is not there, or outside the root by now.
                Err(error) if error.kind() == ErrorKind::Invalid => None,
                Err(error) => return Err(error),
            };
            places.push((directory, package.id.clone(), package.outcome.clone()));
        }
        on_thread(move || {
            let mut spaces: BTreeMap<PathBuf, (u64, u64)> = BTreeMap::new();
            let mut sights = Vec::new();
            for (directory, id, outcome) in places {
                let Some(directory) = directory else {
                    sights.push(Sight::default());
                    continue;
                };
                if !spaces.contains_key(&directory) {
                    spaces.insert(directory.clone(), free_space(&directory)?);
                }
                let is_there = package_stands(&id, &outcome, &directory).unwrap_or_else(|error| {
                    tracing::warn!(package = %id, "cannot be looked at: {}", error.chain());
                    false
                });
                sights.push(Sight { is_there, volume: Some(spaces[&directory].1) });
            }
            Ok((sights, spaces.into_values().map(|(free, volume)| (volume, free)).collect()))
        })
        .await
    }

    async fn record(&self, schedule: &ScheduleId, package: &JobId) {
        let entry = AuditEntry {
            seq: 0,
            time: Utc::now(),
            actor: format!("schedule:{schedule}"),
            role: String::new(),
            action: "DELETE /packages/{id}".to_owned(),
            target: format!("/packages/{package}"),
            status: 200,
            client: String::new(),
            request_id: String::new(),
        };
        if let Err(error) = self.audit.record(entry.clone()).await {
            tracing::error!(?entry, "an audit entry was not kept: {}", error.chain());
        }
    }
}

/// The time a package is filed under: the planned time of its run, so that one that ends after midnight is its
/// evening's.
fn filed_under(package: &Package) -> DateTime<Utc> {
    package.spec.schedule.as_ref().map_or(package.completed_at, |by| by.planned_at)
}

fn candidate(package: &Package, sight: &Sight) -> Candidate {
    let provider = package.spec.provider.as_ref().map(ToString::to_string).unwrap_or_default();
    Candidate {
        of: format!("{provider} {}", package.spec.vm),
        time: filed_under(package),
        is_there: sight.is_there,
        is_whole: package.verification.as_ref().is_some_and(hypersdk_core::Verification::is_ok),
        bytes: package.outcome.total_size,
        volume: sight.volume,
    }
}

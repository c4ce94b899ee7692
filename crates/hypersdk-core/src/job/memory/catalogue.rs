//! The catalogue of packages.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{MemoryStore, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::id::JobId;
use crate::job::Job;
use crate::package::{Package, PackageCatalogue, PackageChange, PackagePage, PackageQuery, PackageState};

impl Rows {
    /// Enters what a job made, if it is completed.
    pub(super) fn enter_package(&mut self, job: &Job, now: DateTime<Utc>) -> Result<()> {
        let Some(package) = Package::of(job) else { return Ok(()) };
        for other in self.packages.iter_mut().filter(|other| is_at(other, &package.outcome.ovf_path)) {
            other.change(package.replaces(), now)?;
        }
        self.packages.push(package);
        Ok(())
    }
}

fn is_at(package: &Package, main_file: &str) -> bool {
    package.state == PackageState::Present && package.outcome.ovf_path == main_file
}

fn unknown(id: &JobId, operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("there is no package {id}"))
}

#[async_trait]
impl PackageCatalogue for MemoryStore {
    async fn packages(&self, query: &PackageQuery) -> Result<PackagePage> {
        let rows = self.rows();
        let end = match &query.before {
            Some(id) => rows
                .packages
                .iter()
                .position(|package| package.id == *id)
                .ok_or_else(|| unknown(id, "list packages"))?,
            None => rows.packages.len(),
        };
        let mut found = rows.packages[..end].iter().rev().filter(|package| {
            let schedule = package.spec.schedule.as_ref().map(|by| &by.id);
            let vm = |vm: &String| package.outcome.vm_name == *vm || package.spec.vm.to_string() == *vm;
            (query.schedule.is_none() || query.schedule.as_ref() == schedule)
                && query.vm.as_ref().is_none_or(vm)
                && (query.states.is_empty() || query.states.contains(&package.state))
        });
        let packages: Vec<Package> = found.by_ref().take(query.limit).cloned().collect();
        let next = found.next().and_then(|_| packages.last()).map(|package| package.id.clone());
        Ok(PackagePage { packages, next })
    }

    async fn package(&self, id: &JobId) -> Result<Option<Package>> {
        Ok(self.rows().packages.iter().find(|package| package.id == *id).cloned())
    }

    async fn package_at(&self, main_file: &str) -> Result<Option<Package>> {
        Ok(self.rows().packages.iter().rev().find(|package| is_at(package, main_file)).cloned())
    }

    async fn change_package(&self, id: &JobId, change: PackageChange) -> Result<Package> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let package = rows
            .packages
            .iter_mut()
            .find(|package| package.id == *id)
            .ok_or_else(|| unknown(id, "change package"))?;
        let kind = package.change(change, now)?;
        let package = package.clone();
        if let Some(kind) = kind {
            let seq = rows.newest.next();
            rows.newest = seq;
            rows.events.push(Event { seq, time: now, kind, job: None, data: package.event_data() });
        }
        let newest = rows.newest();
        drop(rows);
        self.announce(newest);
        Ok(package)
    }

    async fn forget_packages(&self, before: DateTime<Utc>) -> Result<u64> {
        let mut rows = self.rows();
        let known = rows.packages.len();
        rows.packages.retain(|package| {
            !matches!(package.state, PackageState::Removed | PackageState::Replaced)
                || package.updated_at >= before
        });
        Ok((known - rows.packages.len()) as u64)
    }
}

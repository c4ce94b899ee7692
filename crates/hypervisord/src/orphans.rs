//! What exports left behind at their sources: found, judged by the jobs in the store, removed.
//!
//! An export names what it makes after its job. What bears the name of a job that has not ended is in use: it runs, or
//! its next attempt goes on from there, or removes it. What bears the name of a job this store knows and that has ended
//! is ours and left behind: its process was killed. What bears any other name is somebody else's, perhaps another
//! daemon's with another database, and stays.

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{Error, ErrorKind, JobId, JobStore, NamedProvider, Orphan, ProviderRegistry, Result};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Owner {
    /// Of a job that has not ended: in use.
    Live,
    /// Of a job of this store that has ended: left behind.
    Ours,
    /// Of work this store does not know.
    Unknown,
}

/// Something found, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) provider: NamedProvider,
    pub(crate) orphan: Orphan,
    pub(crate) owner: Owner,
}

/// What a removal came to.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    pub(crate) removed: Vec<Orphan>,
    /// What could not be removed, and why.
    pub(crate) failed: Vec<(Orphan, Error)>,
}

/// Finds and removes.
#[derive(Debug, Clone)]
pub(crate) struct Orphans {
    providers: Arc<ProviderRegistry>,
    store: Arc<dyn JobStore>,
}

impl Orphans {
    pub(crate) fn new(providers: Arc<ProviderRegistry>, store: Arc<dyn JobStore>) -> Self {
        Orphans { providers, store }
    }

    /// Everything at every source, and the errors of sources that could not be asked.
    pub(crate) async fn list(&self) -> (Vec<Found>, Vec<Error>) {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for provider in self.providers.instances() {
            match self.list_at(&provider).await {
                Ok(there) => found.extend(there),
                Err(error) => errors.push(error.context(format!("look for orphans at {}", provider.name))),
            }
        }
        (found, errors)
    }

    async fn list_at(&self, provider: &NamedProvider) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for orphan in provider.provider.orphans().await? {
            let owner = self.owner(&orphan).await?;
            found.push(Found { provider: provider.clone(), orphan, owner });
        }
        Ok(found)
    }

    async fn owner(&self, orphan: &Orphan) -> Result<Owner> {
        let Ok(job) = orphan.work.parse::<JobId>() else { return Ok(Owner::Unknown) };
        Ok(match self.store.get(&job).await? {
            None => Owner::Unknown,
            Some(job) if job.status.is_final() => Owner::Ours,
            Some(_) => Owner::Live,
        })
    }

    /// Removes what is ours and left behind; with `id`, only that.
    ///
    /// # Errors
    /// `NotFound` if there is nothing of that id, `Conflict` if it is not ours or in use.
    pub(crate) async fn remove(&self, id: Option<&str>) -> Result<Swept> {
        let (found, errors) = self.list().await;
        for error in errors {
            tracing::warn!("{}", error.chain());
        }
        let mut swept = Swept::default();
        let mut seen = false;
        for Found { provider, orphan, .. } in
            found.into_iter().filter(|found| id.is_none_or(|id| found.orphan.id == id))
        {
            seen = true;
            // Asked again just before: a job may have begun meanwhile.
            match self.owner(&orphan).await? {
                Owner::Ours => {}
                _ if id.is_none() => continue,
                owner => return Err(not_ours(&orphan, owner)),
            }
            match provider.provider.remove_orphan(&orphan).await {
                Ok(()) => {
                    tracing::info!(
                        job = orphan.work,
                        vm = orphan.vm_name,
                        kind = orphan.kind,
                        id = orphan.id,
                        "removed what an export had left behind"
                    );
                    swept.removed.push(orphan);
                }
                Err(error) => {
                    tracing::error!(job = orphan.work, id = orphan.id, "remove orphan: {}", error.chain());
                    swept.failed.push((orphan, error));
                }
            }
        }
        match id {
            Some(id) if !seen => {
                let text = format!("nothing left behind has the id {id:?}; GET /orphans lists what there is");
                Err(Error::new(ErrorKind::NotFound, "remove orphan", text))
            }
            _ => Ok(swept),
        }
    }

    /// Removes what is left behind, at once and then every `interval`, until `stop`. Zero is never.
    pub(crate) async fn sweep(self, interval: Duration, stop: CancellationToken) {
        while !interval.is_zero() {
            tokio::select! {
                () = stop.cancelled() => return,
                swept = self.remove(None) => {
                    if let Err(error) = swept {
                        tracing::warn!("look for orphans: {}", error.chain());
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }
}

fn not_ours(orphan: &Orphan, owner: Owner) -> Error {
    let text = match owner {
        Owner::Live => format!("{} belongs to the job {}, which has not ended", orphan.id, orphan.work),
        _ => format!("{} belongs to {}, which no job of this daemon is", orphan.id, orphan.work),
    };
    Error::new(ErrorKind::Conflict, "remove orphan", text)
        .with_advice("if nothing needs it any more, remove it with the source's own tools")
}

#[cfg(test)]
mod tests {
    use hypersdk_core::testing::FakeProvider;
    use hypersdk_core::{Claimant, JobSpec, MemoryStore, NewJob, VmId};

    use super::*;

    fn orphan(id: &str, work: &str) -> Orphan {
        Orphan {
            id: id.to_owned(),
            kind: "snapshot".to_owned(),
            name: format!("hypersdk-{work}"),
            work: work.to_owned(),
            vm: VmId::new("vm-1"),
            vm_name: "web".to_owned(),
            created_at: None,
        }
    }

    #[tokio::test]
    async fn only_what_is_ours_and_not_in_use_is_removed() {
        let provider = FakeProvider::new(|_, _| String::new());
        let store = Arc::new(MemoryStore::new());
        let spec = JobSpec::new("/DC0/vm/web".parse().unwrap(), "/srv");
        let job = |id: &str, priority| NewJob {
            id: id.parse().unwrap(),
            spec: JobSpec { priority, ..spec.clone() },
        };
        store.submit(vec![job("runs", 9), job("waits", 0), job("ended", 0)]).await.unwrap();
        let owner = hypersdk_core::Owner::unique();
        store.claim(&Claimant::of_any(&owner), 1).await.unwrap();
        store.cancel(&"ended".parse().unwrap()).await.unwrap();
        let left =
            [("s-1", "runs"), ("s-2", "ended"), ("s-3", "elsewhere"), ("s-4", "not a job"), ("s-5", "waits")];
        for (id, work) in left {
            provider.leave_behind(orphan(id, work));
        }
        let mut registry = ProviderRegistry::new();
        registry.insert("default".parse().unwrap(), Arc::new(provider));
        let orphans = Orphans::new(Arc::new(registry), store);
        let owners: Vec<Owner> = orphans.list().await.0.iter().map(|found| found.owner).collect();
        assert_eq!(owners, [Owner::Live, Owner::Ours, Owner::Unknown, Owner::Unknown, Owner::Live]);
        for kept in ["s-1", "s-3", "s-5"] {
            assert_eq!(orphans.remove(Some(kept)).await.unwrap_err().kind(), ErrorKind::Conflict);
        }
        let swept = orphans.remove(None).await.unwrap();
        assert_eq!(swept.removed.len(), 1);
        assert_eq!(swept.removed[0].id, "s-2");
        assert_eq!(orphans.list().await.0.len(), 4);
        assert_eq!(orphans.remove(Some("s-2")).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

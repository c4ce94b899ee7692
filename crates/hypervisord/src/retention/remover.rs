//! One package's way out: noted, its files removed, noted again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hypersdk_core::{
    Error, ErrorKind, Package, PackageCatalogue, PackageChange, PackageQuery, PackageState, Result,
};
use hypersdk_export::{Removal, has_receipt, remove_package};

use crate::export_root::ExportRoot;

/// Packages looked at by one query.
pub(super) const PAGE: usize = 500;

/// Removes packages that this process can reach.
#[derive(Debug, Clone)]
pub(crate) struct Remover {
    catalogue: Arc<dyn PackageCatalogue>,
    export_root: ExportRoot,
    /// This process, under a name that it has after a restart as well.
    node: String,
    /// Nobody else uses the catalogue: what cannot be found here is nowhere.
    is_alone: bool,
    /// One removal at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Remover {
    pub(crate) fn new(
        catalogue: Arc<dyn PackageCatalogue>,
        export_root: ExportRoot,
        node: String,
        is_alone: bool,
    ) -> Self {
        Remover { catalogue, export_root, node, is_alone, turn: Arc::default() }
    }

    pub(crate) fn catalogue(&self) -> &Arc<dyn PackageCatalogue> {
        &self.catalogue
    }

    /// Where the package's directory really is.
    pub(super) fn locate(&self, package: &Package) -> Result<PathBuf> {
        self.export_root.locate("find package", Path::new(&package.outcome.output_dir))
    }

    /// Removes a package that is present. Goes on to its end although nobody waits.
    ///
    /// # Errors
    /// `Conflict` if it is not present, or cannot be reached from here, or is another's: nothing was removed then.
    /// After anything else the package is `removing`, and [`resume`](Self::resume) goes on.
    pub(crate) async fn remove(&self, package: Package, reason: String) -> Result<Package> {
        let own = self.clone();
        let work = async move {
            if package.state == PackageState::Removing {
                return own.finish(&package).await;
            }
            own.check_reach(&package).await?;
            let change = PackageChange::Doomed { reason, remover: own.node.clone() };
            let doomed = own.catalogue.change_package(&package.id, change).await?;
            own.finish(&doomed).await
        };
        tokio::spawn(work).await.unwrap_or_else(|error| Err(died(&error)))
    }

    /// Refuses what only another process could find.
    async fn check_reach(&self, package: &Package) -> Result<()> {
        let refused = |message: String, advice: &str| {
            let error = Error::new(ErrorKind::Conflict, "remove package", message);
            Err(error.with_advice(advice.to_owned()))
        };
        let directory = match self.locate(package) {
            Ok(directory) => directory,
            Err(error) if error.kind() == ErrorKind::Invalid => {
                return refused(error.message().to_owned(), "mount what is missing, or correct export_root");
            }
            Err(error) => return Err(error),
        };
        if self.is_alone {
            return Ok(());
        }
        let (id, outcome) = (package.id.clone(), package.outcome.clone());
        if on_thread(move || has_receipt(&id, &outcome, &directory)).await? {
            return Ok(());
        }
        let message = format!("{} is not on the storage of this daemon", package.outcome.ovf_path);
        refused(message, "ask the daemon that made it; GET /nodes names them")
    }

    /// Removes the files of a package that is noted as going, and notes that they are gone.
    async fn finish(&self, package: &Package) -> Result<Package> {
        let _turn = self.turn.lock().await;
        let directory = self.locate(package)?;
        let (id, outcome, beside) = (package.id.clone(), package.outcome.clone(), !package.spec.cleanup_ovf);
        let removed = on_thread(move || remove_package(&id, &outcome, beside, &directory)).await;
        let note = match removed {
            Ok(Removal::Removed) => None,
            Ok(Removal::WasGone) => Some("it was gone already".to_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => {
                return self.leave(package, &error).await;
            }
            Err(error) => return Err(error),
        };
        let gone = self.catalogue.change_package(&package.id, PackageChange::Removed { note }).await?;
        let reason = gone.reason.as_deref().unwrap_or_default();
        tracing::info!(package = %gone.id, path = %gone.outcome.ovf_path, "removed a package: {reason}");
        Ok(gone)
    }

    /// Notes that nothing of a package is its own any more.
    async fn leave(&self, package: &Package, why: &Error) -> Result<Package> {
        let change = PackageChange::Replaced { reason: why.message().to_owned() };
        self.catalogue.change_package(&package.id, change).await?;
        tracing::warn!(package = %package.id, "a package is left alone: {}", why.chain());
        let error = Error::new(ErrorKind::Conflict, "remove package", why.message().to_owned());
        Err(error.with_advice("what is there is not this package; look at the directory"))
    }

    /// Goes on with removals that were cut short here.
    pub(super) async fn resume(&self) -> Result<()> {
        let mut query =
            PackageQuery { states: vec![PackageState::Removing], limit: PAGE, ..PackageQuery::default() };
        loop {
            let page = self.catalogue.packages(&query).await?;
            for package in page.packages {
                if !self.is_alone && package.remover.as_deref() != Some(self.node.as_str()) {
                    continue;
                }
                let id = package.id.clone();
                match self.remove(package, String::new()).await {
                    Ok(_) => {}
                    // Somebody else has just come to its end.
                    Err(error) if error.kind() == ErrorKind::Conflict => {}
                    Err(error) => {
                        tracing::warn!(package = %id, "cannot remove it; will try again: {}", error.chain());
                    }
                }
            }
            match page.next {
                Some(next) => query.before = Some(next),
                None => return Ok(()),
            }
        }
    }
}

pub(super) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(died(&error)))
}

fn died(error: &tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "remove package", error.to_string())
}

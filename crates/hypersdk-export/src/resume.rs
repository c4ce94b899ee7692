//! What an earlier attempt of the same job had finished before its process died: its receipt names the job, and
//! what stands beside it, under final or partial names, holds what the receipt says.

use std::path::{Path, PathBuf};

use hypersdk_core::{ErrorKind, Outcome, Result};
use hypersdk_ova::verify::{Level, verify};

use crate::blocking::blocking;
use crate::plan::{self, Target};
use crate::publish::{lost, publish_beside_receipt};
use crate::receipt::Receipt;

/// Goes on with the publication that the receipt of this job began. `None` if there is none: then nothing of
/// this job has a final name, and the export begins anew.
///
/// # Errors
/// `Conflict` if a later attempt of the job has got that far: then this one's process has slept and lost its claim.
pub(crate) async fn resume(target: &Target, overwrite: bool) -> Result<Option<Outcome>> {
    let Ok(receipt) = Receipt::read(&target.receipt()) else { return Ok(None) };
    if receipt.job != target.job {
        return Ok(None);
    }
    if receipt.attempt > target.attempt {
        return Err(lost(target));
    }
    let (now, target) = (target, &target.of_attempt(receipt.attempt));
    let (mut whole, mut published) = (true, Vec::new());
    for (partial, final_name) in target.renames() {
        if holds(&final_name, &receipt.outcome).await {
            // Whatever was replaced has the partial name now, and must not be put back.
            remove(partial).await?;
            published.push(final_name);
        } else if !holds(&partial, &receipt.outcome).await {
            whole = false;
        }
    }
    if whole {
        let (target, now) = (target.clone(), now.clone());
        let publish = move || {
            publish_beside_receipt(&target, overwrite).inspect_err(|error| {
                // Somebody else has the name for good.
                if error.kind() == ErrorKind::Conflict {
                    let _ = now.remove_partials();
                }
            })?;
            now.remove_partials()
        };
        blocking("publish", publish).await?;
        return Ok(Some(receipt.outcome));
    }
    // Half of a publication whose other half is lost, to a full clean-up or a damaged disk.
    for name in published {
        remove(name).await?;
    }
    Ok(None)
}

/// Whether the package at `path` is the one with this outcome: its manifest is, and every byte agrees with that.
async fn holds(path: &Path, outcome: &Outcome) -> bool {
    if !path.exists() {
        return false;
    }
    let Ok(report) = verify(path, Level::Structure).await else { return false };
    let of_outcome = report.files.iter().any(|file| {
        let is_manifest = file.name.ends_with(".mf");
        is_manifest && file.digest.as_ref().is_some_and(|digest| digest.hex() == outcome.checksum)
    });
    report.is_ok() && of_outcome
}

async fn remove(path: PathBuf) -> Result<()> {
    blocking("remove", move || plan::remove(&path)).await
}

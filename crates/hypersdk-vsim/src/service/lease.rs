//! HttpNfcLease.

use super::{Answer, Reply, Request};
use crate::model::{Lease, LeaseEnd, LeasePhase};
use crate::spec::ManifestSupport;
use crate::wire::{Fault, MoRef, Struct, Value};

/// The lease of this id while its device URLs are valid.
fn ready<'a>(lease: Option<&'a Lease>, moref: &MoRef) -> Result<&'a Lease, Fault> {
    let lease = lease.ok_or_else(|| Fault::not_found(moref))?;
    match &lease.phase {
        LeasePhase::Ready => Ok(lease),
        LeasePhase::Error(fault) if fault.name == "Timedout" => Err(fault.clone()),
        LeasePhase::Initializing | LeasePhase::Done | LeasePhase::Error(_) => Err(Fault::invalid_state()),
    }
}

impl Request<'_> {
    pub(super) fn lease_progress(&self) -> Answer {
        let lease = self.this("HttpNfcLease")?;
        let percent = self.arguments().number("percent").ok_or_else(|| Fault::invalid_argument("percent"))?;
        if !(0..=100).contains(&percent) {
            return Err(Fault::invalid_argument("percent"));
        }
        self.world.renew_lease(&lease.id, percent)?;
        Ok(Reply::default())
    }

    pub(super) fn lease_complete(&self) -> Answer {
        let lease = self.this("HttpNfcLease")?;
        self.world.end_lease(&lease.id, LeaseEnd::Completed)?;
        Ok(Reply::default())
    }

    pub(super) fn lease_abort(&self) -> Answer {
        let lease = self.this("HttpNfcLease")?;
        let message = self.arguments().child("fault").and_then(|fault| fault.text("localizedMessage"));
        let fault = match message.filter(|message| !message.is_empty()) {
            Some(message) => Fault::new("RequestCanceled", message),
            None => Fault::request_canceled(),
        };
        self.world.end_lease(&lease.id, LeaseEnd::Aborted(fault))?;
        Ok(Reply::default())
    }

    pub(super) fn lease_set_checksum_type(&self) -> Answer {
        let moref = self.this("HttpNfcLease")?;
        if self.world.config.manifest == ManifestSupport::Unsupported {
            return Err(Fault::not_supported());
        }
        let mut wanted = Vec::new();
        for pair in self.arguments().all("deviceUrlsToChecksumTypes") {
            let (key, kind) = (pair.text("key").unwrap_or_default(), pair.text("value").unwrap_or_default());
            if !matches!(kind, "sha1" | "sha256") {
                return Err(Fault::invalid_argument("deviceUrlsToChecksumTypes"));
            }
            wanted.push((key.to_owned(), kind.to_owned()));
        }
        self.world.note(|state| {
            ready(state.leases.get(&moref.id), moref)?;
            let lease = state.leases.get_mut(&moref.id).ok_or_else(|| Fault::not_found(moref))?;
            if wanted.iter().any(|(key, _)| !lease.files.iter().any(|file| file.key == *key)) {
                return Err(Fault::invalid_argument("deviceUrlsToChecksumTypes"));
            }
            lease.checksums.extend(wanted);
            Ok(())
        })?;
        Ok(Reply::default())
    }

    pub(super) fn lease_get_manifest(&self) -> Answer {
        let moref = self.this("HttpNfcLease")?;
        if self.world.config.manifest == ManifestSupport::Unsupported {
            return Err(Fault::not_supported());
        }
        let entries = self.world.read(|state| {
            let lease = ready(state.leases.get(&moref.id), moref)?;
            let sent = lease.files.iter().filter_map(|file| Some((file, file.sent.as_ref()?)));
            let entry = sent.map(|(file, sums)| {
                let kind = lease.checksums.get(&file.key);
                let sum =
                    kind.and_then(
                        |kind| if kind == "sha256" { sums.sha256.as_ref() } else { sums.sha1.as_ref() },
                    );
                let disk = file.is_disk();
                Struct::new("HttpNfcLeaseManifestEntry")
                    .with("key", &file.key)
                    .with("sha1", sums.sha1.clone().unwrap_or_default())
                    .maybe("checksum", sum)
                    .maybe("checksumType", sum.and(kind))
                    .with("size", sums.size as i64)
                    .with("disk", disk)
                    .maybe("capacity", disk.then_some(file.capacity as i64))
                    .maybe("populatedSize", disk.then_some(file.populated as i64))
            });
            Ok::<_, Fault>(entry.collect::<Vec<_>>())
        })?;
        Ok(Value::list("HttpNfcLeaseManifestEntry", entries).into())
    }
}

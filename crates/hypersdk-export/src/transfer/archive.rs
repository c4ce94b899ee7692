//! An OVA package, written in one pass.
//!
//! The first file streams straight into the archive. Where streams are slower than storage, as an ESXi host's
//! are, later files are fetched meanwhile into spools beside it and joined inside the kernel when their turn
//! comes; where one stream is fast already, they wait for their turn and every byte is written once.

use std::time::Duration;

use hypersdk_core::{Error, ErrorKind, Result};
use hypersdk_ova::ova::{OvaError, OvaOptions, OvaWriter};

use super::spool::{Spooled, Spools};
use super::{Delivered, Transfer, Written, check_disk, manifest_algorithm};
use crate::blocking::blocking;
use crate::fetch::{Fetched, fetch};
use crate::meter::FileMeter;
use crate::plan::PlannedFile;

/// How often the pace of the stream into the archive is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A stream slower than this leaves storage idle enough to write a spool beside it and join it later.
const SLOW_BYTES_PER_SECOND: u64 = 150 << 20;

impl Transfer<'_> {
    pub(super) async fn write_archive(&self, files: &[PlannedFile]) -> Result<Written> {
        let path = self.target.partial_package();
        let mut options = OvaOptions::new(self.target.name.clone());
        options.algorithm = manifest_algorithm(self.spec);
        options.mtime = chrono::Utc::now().timestamp().try_into().unwrap_or_default();
        let mut writer =
            blocking("create archive", move || OvaWriter::create(&path, options).map_err(archive_error))
                .await?;

        let mut delivered = Vec::with_capacity(files.len());
        let mut spools = Spools::new(self, files);
        for (index, file) in files.iter().enumerate() {
            let arrived;
            (writer, arrived) = if spools.has(index) {
                let spooled = spools.take(index).await?;
                let joined = spools.during(0, join(file.name.clone(), writer, spooled)).await?;
                let _ = std::fs::remove_file(self.target.spool(index));
                joined
            } else {
                self.straight(index, file, writer, &mut spools).await?
            };
            delivered.push(Delivered::whole(file, arrived));
        }
        self.attest_the_rest(files, &mut delivered).await?;
        let (descriptor, warnings) = self.descriptor(files, &delivered).await?;
        let signer = self.signer.clone();
        let summary = blocking("finish archive", move || {
            let finished = match &signer {
                Some(signer) => writer.finish_signed(&descriptor, signer),
                None => writer.finish(&descriptor),
            };
            finished.map_err(archive_error)
        })
        .await?;
        Ok(Written { summary, delivered, warnings })
    }

    /// Streams a file into the archive; if that is slow, spools go on beside it.
    async fn straight(
        &self,
        index: usize,
        file: &PlannedFile,
        mut writer: OvaWriter,
        spools: &mut Spools<'_>,
    ) -> Result<(OvaWriter, Fetched)> {
        self.meter.begin(&file.name);
        writer.begin_member(&file.name).map_err(archive_error)?;
        let meter = self.meter.file(index);
        let algorithm = manifest_algorithm(self.spec);
        let arriving = self.meter.file(index);
        let stream = fetch(self.session, file, arriving, writer, self.shape()?, algorithm, self.context);
        let mut stream = std::pin::pin!(stream);
        let slow = spools.during(1, async {
            tokio::select! {
                done = &mut stream => done.map(Some),
                () = until_slow(&meter) => Ok(None),
            }
        });
        let (writer, fetched) = match slow.await? {
            Some(done) => done,
            None => {
                spools.want();
                spools.during(1, stream).await?
            }
        };
        check_disk(file, &fetched)?;
        end_member(writer, fetched).await
    }
}

/// Returns when a stretch of the stream was slow; never, if none is.
async fn until_slow(meter: &FileMeter) {
    let mut seen = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let bytes = meter.bytes();
        let pace = bytes.saturating_sub(seen) * 1000 / LOOK.as_millis() as u64;
        if pace < SLOW_BYTES_PER_SECOND {
            return;
        }
        seen = bytes;
    }
}

async fn end_member(mut writer: OvaWriter, fetched: Fetched) -> Result<(OvaWriter, Fetched)> {
    blocking("end member", move || {
        writer.end_member(fetched.manifest_digest.clone()).map_err(archive_error)?;
        Ok((writer, fetched))
    })
    .await
}

/// Appends a spool to the archive.
async fn join(name: String, mut writer: OvaWriter, spooled: Spooled) -> Result<(OvaWriter, Fetched)> {
    blocking("join spool", move || {
        let Spooled { file, fetched } = spooled;
        writer.append_file(&name, &file, fetched.manifest_digest.clone()).map_err(archive_error)?;
        Ok((writer, fetched))
    })
    .await
}

fn archive_error(error: OvaError) -> Error {
    match error {
        OvaError::Io(error) => Error::io("write archive", error),
        other => Error::new(ErrorKind::Internal, "write archive", other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::meter::Meter;

    /// Whether spools begin within ten seconds beside a stream of this pace.
    async fn spools_begin(bytes_per_second: u64) -> bool {
        let meter = Meter::new([("disk-0.vmdk".to_owned(), u64::MAX)]).file(0);
        let arriving = async {
            for look in 1.. {
                meter.record(bytes_per_second * look / 10, 0);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            waited = timeout(Duration::from_secs(10), until_slow(&meter)) => waited.is_ok(),
            () = arriving => unreachable!("it goes on for ever"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn further_streams_are_opened_beside_a_slow_one_and_none_beside_a_fast_one() {
        assert!(spools_begin(100 << 20).await);
        assert!(!spools_begin(400 << 20).await);
    }
}

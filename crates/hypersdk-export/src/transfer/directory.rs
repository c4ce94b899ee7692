//! An OVF package: a directory of files, fetched in parallel.

use std::fs::File;
use std::path::Path;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use hypersdk_core::{Error, ErrorKind, Result};
use hypersdk_ova::package::{self, DirectoryError, finish_directory, finish_signed_directory};

use super::{Transfer, Written, check_disk, manifest_algorithm};
use crate::blocking::blocking;
use crate::fetch::{Fetched, fetch};
use crate::plan::PlannedFile;

impl Transfer<'_> {
    pub(super) async fn write_directory(&self, files: &[PlannedFile]) -> Result<Written> {
        let directory = self.target.partial_ovf_directory();
        std::fs::create_dir(&directory)
            .map_err(|error| Error::io(format!("create {}", directory.display()), error))?;
        let fetches: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(index, file)| self.fetch_file(index, file, &directory).boxed())
            .collect();
        let mut fetched: Vec<Fetched> = stream::iter(fetches).buffered(self.workers).try_collect().await?;
        self.attest_the_rest(files, &mut fetched).await?;

        let (descriptor, warnings) = self.descriptor(files, &fetched).await?;
        let name = self.target.name.clone();
        let algorithm = manifest_algorithm(self.spec);
        let packaged = files
            .iter()
            .zip(&fetched)
            .map(|(file, fetched)| package::PackagedFile {
                name: file.name.clone(),
                size: fetched.size_bytes,
                digest: fetched.manifest_digest.clone(),
            })
            .collect();
        let signer = self.signer.clone();
        let summary = blocking("write descriptor", move || {
            let finished = match &signer {
                Some(signer) => {
                    finish_signed_directory(&directory, &name, &descriptor, packaged, algorithm, signer)
                }
                None => finish_directory(&directory, &name, &descriptor, packaged, algorithm),
            };
            finished.map_err(|error| match error {
                DirectoryError::Io { name, source } => Error::io(format!("write {name}"), source),
                other => Error::new(ErrorKind::Internal, "write descriptor", other.to_string()),
            })
        })
        .await?;
        Ok(Written { summary, fetched, warnings })
    }

    async fn fetch_file(&self, index: usize, file: &PlannedFile, directory: &Path) -> Result<Fetched> {
        let path = directory.join(&file.name);
        let output = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| Error::io(format!("create {}", path.display()), error))?;
        self.meter.begin(&file.name);
        let shape = self.shape_in(&path)?;
        let algorithm = manifest_algorithm(self.spec);
        let meter = self.meter.file(index);
        let (output, fetched) =
            fetch(self.session, file, meter, output, shape, algorithm, self.context).await?;
        check_disk(file, &fetched)?;
        blocking("sync", move || {
            output.sync_all().map_err(|error| Error::io(format!("sync {}", path.display()), error))
        })
        .await?;
        Ok(fetched)
    }
}

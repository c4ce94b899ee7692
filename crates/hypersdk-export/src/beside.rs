//! The OVF directory that a job may want to keep beside its OVA.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use hypersdk_core::{Error, ErrorKind, Result};
use hypersdk_ova::ova::scan;

use crate::blocking::blocking;
use crate::plan::Target;
use crate::publish::sync_directory;

/// Copies the archive's members into a directory of their own, inside the kernel; where the file system can, the
/// copies share their blocks with the archive.
pub(crate) async fn unpack(target: &Target) -> Result<()> {
    let (archive, directory) = (target.partial_package(), target.partial_ovf_directory());
    blocking("unpack archive", move || {
        copy_members(&archive, &directory)
            .map_err(|error| Error::io(format!("write {}", directory.display()), error))?
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "unpack archive", "its headers do not read"))?;
        sync_directory(&directory)
    })
    .await
}

fn copy_members(archive: &Path, directory: &Path) -> io::Result<Option<()>> {
    let mut archive = File::open(archive)?;
    let found = scan(&archive)?;
    if found.fault.is_some() {
        return Ok(None);
    }
    std::fs::create_dir(directory)?;
    for member in found.members {
        archive.seek(SeekFrom::Start(member.data_offset()))?;
        // Names were checked when the archive was written by this very job.
        let mut copy = File::create_new(directory.join(&member.name))?;
        io::copy(&mut (&archive).take(member.size), &mut copy)?;
        copy.sync_all()?;
    }
    Ok(Some(()))
}

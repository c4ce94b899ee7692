//! What an export will write and where, decided before the first byte moves.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use hypersdk_core::{
    ArchiveCompression, Error, ErrorKind, FileKind, JobId, JobSpec, PackageFormat, Result, SourceFile,
};
use hypersdk_ova::package::MAX_CHUNKS;

/// The longest package name; with a file's own name it still fits a tar header's 100 bytes.
const NAME_MAX: usize = 60;

/// The word in the name of the file that remembers a power state.
const POWER_MARK: &str = "was-running";

/// Where a package goes: its final name, and the names it is built under.
///
/// Everything unfinished ends in `.partial` and carries the job's id and the number of the attempt, so that a later
/// attempt of the same job finds and removes what earlier ones left, and nothing else. An attempt whose process only
/// slept may still be writing when the next one has begun: they share no file.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) directory: PathBuf,
    pub(crate) name: String,
    pub(crate) format: PackageFormat,
    /// The archive is compressed as a whole.
    pub(crate) wrapped: Option<ArchiveCompression>,
    /// An OVF directory stays beside the archive.
    beside: bool,
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
}

impl Target {
    pub(crate) fn new(
        directory: PathBuf,
        name: String,
        format: PackageFormat,
        (job, attempt): (JobId, u32),
    ) -> Self {
        Target { directory, name, format, wrapped: None, beside: false, job, attempt }
    }

    /// The same of an earlier attempt.
    pub(crate) fn of_attempt(&self, attempt: u32) -> Self {
        Target { attempt, ..self.clone() }
    }

    /// The finished package: an OVA file or the directory of an OVF package.
    pub(crate) fn package(&self) -> PathBuf {
        if self.format.is_archive() {
            self.directory.join(format!("{}.{}", self.name, self.archive_ending()))
        } else {
            self.ovf_directory()
        }
    }

    /// The same, for an archive that is compressed as a whole.
    pub(crate) fn wrapped(self, compression: Option<ArchiveCompression>) -> Self {
        Target { wrapped: compression.filter(|_| self.format.is_archive()), ..self }
    }

    /// The same, for an archive beside which an OVF directory may stay.
    pub(crate) fn beside(self, stays: bool) -> Self {
        Target { beside: stays && self.format.is_archive(), ..self }
    }

    /// From partial to final names, in the order in which they are given: the package comes last.
    pub(crate) fn renames(&self) -> Vec<(PathBuf, PathBuf)> {
        let mut renames = Vec::new();
        if self.beside {
            renames.push((self.partial_ovf_directory(), self.ovf_directory()));
        }
        renames.push((self.partial_result(), self.package()));
        renames
    }

    /// What a person types to get an importable archive, if this one is compressed as a whole.
    pub(crate) fn unwrap_command(&self) -> Option<String> {
        let package = self.package();
        match self.wrapped? {
            ArchiveCompression::Gzip => Some(format!("gunzip -k {}", package.display())),
            ArchiveCompression::Zstd => Some(format!("unzstd {}", package.display())),
        }
    }

    fn archive_ending(&self) -> &'static str {
        match self.wrapped {
            None => "ova",
            Some(ArchiveCompression::Gzip) => "ova.gz",
            Some(ArchiveCompression::Zstd) => "ova.zst",
        }
    }

    /// The package as it is to be renamed: the partial package, or what it was compressed to.
    pub(crate) fn partial_result(&self) -> PathBuf {
        match self.wrapped {
            None => self.partial_package(),
            Some(_) => self.partial(self.archive_ending()),
        }
    }

    pub(crate) fn ovf_directory(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    pub(crate) fn receipt(&self) -> PathBuf {
        self.directory.join(format!("{}.receipt.json", self.name))
    }

    pub(crate) fn partial_package(&self) -> PathBuf {
        if self.format.is_archive() { self.partial("ova") } else { self.partial_ovf_directory() }
    }

    pub(crate) fn partial_ovf_directory(&self) -> PathBuf {
        self.partial("ovf")
    }

    pub(crate) fn partial_receipt(&self) -> PathBuf {
        self.partial("receipt")
    }

    /// Says that this job switched the VM off, which was running before: of no attempt alone.
    pub(crate) fn power_mark(&self) -> PathBuf {
        self.directory.join(format!("{}.{POWER_MARK}.{}.partial", self.name, self.job))
    }

    /// Where it is noted which files of a directory are finished.
    pub(crate) fn journal(&self) -> PathBuf {
        self.partial("journal")
    }

    /// Where the `index`th file waits until the archive is ready for it.
    pub(crate) fn spool(&self, index: usize) -> PathBuf {
        self.partial(&format!("spool-{index}"))
    }

    fn partial(&self, what: &str) -> PathBuf {
        // An at sign is in no package's name and in no job's id.
        self.directory.join(format!("{}.{what}@{}@{}.partial", self.name, self.job, self.attempt))
    }

    /// Removes whatever this attempt and earlier ones of its job left unfinished in the directory, under any package
    /// name, but for what the job has to remember.
    pub(crate) fn remove_partials(&self) -> Result<()> {
        remove_partials(&self.directory, &self.job, self.attempt)
    }
}

/// Removes what the attempts of a job up to `last` left unfinished in a directory.
pub(crate) fn remove_partials(directory: &Path, job: &JobId, last: u32) -> Result<()> {
    let read = |error| Error::io(format!("read directory {}", directory.display()), error);
    for entry in std::fs::read_dir(directory).map_err(read)? {
        let entry = entry.map_err(read)?;
        let left_by = entry.file_name().to_str().and_then(|name| left_by(job, name));
        if left_by.is_some_and(|attempt| attempt <= last) {
            remove(&out_of_reach(entry.path())?)?;
        }
    }
    Ok(())
}

/// The attempt of the job that left `name` unfinished, if one did.
fn left_by(job: &JobId, name: &str) -> Option<u32> {
    let mut parts = name.splitn(3, '@').skip(1);
    let (of, rest) = (parts.next()?, parts.next()?);
    let (attempt, _) = rest.split_once(".partial")?;
    if of == job.as_str() { attempt.parse().ok() } else { None }
}

/// Takes a directory's name away, so that a later attempt which makes it its own has either all of it or nothing.
fn out_of_reach(path: PathBuf) -> Result<PathBuf> {
    const DOOMED: &str = ".removed";
    if !path.is_dir() || path.extension().is_some_and(|ending| *ending == DOOMED[1..]) {
        return Ok(path);
    }
    let mut doomed = path.clone().into_os_string();
    doomed.push(DOOMED);
    let doomed = PathBuf::from(doomed);
    // A directory that another removal was at when its process died.
    remove(&doomed)?;
    match std::fs::rename(&path, &doomed) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()), error))
        }
        _ => Ok(doomed),
    }
}

/// Removes a file, or a directory with all that is in it, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|error| Error::io(format!("remove {}", path.display()), error))
}

/// A source file and its place in the package.
#[derive(Debug, Clone)]
pub(crate) struct PlannedFile {
    pub(crate) source: SourceFile,
    pub(crate) name: String,
    /// Its share of the work, in bytes of disk or file.
    pub(crate) weight: u64,
}

/// Chooses and names the files for the package, in the source's order.
pub(crate) fn plan_files(
    package: &str,
    format: PackageFormat,
    files: &[SourceFile],
) -> Result<Vec<PlannedFile>> {
    if !files.iter().any(|file| file.kind == FileKind::Disk) {
        return Err(Error::new(ErrorKind::Unsupported, "plan the package", "the source offers no disk")
            .with_advice("a VM without disks has nothing to export; check the VM's hardware"));
    }
    let mut taken = HashSet::new();
    let mut planned = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        if format == PackageFormat::Vmdk && file.kind != FileKind::Disk {
            continue;
        }
        let own = own_name(file, format);
        let mut name = format!("{package}-{}", portable_name(&own, 36));
        if !taken.insert(name.clone()) {
            name = format!("{package}-{index}-{}", portable_name(&own, 32));
            taken.insert(name.clone());
        }
        let weight = file.capacity_bytes.or(file.size_bytes).or(file.estimate_bytes).unwrap_or(1).max(1);
        planned.push(PlannedFile { source: file.clone(), name, weight });
    }
    Ok(planned)
}

/// The file's name with the ending of what it becomes.
fn own_name(file: &SourceFile, format: PackageFormat) -> String {
    match (file.kind, format) {
        (FileKind::Disk, PackageFormat::Qcow2 | PackageFormat::Raw) => {
            let stem = file.name.strip_suffix(".vmdk").unwrap_or(&file.name);
            format!("{stem}.{}", format.as_str())
        }
        _ => file.name.clone(),
    }
}

/// The package's name: what was asked for, or the VM's name in portable characters.
pub(crate) fn package_name(asked: Option<&str>, vm_name: &str) -> String {
    portable_name(asked.unwrap_or(vm_name), NAME_MAX)
}

/// `text` in the characters every file system and tar reader agrees on.
fn portable_name(text: &str, max: usize) -> String {
    let name: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' })
        .take(max)
        .collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "vm".to_owned() } else { name.to_owned() }
}

/// Refuses an output directory that is missing, is no directory, or cannot be written to.
pub(crate) fn check_directory(directory: &Path) -> Result<()> {
    let operation = || format!("check output_dir {}", directory.display());
    let metadata = std::fs::metadata(directory).map_err(|error| {
        Error::io(operation(), error).with_advice("create the directory, or name one that exists")
    })?;
    if !metadata.is_dir() {
        return Err(Error::new(ErrorKind::Invalid, operation(), "it is not a directory"));
    }
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).map_err(
        |error| {
            Error::io(operation(), error.into())
                .with_advice("give the daemon's user the right to write there")
        },
    )
}

/// Refuses chunks where there can be none, or would be more than importers open.
pub(crate) fn check_chunks(spec: &JobSpec, files: &[PlannedFile]) -> Result<()> {
    let Some(chunk_bytes) = spec.chunk_size else { return Ok(()) };
    let refuse = |what: String| Error::new(ErrorKind::Invalid, "check chunk_size", what);
    if spec.format != PackageFormat::Ovf {
        let format = spec.format.as_str();
        return Err(refuse(format!("disks are cut in chunks in an OVF directory, not in {format}"))
            .with_advice("set format to ovf, or leave chunk_size out"));
    }
    // What does not deflate takes a little more than the disk's capacity.
    let most = |file: &PlannedFile| file.weight + file.weight / 64;
    let disks = || files.iter().filter(|file| file.source.kind == FileKind::Disk);
    let chunks: u64 = disks().map(|file| most(file).div_ceil(chunk_bytes.get())).sum();
    if chunks > MAX_CHUNKS {
        // Each disk's last chunk may be a short one.
        let whole = MAX_CHUNKS - (disks().count() as u64).min(MAX_CHUNKS - 1);
        let enough = (disks().map(most).sum::<u64>() / whole + 1).next_multiple_of(1 << 20);
        return Err(refuse(format!(
            "chunks of {chunk_bytes} bytes may be {chunks} files, and importers open {MAX_CHUNKS}"
        ))
        .with_advice(format!("set chunk_size to {enough} or more")));
    }
    Ok(())
}

/// Refuses to begin what cannot fit. Sources that give no estimate are let through.
pub(crate) fn check_space<'a>(
    directory: &Path,
    files: impl IntoIterator<Item = &'a PlannedFile>,
) -> Result<()> {
    let needed: u64 =
        files.into_iter().filter_map(|file| file.source.size_bytes.or(file.source.estimate_bytes)).sum();
    let stat = rustix::fs::statvfs(directory)
        .map_err(|error| Error::io(format!("read free space of {}", directory.display()), error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if needed > free {
        return Err(Error::new(
            ErrorKind::NoSpace,
            format!("check output_dir {}", directory.display()),
            format!("the export may need {needed} bytes and {free} are free"),
        )
        .with_advice("free some space, or choose another output_dir"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str) -> SourceFile {
        SourceFile {
            key: name.to_owned(),
            name: name.to_owned(),
            kind: FileKind::Disk,
            capacity_bytes: Some(1 << 20),
            size_bytes: None,
            estimate_bytes: Some(1 << 20),
        }
    }

    #[test]
    fn names_are_portable_unique_and_fit_a_tar_header() {
        let package =
            package_name(None, "Büro/../Server 01 (prod) with a very long name that goes on and on and on");
        let long = "x".repeat(80);
        let files = plan_files(
            &package,
            PackageFormat::Ova,
            &[disk("disk-0.vmdk"), disk("disk-0.vmdk"), disk(&long)],
        )
        .unwrap();
        let names: HashSet<_> = files.iter().map(|file| file.name.clone()).collect();
        assert_eq!(names.len(), 3);
        for name in names {
            assert!(name.len() <= 100 && name.is_ascii() && !name.contains(['/', ' ']), "{name}");
        }
    }

    #[test]
    fn a_name_cannot_leave_the_directory_or_hide() {
        assert_eq!(package_name(Some("../../etc/passwd"), "x"), "_.._etc_passwd");
        assert_eq!(package_name(Some(".."), "x"), "vm");
        assert_eq!(package_name(None, ""), "vm");
    }

    #[test]
    fn only_leftovers_of_this_job_and_of_no_later_attempt_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let target = |job: &str, attempt| {
            let job = (job.parse().unwrap(), attempt);
            Target::new(dir.path().to_owned(), "web".into(), PackageFormat::Ova, job)
        };
        for (job, attempt) in [("a", 1), ("a", 2), ("a", 3), ("a.1", 1), ("b", 1), ("b.a", 1)] {
            std::fs::write(target(job, attempt).partial_package(), "x").unwrap();
        }
        std::fs::create_dir(target("a", 1).partial_ovf_directory()).unwrap();
        target("a", 2).remove_partials().unwrap();
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected = ["a.1@1", "a@3", "b.a@1", "b@1"].map(|job| format!("web.ova@{job}.partial"));
        assert_eq!(left, expected);
    }

    #[test]
    fn chunks_are_refused_where_there_can_be_none_or_too_many() {
        let mut spec = JobSpec::new("/DC0/vm/web".parse().unwrap(), "/srv");
        spec.chunk_size = std::num::NonZeroU64::new(1 << 20);
        let files = |capacity| {
            let disk = SourceFile { capacity_bytes: Some(capacity), ..disk("disk-0.vmdk") };
            plan_files("web", PackageFormat::Ovf, &[disk]).unwrap()
        };
        let error = check_chunks(&spec, &files(1 << 30)).unwrap_err();
        assert!(error.to_string().contains("ova") && error.advice().unwrap().contains("ovf"), "{error}");
        spec.format = PackageFormat::Ovf;
        check_chunks(&spec, &files(1 << 30)).unwrap();
        let large = files(100 << 30);
        let advice = check_chunks(&spec, &large).unwrap_err().advice().unwrap().to_owned();
        let enough = advice.split(' ').find_map(|word| word.parse().ok()).unwrap();
        spec.chunk_size = Some(enough);
        check_chunks(&spec, &large).unwrap();
    }

    #[test]
    fn what_cannot_fit_is_refused_before_it_begins() {
        let mut file = disk("disk-0.vmdk");
        file.estimate_bytes = Some(u64::MAX / 4);
        let files = plan_files("web", PackageFormat::Ova, &[file]).unwrap();
        let error = check_space(Path::new("/"), &files).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.advice().is_some());
    }
}

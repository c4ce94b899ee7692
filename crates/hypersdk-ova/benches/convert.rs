//! A streamOptimized disk of ordinary content turned into other formats: ours against `qemu-img`.
//!
//! Wall time, the best of a few runs, with everything in the page cache. `qemu-img` reads a
//! finished file; ours is pushed the same bytes as they would come from a host.
#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypersdk_ova::convert::{DiskConverter, DiskTarget};
use hypersdk_ova::digest::{DigestAlgorithm, hash_file};
use hypersdk_ova::vmdk::{CompressionLevel, DiskOptions, GRAIN_BYTES, GrainPool, StreamWriter};

const DISK_BYTES: usize = 1 << 30;
const RUNS: usize = 3;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (vmdk, image) = (folder.path().join("disk.vmdk"), folder.path().join("image"));
    let populated = make_disk(&vmdk)?;
    let pool = Arc::new(GrainPool::on_all_cores()?);
    println!(
        "{} MiB of files from /usr in {} MiB of VMDK, {} threads",
        populated >> 20,
        fs::metadata(&vmdk)?.len() >> 20,
        pool.threads()
    );
    let compress = |level| DiskTarget::Qcow2 { compress: CompressionLevel::new(level) };
    for (name, target) in [
        ("raw", DiskTarget::Raw),
        ("qcow2", DiskTarget::Qcow2 { compress: None }),
        ("qcow2, compressed, level 1", compress(1)),
        ("qcow2, compressed, level 6", compress(6)),
    ] {
        let best = fastest(RUNS, || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&image)?;
            let mut converter = DiskConverter::new(file, target, pool.clone())?;
            let mut stream = File::open(&vmdk)?;
            let mut piece = vec![0; 256 * 1024];
            loop {
                match stream.read(&mut piece)? {
                    0 => break,
                    length => converter.push(&piece[..length])?,
                }
            }
            converter.finish().map_err(|(error, _)| error)?;
            Ok(())
        })?;
        report("ours", name, best, &image)?;
    }
    let digest = fastest(RUNS, || Ok(hash_file(&image, DigestAlgorithm::Sha256).map(drop)?))?;
    report("ours", "SHA-256 of the last one", digest, &image)?;
    for (name, options) in [
        ("raw", &["-O", "raw"][..]),
        ("qcow2", &["-O", "qcow2"]),
        ("qcow2, compressed", &["-O", "qcow2", "-c"]),
    ] {
        let runs = if name.contains("compressed") { 1 } else { RUNS };
        let best = fastest(runs, || qemu_img(options, &vmdk, &image))?;
        report("qemu-img", name, best, &image)?;
    }
    Ok(())
}

fn report(who: &str, what: &str, time: Duration, image: &Path) -> Result<()> {
    let rate = DISK_BYTES as f64 / 1e6 / time.as_secs_f64();
    let used = (fs::metadata(image)?.blocks() * 512) >> 20;
    println!("{who:>9}  {what:<27} {:6.2} s  {rate:6.0} MB/s of disk  {used:5} MiB used", time.as_secs_f64());
    Ok(())
}

fn fastest(runs: usize, mut run: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn qemu_img(options: &[&str], vmdk: &Path, image: &Path) -> Result<()> {
    let _ = fs::remove_file(image);
    let status = Command::new("qemu-img")
        .args(["convert", "-f", "vmdk"])
        .args(options)
        .args::<_, &OsStr>([vmdk.as_ref(), image.as_ref()])
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("qemu-img: {status}").into()) }
}

/// Fills a disk with files from /usr, one behind the other; gives how many bytes there were.
fn make_disk(path: &Path) -> Result<usize> {
    let mut writer = StreamWriter::new(File::create(path)?, &DiskOptions::new(DISK_BYTES as u64))?;
    let mut folders = vec![std::path::PathBuf::from("/usr")];
    let (mut grain, mut index) = (Vec::with_capacity(GRAIN_BYTES), 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)?.flatten() {
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            }
            if !kind.is_file() {
                continue;
            }
            let Ok(mut file) = File::open(entry.path()) else { continue };
            while (&mut file).take((GRAIN_BYTES - grain.len()) as u64).read_to_end(&mut grain)? > 0 {
                if grain.len() == GRAIN_BYTES {
                    writer.write_raw(index, &grain)?;
                    grain.clear();
                    index += 1;
                }
                if index as usize == DISK_BYTES / GRAIN_BYTES {
                    writer.finish()?;
                    return Ok(DISK_BYTES);
                }
            }
        }
    }
    writer.finish()?;
    Ok(index as usize * GRAIN_BYTES)
}

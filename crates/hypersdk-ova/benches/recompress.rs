//! Deflating a disk anew on all cores, against zlib (Python's) deflating the same grains on one.
//!
//! `cargo bench -p hypersdk-ova --bench recompress [-- MIB]`; needs tar and python3.
//! The content is an archive of `/usr/bin` and `/usr/lib`. zlib is only timed deflating; ours
//! also parses, inflates, checks and writes.
#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use hypersdk_ova::vmdk::{
    CompressionLevel, DiskOptions, GRAIN_BYTES, GrainPool, RecompressOptions, Recompressor, StreamInspector,
    StreamWriter,
};

const ZLIB: &str = "
import sys, time, zlib
size, spent, cpu = 0, 0.0, 0.0
with open(sys.argv[1], 'rb') as raw:
    while grain := raw.read(65536):
        if grain.count(0) < len(grain):
            begun, cpu_begun = time.perf_counter(), time.process_time()
            size += len(zlib.compress(grain, int(sys.argv[2])))
            spent, cpu = spent + time.perf_counter() - begun, cpu + time.process_time() - cpu_begun
print(spent, cpu, size)
";

/// Takes the disk written, checks it, and counts what its grains take.
struct Checked(StreamInspector);

impl Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    wall: f64,
    cpu: f64,
    bytes: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(()); // Built and run by the test command.
    }
    let mib = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1024);
    let folder = tempfile::tempdir()?;
    let (raw, vmdk) = (folder.path().join("raw"), folder.path().join("disk.vmdk"));
    let bytes = prepare(&raw, &vmdk, mib << 20)?;
    let pool = Arc::new(GrainPool::on_all_cores()?);
    println!("{} MiB raw, {} threads", bytes >> 20, pool.threads());
    println!("level     zlib, one core              ours                  faster   size");
    for level in [1, 6, 9] {
        let ours = ours(&vmdk, level, &pool)?;
        let zlib = zlib(&raw, level)?;
        println!(
            "{level}  {:7.2} s {:7.2} cpu s   {:7.2} s {:7.2} cpu s   {:5.2} x  {:.4}",
            zlib.wall,
            zlib.cpu,
            ours.wall,
            ours.cpu,
            zlib.wall / ours.wall,
            ours.bytes as f64 / zlib.bytes as f64
        );
    }
    Ok(())
}

/// Writes the raw content and a quickly deflated disk of it.
fn prepare(raw: &Path, vmdk: &Path, limit: u64) -> Result<u64, Box<dyn Error>> {
    let mut tar = Command::new("tar")
        .args(["--create", "--file=-", "/usr/bin", "/usr/lib"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = tar.stdout.take().ok_or("tar has no output")?;
    let bytes = io::copy(&mut output.take(limit), &mut File::create(raw)?)?;
    tar.wait()?;
    let level = CompressionLevel::new(1).ok_or("no such level")?;
    let options = DiskOptions { level, ..DiskOptions::new(bytes.next_multiple_of(512)) };
    let mut writer = StreamWriter::new(BufWriter::new(File::create(vmdk)?), &options)?;
    for (index, grain) in (0..).zip(fs::read(raw)?.chunks(GRAIN_BYTES)) {
        writer.write_raw(index, grain)?;
    }
    writer.finish()?;
    Ok(bytes)
}

fn ours(vmdk: &Path, level: u8, pool: &Arc<GrainPool>) -> Result<Measured, Box<dyn Error>> {
    let (begun, cpu_begun) = (Instant::now(), cpu_seconds()?);
    let level = CompressionLevel::new(level).ok_or("no such level")?;
    let output = Checked(StreamInspector::new());
    let mut recompressor = Recompressor::new(output, Arc::clone(pool), RecompressOptions::new(level));
    let mut file = File::open(vmdk)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => recompressor.push(&buffer[..length])?,
        }
    }
    let disk = recompressor.finish().map_err(|(error, _)| error)?;
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds()? - cpu_begun);
    Ok(Measured { wall, cpu, bytes: disk.output.0.finish()?.compressed_bytes })
}

fn zlib(raw: &Path, level: u8) -> Result<Measured, Box<dyn Error>> {
    let output = Command::new("python3").args(["-c", ZLIB]).arg(raw).arg(level.to_string()).output()?;
    let printed = String::from_utf8(output.stdout)?;
    match printed.split_whitespace().collect::<Vec<_>>()[..] {
        [wall, cpu, bytes] => Ok(Measured { wall: wall.parse()?, cpu: cpu.parse()?, bytes: bytes.parse()? }),
        _ => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

/// What all threads of this process have spent: fields 14 and 15 of proc_pid_stat(5), in ticks of
/// 10 ms.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().ok_or("no fields")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / 100.0)
}

//! What compressing an export takes without us: zlib, one thread, each grain as it comes.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::download;
use super::lab::Lab;
use super::lease::Lease;
use super::series::Sample;
use super::simulator::CONTENT;

/// Downloads a disk, deflates its grains anew with zlib (C, through Python's standard library), hashes and
/// writes them, and syncs. It spares itself making new grain tables, which only favours it.
const SCRIPT: &str = r#"
import hashlib, json, os, ssl, struct, sys, time, urllib.request, zlib
url, path, level = sys.argv[1], sys.argv[2], int(sys.argv[3])
begun, cpu, deflating = time.perf_counter(), os.times(), 0.0
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))
answer, out, sums = opener.open(url), open(path, "xb", buffering=1 << 20), hashlib.sha256()

def take(count):
    data = answer.read(count) if count else b""
    if len(data) < count:
        sys.exit("the stream ends early")
    return data

def put(data):
    sums.update(data)
    out.write(data)

head = take(512)
put(head + take((struct.unpack_from("<Q", head, 64)[0] - 1) * 512))
while True:
    sector = take(512)
    value, size, kind = struct.unpack_from("<QII", sector)
    if size:
        payload = (sector[12:] + take(-(-(12 + size) // 512) * 512 - 512))[:size]
        raw = zlib.decompress(payload)
        before = time.perf_counter()
        packed = zlib.compress(raw, level)
        deflating += time.perf_counter() - before
        put((struct.pack("<QI", value, len(packed)) + packed).ljust(-(-(12 + len(packed)) // 512) * 512, b"\0"))
    else:
        put(sector + take(value * 512))
        if kind == 0:
            break
out.flush()
os.fsync(out.fileno())
now = os.times()
with open("/proc/self/io") as io:
    written = next(int(line.split()[1]) for line in io if line.startswith("write_bytes"))
print(json.dumps({
    "wall": time.perf_counter() - begun, "user": now.user - cpu.user, "system": now.system - cpu.system,
    "written": written, "bytes": out.tell(), "deflating": deflating, "zlib": zlib.ZLIB_RUNTIME_VERSION}))
"#;

/// What zlib took.
#[derive(Debug)]
pub(super) struct Zlib {
    pub(super) sample: Sample,
    /// Seconds inside zlib's deflate alone.
    pub(super) deflating: f64,
    /// zlib's version.
    pub(super) version: String,
}

/// Measures the machine [`CONTENT`] at this level.
pub(super) async fn zlib(lab: &Lab, level: u8) -> Result<Zlib> {
    lab.empty()?;
    let lease = Lease::open(&lab.simulator.access, CONTENT).await?;
    let child = Command::new("python3")
        .args(["-c", SCRIPT, &lease.url])
        .arg(lab.out().join("disk.vmdk"))
        .arg(level.to_string())
        .stderr(Stdio::inherit())
        .output()
        .context("start python3")?;
    if !child.status.success() {
        bail!("the download with zlib ended with {}", child.status);
    }
    lease.complete().await?;
    let told = serde_json::from_slice(&child.stdout)?;
    Ok(Zlib {
        sample: download::told_sample(&told)?,
        deflating: told["deflating"].as_f64().context("deflating")?,
        version: told["zlib"].as_str().unwrap_or_default().to_owned(),
    })
}

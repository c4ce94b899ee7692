//! A daemon with nothing to do: how soon it is there, and what it takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::super::lab::Lab;
use super::super::report::{Check, Report};
use super::{IDLE_CORE, IDLE_MIB, START_MS, start};

const STARTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);
/// What a start leaves to be done is not idleness.
const SETTLE: Duration = Duration::from_secs(3);
const MIB: f64 = 1_048_576.0;

pub(super) async fn measure(report: &mut Report, lab: &Lab, home: &Path, seconds: u64) -> Result<()> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(until_it_answers(lab, home)?);
    }
    starts.sort_by(f64::total_cmp);
    report.checks.push(Check::at_most("ms until it answers, median", starts[STARTS / 2], START_MS));
    report.ratio("ms until it answers, longest", starts[STARTS - 1]);

    let daemon = start(lab, home)?;
    tokio::time::sleep(SETTLE).await;
    let (before, begun) = (daemon.usage()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (used, wall) = (daemon.usage()? - before, begun.elapsed().as_secs_f64());
    let memory = daemon.resident()? as f64 / MIB;
    daemon.stop()?;
    report.checks.push(Check::at_most("idle: MiB resident", memory, IDLE_MIB));
    report.checks.push(Check::at_most("idle: share of a core", (used.user + used.system) / wall, IDLE_CORE));
    Ok(())
}

/// Milliseconds from its start to its first answer.
fn until_it_answers(lab: &Lab, home: &Path) -> Result<f64> {
    // A port that is free, as it was just let go of.
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let begun = Instant::now();
    let mut child = Command::new(&lab.hypervisord)
        .arg("--config")
        .arg(home.join("hypersdk.yaml"))
        .arg("--addr")
        .arg(address.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start the daemon")?;
    let answered = answered(address, begun);
    let millis = begun.elapsed().as_secs_f64() * 1000.0;
    if let Err(error) = answered {
        _ = child.kill();
        _ = child.wait();
        return Err(error.context("the daemon did not answer"));
    }
    kill_process(Pid::from_raw(child.id().try_into()?).context("a process id")?, Signal::TERM)?;
    ensure!(child.wait()?.success(), "the daemon did not end in order");
    Ok(millis)
}

/// It listens before it can answer, so the first connection that is taken also gets the first answer.
fn answered(address: SocketAddr, begun: Instant) -> Result<()> {
    let mut connection = loop {
        match TcpStream::connect(address) {
            Ok(connection) => break connection,
            Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => std::thread::park_timeout(Duration::from_millis(1)),
        }
    };
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Ok(())
}

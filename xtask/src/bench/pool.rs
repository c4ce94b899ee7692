//! `cargo xtask bench pool`: what it costs to log in for each piece of work, against sessions that are kept.
#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use hypersdk_core::{ConnectionStats, Provider, VmId};
use hypersdk_vsim::{Event, Vsim};
use hypersdk_vsphere::{PoolConfig, VsphereConfig, VsphereProvider};
use serde_json::{Value, json};

/// SOAP calls that a job is about: its power state and its descriptor.
const CALLS: u32 = 2;
/// The most a pool may cost of what logging in each time costs, beyond the calls themselves.
const OVERHEAD: f64 = 0.5;
/// The least share of jobs that find a session.
const REUSE: f64 = 0.95;

/// What to measure.
#[derive(Args, Clone)]
pub(crate) struct PoolOptions {
    /// Short jobs: power state and descriptor of a VM
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// Jobs at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    at_a_time: u32,
    /// Milliseconds that the simulator takes for each SOAP call
    #[arg(long, default_value_t = 20)]
    delay: u64,
    /// The pool's max_connections [default: as many as jobs at a time]
    #[arg(long)]
    max_connections: Option<u32>,
    /// Only print; a missed bound is no failure
    #[arg(long)]
    no_gate: bool,
}

/// One way of doing all jobs.
struct Measured {
    name: String,
    wall: Duration,
    logins: u64,
    stats: ConnectionStats,
}

impl Measured {
    /// Milliseconds for each job beyond the time of its calls, if these were made `at_a_time` without a pause.
    fn overhead(&self, options: &PoolOptions) -> f64 {
        (self.wall.as_secs_f64() - options.floor().as_secs_f64()).max(0.0) * 1000.0 / f64::from(options.jobs)
    }

    fn json(&self, options: &PoolOptions) -> Value {
        json!({
            "name": self.name,
            "wall": self.wall.as_secs_f64(),
            "overhead_ms_per_job": self.overhead(options),
            "logins": self.logins,
            "max_connections": self.stats.max_connections,
            "reuse_ratio": self.stats.reuse_ratio(),
        })
    }
}

impl PoolOptions {
    /// The time of the calls alone.
    fn floor(&self) -> Duration {
        let rounds = self.jobs.div_ceil(self.at_a_time);
        Duration::from_millis(self.delay) * CALLS * rounds
    }

    pub(super) async fn run(self) -> Result<()> {
        let sim = Vsim::builder()
            .vms(self.at_a_time as usize)
            .disk_size(1 << 20)
            .soap_delay(Duration::from_millis(self.delay))
            .start()
            .await?;
        let with = |max_connections| {
            let mut pool = PoolConfig::default();
            pool.max_connections = max_connections;
            pool
        };
        let mut none = PoolConfig::default();
        none.enabled = false;
        let most = self.max_connections.unwrap_or(self.at_a_time);
        let unpooled = self.measure(&sim, "a login for each job".to_owned(), none).await?;
        let pooled = self.measure(&sim, format!("pool, max_connections {most}"), with(most)).await?;
        let usual = PoolConfig::default().max_connections;
        let narrow = self.measure(&sim, format!("pool, max_connections {usual}"), with(usual)).await?;
        sim.shutdown().await;
        self.report(&unpooled, &pooled, &narrow)
    }

    async fn measure(&self, sim: &Vsim, name: String, pool: PoolConfig) -> Result<Measured> {
        let logins = || {
            let events = sim.log().events();
            events.iter().filter(|event| matches!(event, Event::LoggedIn { .. })).count() as u64
        };
        let before = logins();
        let mut config = VsphereConfig::new(sim.url(), sim.username(), sim.password().to_owned());
        config.thumbprint = Some(sim.thumbprint_sha256().to_owned());
        config.connection_pool = pool;
        let provider = VsphereProvider::new(config)?;
        let begun = Instant::now();
        stream::iter(0..self.jobs)
            .map(|number| {
                let provider = &provider;
                let vm = VmId::new(format!("vm-{}", 101 + number % self.at_a_time));
                async move { provider.describe(&vm).await.map(drop) }
            })
            .buffer_unordered(self.at_a_time as usize)
            .try_collect::<()>()
            .await?;
        provider.close().await;
        let wall = begun.elapsed();
        ensure!(sim.log().open_sessions().is_empty(), "{name}: sessions are left at the server");
        Ok(Measured { name, wall, logins: logins() - before, stats: provider.connections() })
    }

    fn report(&self, unpooled: &Measured, pooled: &Measured, narrow: &Measured) -> Result<()> {
        println!(
            "bench pool: {} jobs of {CALLS} calls, {} at a time, {} ms a call; the calls alone take {:.2} s",
            self.jobs,
            self.at_a_time,
            self.delay,
            self.floor().as_secs_f64()
        );
        println!("\n{:<28}{:>9}{:>14}{:>9}{:>9}", "", "wall s", "overhead ms", "logins", "reuse");
        for row in [unpooled, pooled, narrow] {
            println!(
                "{:<28}{:>9.2}{:>14.2}{:>9}{:>9.3}",
                row.name,
                row.wall.as_secs_f64(),
                row.overhead(self),
                row.logins,
                row.stats.reuse_ratio()
            );
        }
        let overhead = pooled.overhead(self) / unpooled.overhead(self);
        let most = pooled.stats.max_connections as f64;
        let checks = [
            ("overhead of a job, pool against logins", overhead, "<=", OVERHEAD),
            ("share of jobs that found a session", pooled.stats.reuse_ratio(), ">=", REUSE),
            ("logins", pooled.logins as f64, "<=", most),
            ("logins with the usual pool", narrow.logins as f64, "<=", narrow.stats.max_connections as f64),
        ];
        println!();
        let mut missed = Vec::new();
        for (name, value, relation, bound) in checks {
            let met = if relation == "<=" { value <= bound } else { value >= bound };
            println!("{:<8}{name:<52}{value:>9.3} {relation} {bound}", if met { "ok" } else { "MISSED" });
            if !met {
                missed.push(name);
            }
        }
        let share = |row: &Measured| row.wall.as_secs_f64() / unpooled.wall.as_secs_f64();
        println!(
            "        wall time against logins: {:.2}, with the usual pool {:.2}",
            share(pooled),
            share(narrow)
        );
        println!(
            "note    overhead is what a job takes beyond its calls, logging in and out at the end included"
        );
        let rows: Vec<Value> = [unpooled, pooled, narrow].map(|row| row.json(self)).into();
        println!(
            "\n{}",
            json!({
                "bench": "pool",
                "jobs": self.jobs,
                "at_a_time": self.at_a_time,
                "delay_ms": self.delay,
                "rows": rows,
                "overhead_ratio": overhead,
                "missed": missed,
            })
        );
        if !missed.is_empty() && !self.no_gate {
            bail!("missed: {}", missed.join("; "));
        }
        Ok(())
    }
}

//! `hypervisord demo`: the daemon with everything it needs on this machine, and a word on what to try.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use hypersdk_store::DatabaseLocation;
use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim};
use secrecy::SecretString;

use crate::config::{Config, InventoryCache, ListenAddr, ProviderConfig, SessionPool, Sources, TimeLimits};

/// Capacity of the sample VM's disks in bytes.
const DISK_BYTES: u64 = 256 << 20;

/// Whoever stops a demo does not want to wait.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// A simulator and the configuration that uses it.
#[derive(Debug)]
pub struct Demo {
    /// The simulator; it serves as long as this lives.
    pub simulator: Vsim,
    /// What to give to [`App::build`](crate::App::build).
    pub config: Config,
    output_dir: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Demo {
    /// Starts the simulator and prepares the directories: below `dir`, or in a temporary directory that
    /// goes away with this value. Listens where `sources` says, else on port 8080 or, if that is taken,
    /// any other.
    ///
    /// # Errors
    /// The simulator does not start, or the directories cannot be made.
    pub async fn start(sources: &Sources, dir: Option<&Path>) -> anyhow::Result<Demo> {
        let mut config = Config::load(sources)?;
        let temporary = match dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("hypersdk-demo-").tempdir()?),
        };
        let base = match (dir, &temporary) {
            (Some(dir), _) => {
                std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
                dir.canonicalize()?
            }
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => anyhow::bail!("no directory for the demo"),
        };
        let output_dir = base.join("exports");
        std::fs::create_dir_all(&output_dir)?;
        let simulator = Vsim::builder()
            .vm(sample("web01", 1, PowerState::Off))
            .vm(sample("db01", 7, PowerState::On))
            .start()
            .await?;
        config.database = DatabaseLocation::Sqlite(base.join("hypersdk.db"));
        config.providers = vec![provider(&simulator)?];
        config.drain_grace = DRAIN_GRACE;
        if sources.addr.is_none() && taken(&config.daemon_addr).await {
            config.daemon_addr = config.daemon_addr.with_port(0);
        }
        Ok(Demo { simulator, config, output_dir, _temporary: temporary })
    }

    /// What to try, with the daemon listening at `addr`.
    pub fn instructions(&self, addr: SocketAddr) -> String {
        let paths = self.simulator.vm_paths();
        let vm = paths.iter().find(|path| path.ends_with("/web01")).or(paths.first());
        let vm = vm.map_or("", String::as_str);
        let name = vm.rsplit('/').next().unwrap_or_default();
        let out = self.output_dir.display();
        let body = shell_quoted(&format!(
            r#"{{"vm_path":{},"output_dir":{},"format":"ova"}}"#,
            serde_json::json!(vm),
            serde_json::json!(self.output_dir),
        ));
        let mut text = String::new();
        // Writing to a String never fails.
        let _ = write!(
            text,
            "HyperSDK demo\n\
             \n\
             \x20 API         http://{addr}\n\
             \x20 simulator   {sim} (user {user}, password {password})\n\
             \x20 VMs         {vms}\n\
             \x20 output      {out}\n\
             \n\
             Export a VM:\n\
             \n\
             \x20 curl -X POST http://{addr}/jobs/submit -H 'Content-Type: application/json' -d {body}\n\
             \n\
             Follow it (with the job id from the answer, or all of them):\n\
             \n\
             \x20 curl -N http://{addr}/jobs/JOB_ID/events\n\
             \x20 curl http://{addr}/jobs\n\
             \n\
             When it says completed, the package is\n\
             \n\
             \x20 {out}/{name}.ova\n\
             \n\
             Ctrl-C stops the demo{fate}.\n",
            sim = self.simulator.url(),
            user = self.simulator.username(),
            password = self.simulator.password(),
            vms = paths.join(", "),
            fate = if self._temporary.is_some() { " and removes its directory" } else { "" },
        );
        text
    }
}

/// `text` as one word of a shell.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn sample(name: &str, seed: u64, power: PowerState) -> VmSpec {
    VmSpec::new(name)
        .folder("demo")
        .power(power)
        .disk(DiskSpec::synth(seed, DISK_BYTES))
        .disk(DiskSpec::synth(seed + 1, DISK_BYTES / 4))
        .nvram(vec![0xA5; 64 << 10])
}

fn provider(simulator: &Vsim) -> anyhow::Result<ProviderConfig> {
    Ok(ProviderConfig {
        name: "default".parse()?,
        provider_type: "vsphere".to_owned(),
        vcenter_url: simulator.url(),
        username: simulator.username().to_owned(),
        password: SecretString::from(simulator.password()),
        insecure: false,
        thumbprint: Some(simulator.thumbprint_sha256().to_owned()),
        ca_file: None,
        proxy: None,
        known_hosts: None,
        session_pool: SessionPool::default(),
        inventory_cache: InventoryCache::default(),
        limits: TimeLimits::default(),
    })
}

async fn taken(addr: &ListenAddr) -> bool {
    addr.port() != 0 && crate::server::bind(addr).await.is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(addr: Option<&str>) -> Sources {
        Sources { addr: addr.map(str::to_owned), ..Sources::default() }
    }

    #[tokio::test]
    async fn the_command_to_paste_names_a_vm_of_the_simulator_and_a_directory_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let demo = Demo::start(&sources(Some("127.0.0.1:0")), Some(dir.path())).await.unwrap();
        let text = demo.instructions("127.0.0.1:8080".parse().unwrap());
        let line = text.lines().find(|line| line.contains("curl -X POST")).unwrap().trim();
        let start = "curl -X POST http://127.0.0.1:8080/jobs/submit -H 'Content-Type: application/json' -d '";
        let body = line.strip_prefix(start).unwrap().strip_suffix('\'').unwrap();
        assert!(body.starts_with(r#"{"vm_path":"#), "{body}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(demo.simulator.vm_paths().contains(&body["vm_path"].as_str().unwrap().to_owned()));
        assert!(Path::new(body["output_dir"].as_str().unwrap()).is_dir());
        assert_eq!(body["format"], "ova");
        demo.simulator.shutdown().await;
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_replaced_unless_it_was_asked_for() {
        let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let held: ListenAddr = holder.local_addr().unwrap().to_string().parse().unwrap();
        assert!(taken(&held).await);
        assert!(!taken(&held.with_port(0)).await);
        let asked = sources(Some(&held.to_string()));
        let demo = Demo::start(&asked, None).await.unwrap();
        assert_eq!(demo.config.daemon_addr, held);
        demo.simulator.shutdown().await;
    }

    #[test]
    fn a_quote_in_a_path_survives_the_shell() {
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
    }
}

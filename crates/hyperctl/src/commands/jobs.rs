//! `hyperctl jobs`, `logs` and `cancel`.

use serde_json::{Value, json};

use super::export::report;
use crate::client::{Client, segment, with_query};
use crate::failure::Failure;
use crate::job::Job;
use crate::output::table::Rows;
use crate::output::{self, Format, units, word};
use crate::watch::{self, Interrupts};

/// How often `logs --follow` asks.
const PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// List jobs, newest first, or show those named.
#[derive(Debug, clap::Args)]
pub struct JobsArgs {
    /// Show these jobs in full.
    pub id: Vec<String>,
    /// Only jobs in these states: pending, running, completed, failed, cancelled.
    #[arg(long, value_name = "STATE", value_delimiter = ',', conflicts_with = "id",
          value_parser = ["pending", "running", "completed", "failed", "cancelled"])]
    pub status: Vec<String>,
    /// How many at most, 1 to 1000.
    #[arg(long, value_name = "N", default_value = "50", conflicts_with = "id")]
    pub limit: u32,
    /// Only jobs older than this one: the next page.
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    pub before: Option<String>,
    /// Stay until the jobs named have ended; Ctrl-C cancels them.
    #[arg(long, short, requires = "id")]
    pub watch: bool,
}

/// Print a job's log lines.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// The job.
    pub id: String,
    /// Stay until the job has ended, and print further lines as they come.
    #[arg(long, short)]
    pub follow: bool,
}

/// Cancel jobs. What they have written under a .partial name is removed.
#[derive(Debug, clap::Args)]
pub struct CancelArgs {
    /// The jobs.
    #[arg(required = true)]
    pub id: Vec<String>,
    /// Stay until they have stopped.
    #[arg(long, short)]
    pub wait: bool,
}

pub(crate) async fn jobs(args: &JobsArgs, client: &Client, format: Format) -> Result<(), Failure> {
    if args.watch {
        let mut interrupts = Interrupts::listen()?;
        let shown = watch::follow(client, &args.id, &mut *watch::display(format), &mut interrupts).await?;
        return report(&shown, format);
    }
    if args.id.is_empty() {
        return list(args, client, format).await;
    }
    let mut shown = Vec::with_capacity(args.id.len());
    for id in &args.id {
        shown.push(client.get(&format!("/jobs/{}", segment(id))).await?);
    }
    match (format, shown.as_slice()) {
        (Format::Json, [job]) => output::json(job),
        (Format::Json, jobs) => output::json(&json!(jobs)),
        (Format::Text, jobs) => jobs.iter().for_each(show),
    }
    Ok(())
}

async fn list(args: &JobsArgs, client: &Client, format: Format) -> Result<(), Failure> {
    let status = (!args.status.is_empty()).then(|| args.status.join(","));
    let limit = Some(args.limit.to_string());
    let query = [("status", status), ("limit", limit), ("before", args.before.clone())];
    let answer = client.get(&with_query("/jobs", &query)).await?;
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let mut rows = Rows::new(&["id", "status", "done", "rate", "left", "vm"], &[2, 3, 4]);
    for json in output::list(&answer["jobs"]) {
        let job = Job::read(json)?;
        let running = job.status == "running";
        let left = job.progress.estimated_remaining.filter(|_| running);
        rows.push([
            job.definition.id.clone(),
            job.status.clone(),
            format!("{:.0}%", job.progress.percent_complete),
            if running { units::rate(job.progress.bytes_per_second) } else { "-".to_owned() },
            left.map_or_else(|| "-".to_owned(), units::seconds),
            job.definition.vm_path.clone(),
        ]);
    }
    output::line(rows.text());
    if let Some(next) = answer["next"].as_str() {
        output::remark(format!("{} jobs in all; the next page: --before {next}", word(&answer["total"])));
    }
    Ok(())
}

/// One job in full.
fn show(job: &Value) {
    let definition = &job["definition"];
    let mut rows = vec![
        ("id", word(&definition["id"])),
        ("vm", word(&definition["vm_path"])),
        ("status", word(&job["status"])),
        ("format", word(&definition["format"])),
        ("output", word(&definition["output_dir"])),
        ("attempt", word(&definition["attempt"])),
        ("created", units::instant(&definition["created_at"])),
        ("started", units::instant(&job["started_at"])),
        ("completed", units::instant(&job["completed_at"])),
    ];
    let progress = &job["progress"];
    let done = progress["percent_complete"].as_f64().unwrap_or_default();
    let received = units::bytes(progress["bytes_downloaded"].as_u64().unwrap_or_default());
    rows.push(("progress", format!("{}, {done:.1}%, {received} received", word(&progress["phase"]))));
    if let Some(result) = job["result"].as_object() {
        let size = units::bytes(result["total_size"].as_u64().unwrap_or_default());
        rows.push(("package", format!("{} ({size})", word(&result["ovf_path"]))));
        rows.push(("checksum", word(&result["checksum"])));
        for file in output::list(&result["files"]) {
            let size = units::bytes(file["size"].as_u64().unwrap_or_default());
            rows.push(("file", format!("{}  {size}  sha256 {}", word(&file["name"]), word(&file["sha256"]))));
        }
        for warning in output::list(&result["warnings"]) {
            rows.push(("warning", word(warning)));
        }
    }
    if let Some(error) = job["error"].as_str() {
        rows.push(("error", error.to_owned()));
    }
    for (name, value) in rows {
        output::line(format!("{name:<10}{value}"));
    }
    output::line("");
}

pub(crate) async fn logs(args: &LogsArgs, client: &Client, format: Format) -> Result<(), Failure> {
    let path = format!("/jobs/{}", segment(&args.id));
    let mut printed = 0;
    loop {
        // Asked first, so that what is written between is printed by the next round.
        let ended = !args.follow || Job::read(&client.get(&path).await?)?.is_final();
        let answer = client.get(&format!("{path}/logs")).await?;
        let lines = output::list(&answer["logs"]);
        if format == Format::Json && ended {
            output::json(&answer);
        }
        if format == Format::Text {
            for entry in lines.iter().skip(printed) {
                let (time, level) = (units::instant(&entry["timestamp"]), word(&entry["level"]));
                output::line(format!("{time}  {level:<7}  {}", word(&entry["message"])));
            }
        }
        printed = printed.max(lines.len());
        if ended {
            return Ok(());
        }
        tokio::time::sleep(PERIOD).await;
    }
}

pub(crate) async fn cancel(args: &CancelArgs, client: &Client, format: Format) -> Result<(), Failure> {
    let answer = client.post("/jobs/cancel", &json!({ "job_ids": args.id })).await?;
    let cancelled: Vec<String> = output::list(&answer["cancelled"]).iter().map(word).collect();
    if args.wait && !cancelled.is_empty() {
        let mut interrupts = Interrupts::listen()?;
        watch::follow(client, &cancelled, &mut *watch::display(Format::Json), &mut interrupts).await?;
    }
    if format == Format::Json {
        output::json(&answer);
    } else {
        let stopping: Vec<String> = output::list(&answer["stopping"]).iter().map(word).collect();
        for id in &cancelled {
            let how = if stopping.contains(id) && !args.wait { "stopping" } else { "cancelled" };
            output::line(format!("{id}  {how}"));
        }
    }
    let Some(errors) = answer["errors"].as_object().filter(|errors| !errors.is_empty()) else {
        return Ok(());
    };
    let errors: Vec<String> = errors.iter().map(|(id, why)| format!("{id}: {}", word(why))).collect();
    Err(Failure::Ended(format!("not every job was cancelled\n  {}", errors.join("\n  "))))
}

//! A router with everything behind it in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hypersdk_core::testing::{FakeProvider, FakeRun, FakeRunner};
use hypersdk_core::{
    AuditEntry, AuditLog, EventLog, JobManager, JobManagerConfig, JobStatus, KeptAnswer, MemoryStore,
    ProviderRegistry, Replay, ReplayStore, Seq,
};
use hypersdk_sched::{MemorySchedules, Scheduler, SchedulerConfig};
use hypersdk_webhook::{Deliverer, DelivererConfig, MemoryDeliveries};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::api::{Access, ApiState, router};
use crate::export_root::ExportRoot;
use crate::metrics::Metrics;
use crate::nodes::{Identity, Nodes};
use crate::readiness::{Readiness, Stage};
use crate::retention::{Keeper, Remover};
use crate::scheduling::JobLauncher;
use crate::submission::{OutputDir, Submission};

pub(super) struct Harness {
    pub(super) router: Router,
    pub(super) manager: JobManager,
    pub(super) provider: FakeProvider,
    pub(super) runner: Arc<FakeRunner>,
    pub(super) readiness: Readiness,
    pub(super) stopping: CancellationToken,
    pub(super) root: tempfile::TempDir,
    pub(super) kept: Arc<Kept>,
}

/// The audit log and the kept answers, in memory.
#[derive(Debug, Default)]
pub(super) struct Kept {
    audit: Mutex<Vec<AuditEntry>>,
    /// As if the process died before an answer was kept.
    pub(super) finishes_fail: std::sync::atomic::AtomicBool,
    replays: Mutex<HashMap<String, (String, Option<KeptAnswer>)>>,
}

#[async_trait::async_trait]
impl AuditLog for Kept {
    async fn record(&self, entry: AuditEntry) -> hypersdk_core::Result<()> {
        let mut audit = self.audit.lock().unwrap();
        let seq = audit.len() as i64 + 1;
        audit.push(AuditEntry { seq, ..entry });
        Ok(())
    }

    async fn entries(&self, before: Option<i64>, limit: usize) -> hypersdk_core::Result<Vec<AuditEntry>> {
        let audit = self.audit.lock().unwrap();
        let older = audit.iter().rev().filter(|entry| before.is_none_or(|before| entry.seq < before));
        Ok(older.take(limit).cloned().collect())
    }
}

#[async_trait::async_trait]
impl ReplayStore for Kept {
    async fn begin(&self, key: &str, fingerprint: &str) -> hypersdk_core::Result<Replay> {
        let mut replays = self.replays.lock().unwrap();
        let Some((known, answer)) = replays.get(key) else {
            replays.insert(key.to_owned(), (fingerprint.to_owned(), None));
            return Ok(Replay::New);
        };
        Ok(match answer {
            _ if known != fingerprint => Replay::Other,
            Some(answer) => Replay::Answered(answer.clone()),
            None => Replay::Begun,
        })
    }

    async fn finish(&self, key: &str, answer: &KeptAnswer) -> hypersdk_core::Result<()> {
        if !self.finishes_fail.load(std::sync::atomic::Ordering::SeqCst) {
            self.replays.lock().unwrap().get_mut(key).unwrap().1 = Some(answer.clone());
        }
        Ok(())
    }

    async fn forget(&self, key: &str) -> hypersdk_core::Result<()> {
        self.replays.lock().unwrap().remove(key);
        Ok(())
    }
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    /// The fields that are named as wrong.
    pub(super) fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["field"].as_str()).collect()
    }
}

impl Harness {
    /// With two VMs under `/DC0/vm/prod` and one under `/DC0/vm/test`, and an export root.
    pub(super) async fn new() -> Self {
        Self::with_plan([]).await
    }

    pub(super) async fn with_plan(plan: impl IntoIterator<Item = FakeRun>) -> Self {
        Self::build(plan, Access::open(), true).await
    }

    /// With something that lets people in.
    pub(super) async fn guarded(access: Access) -> Self {
        Self::build([], access, true).await
    }

    /// As with `--disable-web`.
    pub(super) async fn without_dashboard() -> Self {
        Self::build([], Access::open(), false).await
    }

    async fn build(plan: impl IntoIterator<Item = FakeRun>, access: Access, dashboard: bool) -> Self {
        let kept = Arc::new(Kept::default());
        let provider = FakeProvider::new(|_, _| String::new());
        for path in ["/DC0/vm/prod/web01", "/DC0/vm/prod/web02", "/DC0/vm/test/db01"] {
            provider.add_vm(path, Vec::new());
        }
        let mut providers = ProviderRegistry::new();
        providers.insert("default".parse().unwrap(), Arc::new(provider.clone()));
        let providers = Arc::new(providers);
        let runner = Arc::new(FakeRunner::new(plan));
        let store = Arc::new(MemoryStore::new());
        let manager = JobManager::start(
            store.clone(),
            runner.clone(),
            JobManagerConfig {
                retry_attempts: 0,
                poll: Duration::from_millis(50),
                ..JobManagerConfig::default()
            },
        )
        .await
        .unwrap();
        let identity = Identity {
            name: "node".to_owned(),
            address: "127.0.0.1:8080".to_owned(),
            providers: Default::default(),
            labels: Default::default(),
            started_at: chrono::Utc::now(),
        };
        let nodes = Nodes::new(store.clone(), manager.clone(), identity);
        let root = tempfile::tempdir().unwrap();
        let export_root = ExportRoot::new(Some(root.path().to_owned()));
        let check = OutputDir::new(export_root.clone());
        let readiness = Readiness::starting();
        readiness.set(Stage::Ready);
        let stopping = CancellationToken::new();
        let submission = Submission::new(manager.clone(), Arc::clone(&providers), vec![Arc::new(check)]);
        let launcher = JobLauncher::new(submission.clone(), manager.clone(), crate::api::read_template);
        let jobs = Arc::clone(manager.store()) as Arc<dyn EventLog>;
        let schedules = Arc::new(MemorySchedules::new());
        let remover = Remover::new(store.clone(), export_root.clone(), "node".to_owned(), true);
        let keeper = Keeper::new(remover, schedules.clone(), kept.clone());
        let scheduler = Scheduler::start(
            schedules,
            jobs,
            launcher,
            SchedulerConfig { exclusive: true, ..SchedulerConfig::default() },
        )
        .await
        .unwrap();
        let webhooks = Deliverer::start(
            hypersdk_webhook::Parts {
                store: Arc::new(MemoryDeliveries::new()),
                log: store.clone(),
                configured: Vec::new(),
                vault: None,
                progress: None,
                shape: Arc::new(crate::api::shaped_data),
            },
            DelivererConfig::default(),
            Seq::START,
        )
        .await
        .unwrap();
        let router = router(ApiState {
            submission,
            scheduler,
            limits: hypersdk_export::Limits::default(),
            orphans: crate::orphans::Orphans::new(Arc::clone(&providers), Arc::clone(manager.store())),
            keeper,
            manager: manager.clone(),
            providers,
            export_root,
            nodes,
            dashboard,
            readiness: readiness.clone(),
            started: Instant::now(),
            access: Arc::new(access),
            audit: kept.clone(),
            replays: kept.clone(),
            metrics: Arc::new(Metrics::new()),
            database: None,
            webhooks,
            webhook_allow_private: false,
            stopping: stopping.clone(),
        });
        Harness { router, manager, provider, runner, readiness, stopping, root, kept }
    }

    pub(super) fn dir(&self) -> String {
        self.root.path().display().to_string()
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(path, "application/json", &body.to_string()).await
    }

    pub(super) async fn post_as(&self, path: &str, content_type: &str, body: &str) -> Answer {
        let request = Request::builder().method(Method::POST).uri(path).header("content-type", content_type);
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Submits one job and returns its id.
    pub(super) async fn submit(&self, vm: &str) -> String {
        let body = serde_json::json!({ "vm_path": vm, "output_dir": self.dir() });
        let answer = self.post("/jobs/submit", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
        answer.body["job_ids"][0].as_str().unwrap().to_owned()
    }

    /// Waits until the job has ended.
    pub(super) async fn ended(&self, id: &str) -> JobStatus {
        let id = id.parse().unwrap();
        let mut grown = self.manager.store().latest();
        loop {
            grown.borrow_and_update();
            let status = self.manager.get(&id).await.unwrap().unwrap().status;
            if status.is_final() {
                return status;
            }
            tokio::time::timeout(Duration::from_secs(10), grown.changed()).await.unwrap().unwrap();
        }
    }

    pub(super) async fn jobs(&self) -> u64 {
        self.manager.store().counts().await.unwrap().total()
    }
}

//! What happens between a request for jobs and the jobs: everything that can be known to be wrong is found
//! before anything is written down.

mod choice;
mod output_dir;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use hypersdk_core::{
    Error, ErrorKind, Job, JobId, JobManager, JobSpec, NewJob, ProviderRegistry, VmId, VmSelector, VmSummary,
};

pub(crate) use output_dir::OutputDir;

/// The most jobs one request may make, counting what globs expand to.
const MAX_JOBS: usize = 1000;
/// How many VMs are looked up at once.
const LOOKUPS: usize = 8;

/// A job somebody asks for; its VM may be a glob.
#[derive(Debug, Clone)]
pub(crate) struct JobRequest {
    pub(crate) id: Option<JobId>,
    pub(crate) spec: JobSpec,
}

/// What is wrong with a request, and which of its fields is to blame.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) field: &'static str,
    pub(crate) error: Error,
}

impl Fault {
    pub(crate) fn new(field: &'static str, error: Error) -> Self {
        Fault { field, error }
    }
}

/// A job that is about to be accepted.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// What it is to do; a check may put it right.
    pub(crate) spec: JobSpec,
    /// The VM it is about.
    pub(crate) vm: VmSummary,
}

/// Looks at a job before it is accepted.
#[async_trait]
pub(crate) trait Check: fmt::Debug + Send + Sync {
    /// Refuses the candidate, or lets it pass.
    async fn check(&self, candidate: &mut Candidate) -> Result<(), Fault>;
}

/// What became of a submission.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) jobs: Vec<Job>,
    /// The refused requests, by their position among the requests.
    pub(crate) rejected: Vec<(usize, Fault)>,
}

/// Turns requests into jobs.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    manager: JobManager,
    providers: Arc<ProviderRegistry>,
    checks: Arc<[Arc<dyn Check>]>,
}

impl Submission {
    pub(crate) fn new(
        manager: JobManager,
        providers: Arc<ProviderRegistry>,
        checks: Vec<Arc<dyn Check>>,
    ) -> Self {
        Submission { manager, providers, checks: checks.into() }
    }

    /// Checks each request and accepts those that pass, in one write. What is refused leaves no trace.
    ///
    /// # Errors
    /// The store failed, or somebody else took one of the identifiers in this very moment; nothing was
    /// accepted then.
    pub(crate) async fn submit(&self, requests: Vec<JobRequest>) -> Result<Submitted, Error> {
        let outcomes: Vec<Result<Vec<NewJob>, Fault>> =
            stream::iter(requests).map(|request| self.prepare(request)).buffered(LOOKUPS).collect().await;
        let mut accepted: Vec<NewJob> = Vec::new();
        let mut rejected = Vec::new();
        let mut taken = BTreeSet::new();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let refused = match outcome {
                Ok(jobs) if accepted.len() + jobs.len() > MAX_JOBS => Fault::new(
                    "vm_path",
                    Error::new(
                        ErrorKind::Invalid,
                        "submit",
                        format!("one request makes at most {MAX_JOBS} jobs"),
                    )
                    .with_advice("send several requests, or a narrower glob"),
                ),
                Ok(jobs) if jobs.iter().any(|job| taken.contains(&job.id)) => id_taken("in the same request"),
                Ok(jobs) => {
                    taken.extend(jobs.iter().map(|job| job.id.clone()));
                    accepted.extend(jobs);
                    continue;
                }
                Err(fault) => fault,
            };
            rejected.push((index, refused));
        }
        let jobs = if accepted.is_empty() { Vec::new() } else { self.manager.submit(accepted).await? };
        Ok(Submitted { jobs, rejected })
    }

    /// Has the jobs of `spec` accepted that are not there yet, in one write, and returns all of them. `fit` puts
    /// each job's own values in and gives its identifier, always the same for the same VM.
    ///
    /// # Errors
    /// What the first job is refused for; nothing was accepted then.
    pub(crate) async fn submit_once(
        &self,
        spec: JobSpec,
        fit: &(dyn Fn(&VmSummary, &mut JobSpec) -> JobId + Sync),
    ) -> Result<Vec<JobId>, Fault> {
        let store = |error: Error| Fault::new("id", error);
        let candidates = self.candidates(&spec).await?;
        if candidates.len() > MAX_JOBS {
            let text = format!("{} names {} VMs; at most {MAX_JOBS} are possible", spec.vm, candidates.len());
            return Err(Fault::new("vm_path", Error::new(ErrorKind::Invalid, "submit", text)));
        }
        // Somebody else may do the same: what is there then is looked at again.
        for last in [false, false, true] {
            let (mut all, mut new) = (Vec::new(), Vec::new());
            for candidate in &candidates {
                let mut candidate = Candidate { spec: candidate.spec.clone(), vm: candidate.vm.clone() };
                let id = fit(&candidate.vm, &mut candidate.spec);
                all.push(id.clone());
                if self.manager.get(&id).await.map_err(store)?.is_none() {
                    self.check(&mut candidate).await?;
                    new.push(NewJob { id, spec: candidate.spec });
                }
            }
            if new.is_empty() {
                return Ok(all);
            }
            match self.manager.submit(new).await {
                Ok(_) => return Ok(all),
                Err(error) if error.kind() == ErrorKind::Conflict && !last => {}
                Err(error) => return Err(store(error)),
            }
        }
        unreachable!("the last round returns")
    }

    async fn check(&self, candidate: &mut Candidate) -> Result<(), Fault> {
        for check in self.checks.iter() {
            check.check(candidate).await?;
        }
        Ok(())
    }

    async fn prepare(&self, request: JobRequest) -> Result<Vec<NewJob>, Fault> {
        if let Some(id) = &request.id
            && self.manager.get(id).await.map_err(|error| Fault::new("id", error))?.is_some()
        {
            return Err(id_taken("already"));
        }
        let jobs = self.checked(&request).await?.into_iter().map(|candidate| {
            let id = request.id.clone().unwrap_or_else(JobId::generate);
            tracing::debug!(job = %id, vm = %candidate.vm.id, path = %candidate.vm.path, "checked");
            NewJob { id, spec: candidate.spec }
        });
        Ok(jobs.collect())
    }

    /// The jobs a request would make, checked as far as that goes without asking the source about each.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) async fn checked(&self, request: &JobRequest) -> Result<Vec<Candidate>, Fault> {
        let JobRequest { id, spec } = request;
        let mut candidates = self.candidates(spec).await?;
        if id.is_some() && candidates.len() > 1 {
            let text = format!("{} names {} VMs, which cannot share one id", spec.vm, candidates.len());
            return Err(Fault::new("id", Error::new(ErrorKind::Invalid, "submit", text)));
        }
        for candidate in &mut candidates {
            self.check(candidate).await?;
        }
        Ok(candidates)
    }

    /// One candidate for each VM that `spec` names.
    async fn candidates(&self, spec: &JobSpec) -> Result<Vec<Candidate>, Fault> {
        let (source, found) = choice::source(&self.providers, spec.provider.as_ref(), &spec.vm).await?;
        let candidates = found.into_iter().map(|vm| {
            let mut spec = spec.clone();
            spec.provider = Some(source.name.clone());
            if spec.vm.is_glob() {
                spec.vm = exactly(&vm);
            }
            Candidate { spec, vm }
        });
        Ok(candidates.collect())
    }
}

fn id_taken(how: &str) -> Fault {
    let error = Error::new(ErrorKind::Conflict, "submit", format!("a job with this id exists {how}"))
        .with_advice("choose another id, or leave it out to get one");
    Fault::new("id", error)
}

/// A selector of this VM alone. A path that would be read as a glob again is no use.
fn exactly(vm: &VmSummary) -> VmSelector {
    match vm.path.parse() {
        Ok(path @ VmSelector::Path(_)) => path,
        _ => VmSelector::Id(VmId::new(vm.id.as_str())),
    }
}

//! Waiting for properties to reach a state, by WaitForUpdatesEx, or by polling where a server lacks it.

use std::time::Duration;

use crate::api::{
    CreateFilter, CreatePropertyCollector, DestroyPropertyCollector, FilterSpec, RetrievePropertiesEx,
    WaitForUpdatesEx,
};
use crate::http::TransportError;
use crate::session::{Discard, Scope};
use crate::soap::{CallError, Element, Fault, FaultKind, MoRef, Properties};

/// How long one WaitForUpdatesEx may take without news.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How often a session may end during one wait.
const MOST_RENEWALS: u32 = 3;

/// What to wait for: some properties of one object.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) object: MoRef,
    pub(crate) kind: &'static str,
    pub(crate) paths: &'static [&'static str],
}

impl Watched {
    fn spec(&self) -> FilterSpec {
        FilterSpec::of(self.object.clone(), self.kind, self.paths)
    }
}

/// Waits until `done` finds what it looks for in the properties, for at most `limit`.
pub(crate) async fn until<T>(
    scope: &Scope,
    watched: &Watched,
    limit: Duration,
    mut done: impl FnMut(&Properties) -> Option<T>,
) -> Result<T, CallError> {
    let wait = async {
        let mut renewals = 0;
        loop {
            match watch(scope, watched, &mut done).await {
                Err(CallError::SessionReplaced) if renewals < MOST_RENEWALS => renewals += 1,
                Err(CallError::Fault(fault))
                    if matches!(fault.kind(), FaultKind::NotSupported | FaultKind::InvalidArgument) =>
                {
                    tracing::debug!(%fault, "the server cannot wait, polling");
                    return poll(scope, watched, &mut done).await;
                }
                Err(CallError::Transport(error)) if error.passes() => {
                    tracing::debug!(%error, "waiting broke off, polling");
                    return poll(scope, watched, &mut done).await;
                }
                other => return other,
            }
        }
    };
    tokio::time::timeout(limit, wait)
        .await
        .unwrap_or(Err(CallError::Transport(TransportError::Timeout { after: limit })))
}

async fn watch<T>(
    scope: &Scope,
    watched: &Watched,
    done: &mut impl FnMut(&Properties) -> Option<T>,
) -> Result<T, CallError> {
    let root = scope.content().property_collector.clone();
    let collector = scope.call(&CreatePropertyCollector { this: root }).await?;
    let _discarded = Discard::new(scope, DestroyPropertyCollector { this: collector.clone() });
    let with_session =
        |error| if is_loss_of(&collector, &error) { CallError::SessionReplaced } else { error };
    scope
        .call(&CreateFilter { this: collector.clone(), spec: watched.spec() })
        .await
        .map_err(with_session)?;
    let mut known = Properties::new();
    let mut version = String::new();
    loop {
        let (this, version_now) = (collector.clone(), version.clone());
        let call = WaitForUpdatesEx { this, version: version_now, max_wait: LONGEST_WAIT, max_objects: None };
        let Some(updates) = scope.call(&call).await.map_err(with_session)? else { continue };
        if updates.objects.iter().any(|update| update.left) {
            return Err(CallError::Fault(Box::new(Fault::new(
                "ManagedObjectNotFound",
                format!("{} is gone", watched.object.id),
            ))));
        }
        for (path, value) in updates.objects.into_iter().flat_map(|update| update.changes) {
            known.extend(value.map(|value| (path, value)));
        }
        version = updates.version;
        if let Some(found) = done(&known) {
            return Ok(found);
        }
    }
}

/// True if the collector is gone, which lives no longer than its session: a wait that is under way when the session
/// ends is cancelled (`RequestCanceled`), and a later call finds no collector.
fn is_loss_of(collector: &MoRef, error: &CallError) -> bool {
    let CallError::Fault(fault) = error else { return false };
    match fault.kind() {
        FaultKind::RequestCanceled => true,
        FaultKind::ManagedObjectNotFound => fault.detail("obj") == Some(collector.id.as_str()),
        _ => fault.type_name() == "InvalidCollectorVersion",
    }
}

async fn poll<T>(
    scope: &Scope,
    watched: &Watched,
    done: &mut impl FnMut(&Properties) -> Option<T>,
) -> Result<T, CallError> {
    let mut pause = Duration::from_millis(50);
    loop {
        if let Some(found) = done(&properties(scope, watched).await?) {
            return Ok(found);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// The properties as they are now; what is unset is left out.
pub(crate) async fn properties(scope: &Scope, watched: &Watched) -> Result<Properties, CallError> {
    let this = scope.content().property_collector.clone();
    let page = scope.call(&RetrievePropertiesEx { this, spec: watched.spec(), max_objects: None }).await?;
    Ok(page.objects.into_iter().map(|content| content.properties).next().unwrap_or_default())
}

/// Waits for a task and gives its result.
///
/// # Errors
/// The fault the task failed with, or that of the waiting itself.
pub(crate) async fn task(scope: &Scope, task: MoRef) -> Result<Option<Element>, CallError> {
    let limit = scope.connector().config().task_timeout;
    let state = Watched { object: task.clone(), kind: "Task", paths: &["info.state"] };
    let succeeded = until(scope, &state, limit, |known| match known.get("info.state")?.text.as_str() {
        "success" => Some(true),
        "error" => Some(false),
        _ => None,
    })
    .await?;
    let paths: &[&str] = if succeeded { &["info.result"] } else { &["info.error"] };
    let mut outcome = properties(scope, &Watched { object: task, kind: "Task", paths }).await?;
    if succeeded {
        return Ok(outcome.remove("info.result"));
    }
    let fault = outcome.get("info.error").map(Fault::from_localized);
    Err(CallError::Fault(Box::new(fault.unwrap_or_else(|| Fault::new("MethodFault", "the task failed")))))
}

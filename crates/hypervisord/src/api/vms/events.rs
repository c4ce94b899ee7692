//! `GET /vms/events`: the inventory's changes as the sources tell them.
//!
//! There is no log of them to go back to: a stream begins with `vm.reset`, and so does whatever follows a gap. Who
//! gets one lists anew.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures::stream::{Stream, StreamExt, select_all};
use hypersdk_core::{NamedProvider, VmChange};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ApiState, Params, Problem, VmView, chosen};

/// How often a silent stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParams {
    /// The connection to follow; all of them if not given
    provider: Option<String>,
}

/// What the data of a message is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VmEvent {
    /// `vm.added`, `vm.changed`, `vm.removed`, or `vm.reset`: any VM may be other than it was
    event: &'static str,
    provider: String,
    /// The VM's managed object id; not of `vm.reset`
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The VM as it is now; only of `vm.added` and `vm.changed`
    #[serde(skip_serializing_if = "Option::is_none")]
    vm: Option<VmView>,
}

impl VmEvent {
    fn new(provider: &NamedProvider, change: VmChange) -> Self {
        let (event, id, vm) = match change {
            VmChange::Added(vm) => ("vm.added", Some(vm.id.clone()), Some(vm)),
            VmChange::Changed(vm) => ("vm.changed", Some(vm.id.clone()), Some(vm)),
            VmChange::Removed(id) => ("vm.removed", Some(id), None),
            _ => ("vm.reset", None, None),
        };
        VmEvent {
            event,
            provider: provider.name.to_string(),
            id: id.map(|id| id.to_string()),
            vm: vm.map(|vm| VmView::new(&provider.name, &vm)),
        }
    }

    fn message(&self) -> Message {
        let data = serde_json::to_string(self).expect("texts and numbers are always JSON");
        Message::default().event(self.event).data(data)
    }
}

/// Changes of the inventory as they happen
///
/// Server-sent events, from a `vm.reset` on. Needs `inventory_cache`.
#[utoipa::path(get, path = "/vms/events", tag = "vms", params(EventParams), responses(
    (status = 200, body = VmEvent, content_type = "text/event-stream", description = "Without end"),
))]
pub(super) async fn events(
    State(state): State<ApiState>,
    Params(params): Params<EventParams>,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Problem> {
    let followed = chosen(&state, params.provider.as_deref())?.into_iter().filter_map(|provider| {
        let changes = provider.provider.inventory()?.changes();
        Some(changes.map(move |change| VmEvent::new(&provider, change)).boxed())
    });
    let followed = select_all(followed);
    if followed.is_empty() {
        let detail = "no connection tells of changes; set inventory_cache.enabled";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let messages =
        followed.map(|event| Ok(event.message())).take_until(state.stopping.clone().cancelled_owned());
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

//! The inventory.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use hypersdk_core::{NamedProvider, PowerState, ProviderExt, VmFilter, VmSelector, VmSummary};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ApiState;
use super::extract::{Params, TextPath};
use super::problem::{FieldError, Problem};

/// VMs of a page, unless asked otherwise.
const PAGE: usize = 500;
/// VMs of a page at most.
const PAGE_MAX: usize = 5000;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/vms", get(list)).route("/vms/list", get(list)).route("/vms/{id}", get(show))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    provider: Option<String>,
    name: Option<String>,
    folder: Option<String>,
    power_state: Option<String>,
    cluster: Option<String>,
    attribute: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

#[derive(Debug, Serialize)]
struct VmView {
    id: String,
    name: String,
    path: String,
    provider: String,
    power_state: PowerState,
    instance_uuid: Option<String>,
    guest_os: Option<String>,
    host: Option<String>,
    cluster: Option<String>,
    datastores: Vec<String>,
    attributes: BTreeMap<String, String>,
    cpus: Option<u32>,
    memory_bytes: Option<u64>,
    disks: Option<u32>,
    storage_used_bytes: Option<u64>,
    changed_at: Option<DateTime<Utc>>,
}

impl VmView {
    fn new(provider: &NamedProvider, vm: VmSummary) -> Self {
        VmView {
            id: vm.id.as_str().to_owned(),
            name: vm.name,
            path: vm.path,
            provider: provider.name.to_string(),
            power_state: vm.power,
            instance_uuid: vm.instance_uuid,
            guest_os: vm.guest_os,
            host: vm.host,
            cluster: vm.cluster,
            datastores: vm.datastores,
            attributes: vm.attributes,
            cpus: vm.cpus,
            memory_bytes: vm.memory_bytes,
            disks: vm.disks,
            storage_used_bytes: vm.storage_used_bytes,
            changed_at: vm.changed_at,
        }
    }
}

async fn list(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Value>, Problem> {
    let mut errors = Vec::new();
    let power = match params.power_state.as_deref().map(str::parse).transpose() {
        Ok(power) => power,
        Err(message) => {
            errors.push(FieldError::new("power_state", message));
            None
        }
    };
    let attribute = params.attribute.as_deref().map(str::parse).transpose().unwrap_or_else(|message| {
        errors.push(FieldError::new("attribute", message));
        None
    });
    let limit = params.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        errors.push(FieldError::new("limit", format!("expected 1 to {PAGE_MAX}")));
    }
    if let Some(name) = &params.name
        && let Err(error) = name.parse::<hypersdk_core::PathGlob>()
    {
        errors.push(FieldError::new("name", error.to_string()));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let offset = params.offset.unwrap_or(0);
    let filter =
        VmFilter { name: params.name, folder: params.folder, power, cluster: params.cluster, attribute };
    let mut vms = Vec::new();
    for provider in chosen(&state, params.provider.as_deref())? {
        let found = provider.provider.list_all(filter.clone()).await?;
        vms.extend(found.into_iter().map(|vm| VmView::new(&provider, vm)));
    }
    let total = vms.len();
    let page: Vec<VmView> = vms.into_iter().skip(offset).take(limit).collect();
    let next = offset.saturating_add(page.len());
    Ok(Json(json!({
        "vms": page,
        "total": total,
        "limit": limit,
        "offset": offset,
        "next_offset": (next < total).then_some(next),
        "timestamp": Utc::now(),
    })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowParams {
    provider: Option<String>,
}

async fn show(
    State(state): State<ApiState>,
    TextPath(text): TextPath,
    Params(params): Params<ShowParams>,
) -> Result<Json<VmView>, Problem> {
    let not_found = || Problem::not_found(format!("there is no VM {text:?}; GET /vms lists them"));
    let selector: VmSelector = text.parse().map_err(|_| not_found())?;
    if selector.is_glob() {
        return Err(Problem::invalid(vec![FieldError::new("id", "a glob names several VMs; use GET /vms")]));
    }
    let mut found = Vec::new();
    for provider in chosen(&state, params.provider.as_deref())? {
        let vms = provider.provider.find(&selector).await?;
        found.extend(vms.into_iter().map(|vm| VmView::new(&provider, vm)));
    }
    if found.len() > 1 {
        let names = found.iter().map(|vm| vm.provider.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Problem::invalid(vec![FieldError::new(
            "provider",
            format!("{text} exists at {names}: say which with ?provider="),
        )]));
    }
    found.pop().map(Json).ok_or_else(not_found)
}

/// The named provider, or all of them.
fn chosen(state: &ApiState, name: Option<&str>) -> Result<Vec<NamedProvider>, Problem> {
    let Some(name) = name else { return Ok(state.providers.instances().collect()) };
    let known = name.parse().ok().and_then(|name| state.providers.get(Some(&name)).ok());
    known.map(|provider| vec![provider]).ok_or_else(|| {
        let names: Vec<String> =
            state.providers.instances().map(|instance| instance.name.to_string()).collect();
        let message = format!("there is no provider {name:?}; configured: {}", names.join(", "));
        Problem::invalid(vec![FieldError::new("provider", message)])
    })
}

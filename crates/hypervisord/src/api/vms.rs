//! The inventory.

mod events;
mod listing;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use chrono::{DateTime, TimeDelta, Utc};
use hypersdk_core::{NamedProvider, PowerState, ProviderName, VmFilter, VmSelector, VmSummary};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::{Params, TextPath};
use super::openapi::words;
use super::paging;
use super::problem::{FieldError, Problem};
use listing::{Cursor, Start};

/// VMs of a page, unless asked otherwise.
const PAGE: usize = 500;
/// VMs of a page at most.
const PAGE_MAX: i64 = 5000;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_too))
        .routes(routes!(show))
        .routes(routes!(events::events))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// The connection to ask; all of them if not given
    provider: Option<String>,
    /// A glob over names, such as `web*`, without regard to case
    name: Option<String>,
    /// An inventory path that the VMs are below
    folder: Option<String>,
    /// `on`, `off` or `suspended`
    power_state: Option<String>,
    /// The name of a cluster
    cluster: Option<String>,
    /// The name of a custom attribute that has a value, or `name=value`
    attribute: Option<String>,
    /// VMs of the page; 500 if not given
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<i64>,
    /// VMs to leave out at the beginning
    offset: Option<usize>,
    /// The `next_cursor` of the page before: no VM is shown twice or left out because others come and go
    cursor: Option<String>,
}

/// VMs by connection and inventory path.
#[derive(Debug, Serialize, ToSchema)]
struct VmPage {
    vms: Vec<VmView>,
    /// How many match, on all pages
    total: usize,
    limit: usize,
    /// How many of them are on pages before this
    offset: usize,
    /// The `offset` of the next page; `null` on the last
    next_offset: Option<usize>,
    /// The `cursor` of the next page; `null` on the last
    next_cursor: Option<String>,
    /// All of it comes from memory, which is told of every change
    cached: bool,
    /// When the source last confirmed that there are no other changes
    as_of: DateTime<Utc>,
    timestamp: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct VmView {
    id: String,
    name: String,
    path: String,
    provider: String,
    #[schema(schema_with = words::power_state)]
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
    fn new(provider: &ProviderName, vm: &VmSummary) -> Self {
        VmView {
            id: vm.id.as_str().to_owned(),
            name: vm.name.clone(),
            path: vm.path.clone(),
            provider: provider.to_string(),
            power_state: vm.power,
            instance_uuid: vm.instance_uuid.clone(),
            guest_os: vm.guest_os.clone(),
            host: vm.host.clone(),
            cluster: vm.cluster.clone(),
            datastores: vm.datastores.clone(),
            attributes: vm.attributes.clone(),
            cpus: vm.cpus,
            memory_bytes: vm.memory_bytes,
            disks: vm.disks,
            storage_used_bytes: vm.storage_used_bytes,
            changed_at: vm.changed_at,
        }
    }
}

/// A page, and for how many seconds it may have been so.
type Page = ([(HeaderName, HeaderValue); 1], Json<VmPage>);

/// The VMs
///
/// From memory where the inventory is kept, else as the source tells. `Age` is how many seconds ago the source last
/// confirmed what is shown; `Cache-Control: no-cache` asks the source itself.
#[utoipa::path(get, path = "/vms", tag = "vms", params(ListParams), responses((
    status = 200, body = VmPage, description = "A page",
    headers(("Age" = u64, description = "Seconds since the source last confirmed it")),
)))]
async fn list(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Params(params): Params<ListParams>,
) -> Result<Page, Problem> {
    page(&state, &headers, params).await
}

/// The VMs; the same as `/vms`
#[utoipa::path(get, path = "/vms/list", tag = "vms", params(ListParams), responses((
    status = 200, body = VmPage, description = "A page",
    headers(("Age" = u64, description = "Seconds since the source last confirmed it")),
)))]
async fn list_too(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Params(params): Params<ListParams>,
) -> Result<Page, Problem> {
    page(&state, &headers, params).await
}

async fn page(state: &ApiState, headers: &HeaderMap, params: ListParams) -> Result<Page, Problem> {
    let asked = Asked::read(&params)?;
    let providers = chosen(state, params.provider.as_deref())?;
    let no_cache = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let live = no_cache.is_some_and(|text| text.to_ascii_lowercase().contains("no-cache"));
    let sources = listing::sources(providers, &asked.filter, live).await?;
    let selected = listing::select(&sources, &asked.filter, asked.start, asked.limit);
    let age = sources.iter().map(|source| source.age).max().unwrap_or(Duration::ZERO);
    let timestamp = Utc::now();
    let page = VmPage {
        total: selected.total,
        limit: asked.limit,
        offset: selected.offset,
        next_offset: selected.next.as_ref().map(|_| selected.offset + selected.vms.len()),
        next_cursor: selected.next.map(|cursor| cursor.to_string()),
        cached: !sources.is_empty() && sources.iter().all(|source| source.cached),
        as_of: TimeDelta::from_std(age).map_or(timestamp, |age| timestamp - age),
        timestamp,
        vms: selected.vms.into_iter().map(|(provider, vm)| VmView::new(&provider.name, vm)).collect(),
    };
    Ok(([(header::AGE, HeaderValue::from(age.as_secs()))], Json(page)))
}

/// What a listing is to show.
struct Asked {
    filter: VmFilter,
    start: Start,
    limit: usize,
}

impl Asked {
    fn read(params: &ListParams) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let power = params.power_state.as_deref().map(str::parse).transpose().unwrap_or_else(|message| {
            errors.push(FieldError::new("power_state", message));
            None
        });
        let attribute = params.attribute.as_deref().map(str::parse).transpose().unwrap_or_else(|message| {
            errors.push(FieldError::new("attribute", message));
            None
        });
        let limit = paging::limit(params.limit, PAGE, PAGE_MAX, &mut errors);
        if let Some(name) = &params.name
            && let Err(error) = name.parse::<hypersdk_core::PathGlob>()
        {
            errors.push(FieldError::new("name", error.to_string()));
        }
        let start = match (params.offset, params.cursor.as_deref().map(str::parse::<Cursor>)) {
            (offset, None) => Start::At(offset.unwrap_or(0)),
            (None, Some(Ok(cursor))) => Start::Behind(cursor),
            (None, Some(Err(message))) => {
                errors.push(FieldError::new("cursor", message));
                Start::At(0)
            }
            (Some(_), Some(_)) => {
                errors.push(FieldError::new("offset", "a cursor says where to go on; leave one of them out"));
                Start::At(0)
            }
        };
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let ListParams { name, folder, cluster, .. } = params;
        let (name, folder, cluster) = (name.clone(), folder.clone(), cluster.clone());
        Ok(Asked { filter: VmFilter { name, folder, power, cluster, attribute }, start, limit })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ShowParams {
    /// The connection to ask; all of them if not given
    provider: Option<String>,
}

/// A VM, as it is now
#[utoipa::path(get, path = "/vms/{id}", tag = "vms", params(
    ("id" = String, Path, description = "Its managed object id, instance UUID or encoded inventory path"),
    ShowParams,
), responses((status = 200, body = VmView, description = "The VM, asked of its connection")))]
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
        found.extend(vms.iter().map(|vm| VmView::new(&provider.name, vm)));
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

/// The named provider, or all of them by name.
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

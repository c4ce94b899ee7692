//! The control endpoint: rules, log and state over plain HTTP and JSON.

use std::io;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Peer, plain, respond};
use crate::faults::FaultRule;
use crate::log::Event;
use crate::model::World;

const MAX_REQUEST: usize = 1 << 20;

/// Something to do now.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum Action {
    /// Expires the open leases, of one machine or of all.
    ExpireLeases { vm: Option<String> },
    /// Ends every session.
    TerminateSessions {},
    /// Gives a machine another name.
    Rename { vm: String, name: String },
    /// Takes a machine out of the inventory.
    RemoveVm { vm: String },
    /// Writes the guest's view of a disk to a raw file on the simulator's machine.
    WriteRaw { vm: String, disk: usize, path: std::path::PathBuf },
}

pub(crate) async fn route(world: Arc<World>, _peer: Peer, request: Request<Incoming>) -> Response<Body> {
    match (request.method().clone(), request.uri().path().to_owned().as_str()) {
        (Method::GET, "/control/log") => {
            let since = since(request.uri().query().unwrap_or_default());
            let entries: Vec<_> = world.log.entries().into_iter().filter(|entry| entry.seq > since).collect();
            answer(StatusCode::OK, &json!(entries))
        }
        (Method::GET, "/control/state") => answer(StatusCode::OK, &state(&world)),
        (Method::GET, "/control/faults") => answer(StatusCode::OK, &json!(world.faults.rules())),
        (Method::DELETE, "/control/faults") => {
            world.faults.clear();
            answer(StatusCode::OK, &json!([]))
        }
        (Method::POST, "/control/faults") => match read::<Rules>(request).await {
            Ok(rules) => {
                rules.0.into_iter().for_each(|rule| world.faults.add(rule));
                answer(StatusCode::CREATED, &json!(world.faults.rules()))
            }
            Err(why) => refusal(&why),
        },
        (Method::POST, "/control/actions") => match read::<Action>(request).await {
            Ok(action) => act(&world, action).await,
            Err(why) => refusal(&why),
        },
        _ => plain(
            StatusCode::NOT_FOUND,
            "see /control/log, /control/state, /control/faults, /control/actions\n",
        ),
    }
}

/// One rule, or an array of them.
#[derive(Debug)]
struct Rules(Vec<FaultRule>);

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let rules = if value.is_array() { value } else { Value::Array(vec![value]) };
        serde_json::from_value(rules).map(Self).map_err(serde::de::Error::custom)
    }
}

fn since(query: &str) -> u64 {
    query.split('&').find_map(|pair| pair.strip_prefix("since=")?.parse().ok()).unwrap_or(0)
}

async fn read<T: for<'de> Deserialize<'de>>(request: Request<Incoming>) -> Result<T, String> {
    let body =
        Limited::new(request.into_body(), MAX_REQUEST).collect().await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
}

fn answer(status: StatusCode, value: &Value) -> Response<Body> {
    respond(status, "application/json", value.to_string())
}

fn refusal(why: &str) -> Response<Body> {
    answer(StatusCode::BAD_REQUEST, &json!({ "error": why }))
}

fn state(world: &World) -> Value {
    let machines = world.read(|state| {
        let machine = |(entity, vm): (&crate::model::Entity, &crate::model::Vm)| {
            json!({
                "id": entity.moref.id,
                "name": entity.name,
                "path": state.path(&entity.moref),
                "uuid": vm.uuid,
                "instance_uuid": vm.instance_uuid,
                "power": vm.power,
                "lease": vm.lease,
                "disks": vm.disks.iter().map(|disk| json!({
                    "key": disk.key,
                    "capacity": disk.capacity,
                    "populated": disk.populated,
                    "datastore": state.name(&disk.datastore),
                    "file": disk.file_name,
                })).collect::<Vec<_>>(),
                "nvram": vm.spec.nvram.as_ref().map(bytes::Bytes::len),
            })
        };
        state.vms().map(machine).collect::<Vec<_>>()
    });
    json!({
        "vms": machines,
        "open_sessions": world.log.open_sessions(),
        "open_leases": world.log.open_leases(),
        "snapshots": world.log.snapshots(),
        "calls": world.log.all_calls(),
    })
}

async fn act(world: &World, action: Action) -> Response<Body> {
    match action {
        Action::ExpireLeases { vm } => {
            answer(StatusCode::OK, &json!({ "expired": world.expire_leases(vm.as_deref()) }))
        }
        Action::TerminateSessions {} => {
            let ended = world.end_sessions(|_| true, |session| Event::SessionTerminated { session });
            answer(StatusCode::OK, &json!({ "terminated": ended }))
        }
        Action::Rename { vm, name } => done(world.rename(&vm, &name)),
        Action::RemoveVm { vm } => done(world.remove_vm(&vm)),
        Action::WriteRaw { vm, disk, path } => match write_raw(world, &vm, disk, path).await {
            Ok(()) => answer(StatusCode::OK, &json!({})),
            Err(error) => refusal(&error.to_string()),
        },
    }
}

fn done(result: io::Result<()>) -> Response<Body> {
    match result {
        Ok(()) => answer(StatusCode::OK, &json!({})),
        Err(error) => refusal(&error.to_string()),
    }
}

async fn write_raw(world: &World, vm: &str, disk: usize, path: std::path::PathBuf) -> io::Result<()> {
    let spec = world.disk(vm, disk)?;
    tokio::task::spawn_blocking(move || spec.write_raw(&path)).await.map_err(io::Error::other)?
}

//! `/sdk`: SOAP over HTTP.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::{Body, Peer, nfc, plain, respond};
use crate::faults::{FaultKind, Occasion};
use crate::log::Event;
use crate::model::World;
use crate::service::{self, service_versions};
use crate::wire::{Call, Fault, fault_reply, parse_call, reply};

const COOKIE: &str = "vmware_soap_session";
const MAX_REQUEST: usize = 8 << 20;
const XML: &str = "text/xml; charset=utf-8";

/// Everything a vCenter or host serves on its HTTPS port.
pub(crate) async fn route(world: Arc<World>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    match (request.method().clone(), request.uri().path()) {
        (Method::POST, path) if path == "/sdk" || path.starts_with("/sdk/") => {
            soap(world, peer, request).await
        }
        (Method::GET, "/sdk/vimServiceVersions.xml") => respond(StatusCode::OK, XML, service_versions()),
        (_, path) if path.starts_with("/nfc/") || path.starts_with("/ha-nfc/") => {
            nfc::route(world, peer, request).await
        }
        _ => plain(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn header(request: &Request<Incoming>, name: header::HeaderName) -> &str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The value of our cookie, quoted or not.
fn cookie(request: &Request<Incoming>) -> Option<String> {
    header(request, header::COOKIE).split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| value.trim_matches('"').to_owned())
    })
}

async fn soap(world: Arc<World>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    let cookie = cookie(&request);
    let agent = header(&request, header::USER_AGENT).to_owned();
    let Ok(body) = Limited::new(request.into_body(), MAX_REQUEST).collect().await else {
        return plain(StatusCode::BAD_REQUEST, "the request body is unreadable or too long\n");
    };
    let body = body.to_bytes();
    let call = std::str::from_utf8(&body)
        .map_err(|_| Fault::invalid_request("The request is not UTF-8."))
        .and_then(parse_call);
    let call = match call {
        Ok(call) => call,
        Err(fault) => return faulty(&fault),
    };
    world.log.count_call(&call.method);
    if !world.config.soap_delay.is_zero() {
        tokio::time::sleep(world.config.soap_delay).await;
    }
    if let Some(answer) = strike(&world, &call, cookie.as_deref()).await {
        return answer;
    }
    let session = cookie.as_deref().and_then(|cookie| world.session(cookie));
    let request = service::Request {
        world: &world,
        call: &call,
        session,
        address: peer.address.ip().to_string(),
        agent,
    };
    match request.answer().await {
        Ok(answer) => {
            let mut response = respond(StatusCode::OK, XML, reply(&call.method, answer.value.as_ref()));
            if let Some(cookie) = answer.cookie
                && let Ok(value) =
                    HeaderValue::from_str(&format!("{COOKIE}=\"{cookie}\"; Path=/; HttpOnly; Secure"))
            {
                response.headers_mut().insert(header::SET_COOKIE, value);
            }
            response
        }
        Err(fault) => faulty(&fault),
    }
}

fn faulty(fault: &Fault) -> Response<Body> {
    respond(StatusCode::INTERNAL_SERVER_ERROR, XML, fault_reply(fault))
}

/// Applies the fault rules to a call; some answer in its place.
async fn strike(world: &Arc<World>, call: &Call, cookie: Option<&str>) -> Option<Response<Body>> {
    let vm = world.read(|state| {
        let moref = state.vm_of(&call.this).or_else(|| call.arguments.reference("obj"))?;
        Some((state.name(&moref), moref.id))
    });
    let vm = vm.as_ref().map(|(name, id)| (name.as_str(), id.as_str()));
    let struck = world.faults.strike(Occasion { method: Some(&call.method), vm, file: None });
    let mut answer = None;
    for kind in struck {
        world.log.push(Event::FaultInjected { target: call.method.clone(), fault: kind.name().to_owned() });
        match kind {
            FaultKind::NotAuthenticated => {
                let key = cookie.and_then(|cookie| world.session(cookie)).map(|session| session.key);
                world.end_sessions(
                    |session| Some(&session.key) == key.as_ref(),
                    |session| Event::SessionTerminated { session },
                );
                answer = Some(faulty(&Fault::not_authenticated(&call.this)));
            }
            FaultKind::HttpStatus { status } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                answer = Some(plain(status, "a fault rule answers in the server's place\n"));
            }
            FaultKind::MethodFault { fault } => {
                answer = Some(faulty(&Fault::new(fault, "A fault rule answers in the server's place.")));
            }
            FaultKind::DetailedFault { fault, message, fields, in_task } => {
                let message =
                    message.unwrap_or_else(|| "A fault rule answers in the server's place.".to_owned());
                let fault = fields
                    .into_iter()
                    .fold(Fault::new(fault, message), |fault, (name, text)| fault.with_text(name, text));
                let task = if in_task { failing_task(world, call, &fault) } else { None };
                answer = Some(task.unwrap_or_else(|| faulty(&fault)));
            }
            FaultKind::Delay { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            FaultKind::ExpireLease { .. } => {
                world.expire_leases(vm.map(|(_, id)| id));
            }
            FaultKind::CutAfter { .. }
            | FaultKind::EndAfter { .. }
            | FaultKind::StallAt { .. }
            | FaultKind::FlipByte { .. }
            | FaultKind::RateCap { .. } => {}
        }
    }
    answer
}

/// The reply of a method whose task is going to fail; none if it is no method of a machine's task.
fn failing_task(world: &Arc<World>, call: &Call, fault: &Fault) -> Option<Response<Body>> {
    let (method, description) = match call.method.as_str() {
        "CreateSnapshot_Task" => ("CreateSnapshot_Task", "VirtualMachine.createSnapshot"),
        "RemoveSnapshot_Task" => ("RemoveSnapshot_Task", "vm.Snapshot.remove"),
        "PowerOnVM_Task" => ("PowerOnVM_Task", "VirtualMachine.powerOn"),
        "PowerOffVM_Task" => ("PowerOffVM_Task", "VirtualMachine.powerOff"),
        _ => return None,
    };
    let vm = world.read(|state| state.vm_of(&call.this))?;
    let fault = fault.clone();
    let task = world.run_task(method, description, &vm, "", move |_, _| Err(fault)).ok()?;
    Some(respond(StatusCode::OK, XML, reply(&call.method, Some(&task.into()))))
}

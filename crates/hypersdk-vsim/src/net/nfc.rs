//! `/nfc/<ticket>/<file>`: the ticket alone authorises.

use std::io;
use std::sync::Arc;

use futures::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};

use super::download::{Download, Offer};
use super::{Body, Peer, plain};
use crate::faults::{FaultKind, Occasion};
use crate::log::Event;
use crate::model::{LeasePhase, World};

const DISK: &str = "application/x-vnd.vmware-streamVmdk";
const OTHER: &str = "application/octet-stream";

/// What "the ESXi host" serves on a listener of its own, and `/sdk`'s server too.
pub(crate) async fn route(world: Arc<World>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only downloads are simulated\n");
    }
    let Some(offer) = find(&world, request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND, "no such ticket or file\n");
    };
    let kind = if offer.is_disk { DISK } else { OTHER };
    if *request.method() == Method::HEAD {
        return finish(plain(StatusCode::OK, ""), kind);
    }
    let occasion =
        Occasion { method: None, vm: Some((&offer.vm_name, &offer.vm_id)), file: Some(&offer.file) };
    let faults = world.faults.strike(occasion);
    for fault in &faults {
        world.log.push(Event::FaultInjected { target: offer.file.clone(), fault: fault.name().to_owned() });
        if let FaultKind::HttpStatus { status } = fault {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            return plain(status, "a fault rule answers in the server's place\n");
        }
    }
    match Download::open(world, peer, offer, &faults).await {
        Ok(download) => finish(Response::new(body(download)), kind),
        Err(error) => {
            tracing::warn!(%error, "open disk");
            plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
        }
    }
}

fn finish(mut response: Response<Body>, kind: &'static str) -> Response<Body> {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn body(download: Download) -> Body {
    let pieces = stream::unfold(download, async |mut download| {
        let piece = download.next().await?;
        Some((piece.map(Frame::data), download))
    });
    StreamBody::new(pieces).map_err(io::Error::from).boxed_unsync()
}

/// The file a path names, while its lease is ready.
fn find(world: &World, path: &str) -> Option<Offer> {
    let rest = path.strip_prefix("/nfc/").or_else(|| path.strip_prefix("/ha-nfc/"))?;
    let (ticket, file) = rest.split_once('/')?;
    let wanted = file.replace("%20", " ").replace("%25", "%");
    world.read(|state| {
        let lease =
            state.leases.values().find(|lease| lease.ticket == ticket && lease.phase == LeasePhase::Ready)?;
        let file = lease.files.iter().find(|file| file.target == wanted)?;
        Some(Offer {
            lease: lease.moref.id.clone(),
            vm_id: lease.vm.id.clone(),
            vm_name: lease.vm_name.clone(),
            file: file.target.clone(),
            key: file.key.clone(),
            is_disk: file.is_disk(),
            source: file.source.clone(),
            checksum: lease.checksums.get(&file.key).cloned(),
            ended: lease.ended.clone(),
        })
    })
}

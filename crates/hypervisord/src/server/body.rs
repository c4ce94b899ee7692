//! Bodies that tell when they are over.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::crowd::Turn;

/// A body whose end, or whose disappearance, somebody waits for.
#[derive(Debug)]
pub(super) struct Watched<B> {
    body: B,
    turn: Turn,
    is_request: bool,
}

impl<B: Body> Watched<B> {
    /// A request's: once it has ended, the request is whole.
    pub(super) fn request(body: B, turn: Turn) -> Self {
        if body.is_end_stream() {
            turn.whole();
        }
        Watched { body, turn, is_request: true }
    }

    /// An answer's: while it lasts, its connection is at work.
    pub(super) fn response(body: B, turn: Turn) -> Self {
        turn.whole();
        Watched { body, turn, is_request: false }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if self.is_request && (frame.is_none() || self.body.is_end_stream()) {
            self.turn.whole();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

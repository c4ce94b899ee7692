//! Asynchronous codecs on a thread that may block.

use std::fs::File;
use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};

/// A file whose reads block.
#[derive(Debug)]
pub(crate) struct BlockingFile {
    file: File,
}

impl BlockingFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file }
    }
}

impl AsyncRead for BlockingFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.file.read(target.initialize_unfilled())?;
        target.advance(length);
        Poll::Ready(Ok(()))
    }
}

/// Runs a future that waits for nothing but [`BlockingFile`], which never lets it wait.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

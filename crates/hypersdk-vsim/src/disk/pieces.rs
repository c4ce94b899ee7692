//! Buffers for pieces of a stream, used again once the connection is done with them: memory that is asked for and
//! given back for every piece costs more than what is written to it.

use bytes::{Bytes, BytesMut};

use super::{GRAIN, PIECE};

/// A piece and what overshoots it: a grain, a table, markers.
const CAPACITY: usize = PIECE + 2 * GRAIN;
/// Buffers kept; a connection holds about a MiB of pieces at once.
const KEPT: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<BytesMut>);

impl Pieces {
    /// An empty buffer with room for a piece.
    pub(super) fn buffer(&mut self) -> BytesMut {
        match self.0.iter_mut().position(|buffer| buffer.try_reclaim(CAPACITY)) {
            Some(index) => self.0.swap_remove(index),
            None => BytesMut::with_capacity(CAPACITY),
        }
    }

    /// The piece that fills a buffer; nothing, if nothing does.
    pub(super) fn piece(&mut self, mut filled: BytesMut) -> Option<Bytes> {
        let piece = filled.split().freeze();
        if self.0.len() < KEPT {
            self.0.push(filled);
        }
        (!piece.is_empty()).then_some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(pieces: &mut Pieces, byte: u8) -> Bytes {
        let mut buffer = pieces.buffer();
        buffer.resize(PIECE, byte);
        pieces.piece(buffer).unwrap()
    }

    #[test]
    fn a_buffer_is_used_again_only_when_nobody_holds_its_piece() {
        let mut pieces = Pieces::default();
        let (first, second) = (piece(&mut pieces, 1), piece(&mut pieces, 2));
        let place = first.as_ptr();
        assert_ne!(place, second.as_ptr());
        drop(first);
        let third = piece(&mut pieces, 3);
        assert_eq!(place, third.as_ptr());
        assert!(second.iter().all(|byte| *byte == 2) && third.iter().all(|byte| *byte == 3));
    }

    #[test]
    fn nothing_is_no_piece() {
        let mut pieces = Pieces::default();
        let buffer = pieces.buffer();
        assert_eq!(pieces.piece(buffer), None);
    }
}

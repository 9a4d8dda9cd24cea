//! Looks into an answer that passes for the id of its query.

use crate::http::chunked::Keep;
use crate::http::framing::{Body, Framing};
use crate::trino::query_id::QueryId;
use crate::trino::submitted::{Submitted, WINDOW};

/// Sees the first bytes of an answer to a statement, in the framing in which they pass.
#[derive(Debug)]
pub(super) struct IdTap {
    /// Where the body is in the framed bytes.
    body: Body,
    seen: [u8; WINDOW],
    length: usize,
    found: Submitted,
}

impl IdTap {
    /// An answer with this framing, of which no byte has passed.
    pub(super) fn new(framing: Framing) -> IdTap {
        IdTap { body: Body::new(framing), seen: [0; WINDOW], length: 0, found: Submitted::More }
    }

    /// Sees the next bytes, which are whole lines and data of their framing.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && self.found == Submitted::More {
            let (now, later) = rest.split_at(rest.len().min(WINDOW - self.length));
            let piece = &mut self.seen[self.length..self.length + now.len()];
            piece.copy_from_slice(now);
            match self.body.scan(piece, Keep::Data) {
                Ok(scan) if scan.consumed == now.len() || later.is_empty() => {
                    self.length += scan.kept;
                    rest = later;
                }
                // The window's end cuts a line in two: the id comes much earlier.
                Ok(_) | Err(_) => self.found = Submitted::No,
            }
            if self.found == Submitted::More {
                self.found = Submitted::read(&self.seen[..self.length]);
            }
        }
    }

    /// Takes out the id, once it is found.
    pub(super) fn take(&mut self) -> Option<QueryId> {
        let Submitted::Id(id) = self.found else { return None };
        self.found = Submitted::No;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"{\"id\":\"20261124_103000_00042_abcde\",\"infoUri\":\"http://a\"}";

    fn id() -> Option<QueryId> {
        QueryId::parse(b"20261124_103000_00042_abcde")
    }

    #[test]
    fn the_id_is_found_whatever_the_framing() {
        let mut tap = IdTap::new(Framing::Length(ANSWER.len() as u64));
        tap.see(ANSWER);
        assert_eq!(tap.take(), id());
        assert_eq!(tap.take(), None);
        for size in [1, 7, 30, ANSWER.len()] {
            let mut tap = IdTap::new(Framing::Chunked);
            for piece in ANSWER.chunks(size) {
                let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                chunk.extend_from_slice(piece);
                chunk.extend_from_slice(b"\r\n");
                tap.see(&chunk);
            }
            assert_eq!(tap.take(), id(), "{size}");
        }
    }

    #[test]
    fn a_long_answer_without_an_id_is_given_up() {
        let long = vec![b' '; 3 * WINDOW];
        let mut tap = IdTap::new(Framing::UntilClose);
        tap.see(&long);
        assert_eq!(tap.found, Submitted::No);
    }
}

//! Looks into the answer to a statement as it passes: what is its query, and where is it asked for?

use crate::http::chunked::Keep;
use crate::http::framing::{Body, Framing};
use crate::trino::kept::Statement;
use crate::trino::query_id::QueryId;
use crate::trino::submitted::{Submitted, WINDOW, next_path};

/// Sees the first bytes of an answer to a statement, in the framing in which they pass.
#[derive(Debug)]
pub(super) struct IdTap {
    /// Where the body is in the framed bytes.
    body: Body,
    seen: [u8; WINDOW],
    length: usize,
    found: Found,
    /// The statement, if it is to be kept.
    statement: Option<Statement>,
}

/// What was found so far.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Id(QueryId),
    All(QueryId, Option<Box<[u8]>>),
    /// There is no id, or it was taken out.
    No,
}

/// A statement that a coordinator has taken.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its query.
    pub(super) id: QueryId,
    /// The path where that is asked for next.
    pub(super) next: Option<Box<[u8]>>,
    /// The statement, if it is to be kept.
    pub(super) statement: Option<Statement>,
}

impl IdTap {
    /// An answer with this framing, of which no byte has passed.
    pub(super) fn new(framing: Framing, statement: Option<Statement>) -> IdTap {
        let body = Body::new(framing);
        IdTap { body, seen: [0; WINDOW], length: 0, found: Found::Nothing, statement }
    }

    /// Sees the next bytes, which are whole lines and data of their framing.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && matches!(self.found, Found::Nothing | Found::Id(_)) {
            let (now, later) = rest.split_at(rest.len().min(WINDOW - self.length));
            let piece = &mut self.seen[self.length..self.length + now.len()];
            piece.copy_from_slice(now);
            let is_last = match self.body.scan(piece, Keep::Data) {
                Ok(scan) if scan.consumed == now.len() || later.is_empty() => {
                    self.length += scan.kept;
                    rest = later;
                    self.body.is_done() || self.length == WINDOW
                }
                // The window's end cuts a line in two: what matters comes much earlier.
                Ok(_) | Err(_) => true,
            };
            self.look(is_last);
        }
    }

    /// Looks at what was seen, behind which nothing follows if it `is_last`.
    fn look(&mut self, is_last: bool) {
        let seen = &self.seen[..self.length];
        if self.found == Found::Nothing {
            self.found = match Submitted::read(seen) {
                Submitted::Id(id) => Found::Id(id),
                Submitted::More if is_last => Found::No,
                Submitted::More => Found::Nothing,
                Submitted::No => Found::No,
            };
        }
        if let Found::Id(id) = self.found {
            let next = next_path(seen);
            if is_last || next.is_some() {
                self.found = Found::All(id, next);
            }
        }
    }

    /// Takes out what was found, once nothing more is looked for.
    pub(super) fn take(&mut self) -> Option<Taken> {
        if !matches!(self.found, Found::All(..)) {
            return None;
        }
        let Found::All(id, next) = std::mem::replace(&mut self.found, Found::No) else {
            return None;
        };
        Some(Taken { id, next, statement: self.statement.take() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"{\"id\":\"20261124_103000_00042_abcde\",\"infoUri\":\"http://a\",\
        \"nextUri\":\"http://a:8080/v1/statement/queued/x/y/1?slow\",\"stats\":{}}";
    const NEXT: &[u8] = b"/v1/statement/queued/x/y/1";

    /// What is taken out: the id and the path of the next poll.
    fn taken(tap: &mut IdTap) -> Option<(String, Option<Box<[u8]>>)> {
        tap.take().map(|taken| (taken.id.to_string(), taken.next))
    }

    fn chunk(piece: &[u8]) -> Vec<u8> {
        [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
    }

    #[test]
    fn id_and_next_uri_are_found_whatever_the_framing() {
        let expected = Some(("20261124_103000_00042_abcde".to_owned(), Some(NEXT.into())));
        let mut tap = IdTap::new(Framing::Length(ANSWER.len() as u64), None);
        tap.see(ANSWER);
        assert_eq!(taken(&mut tap), expected);
        assert_eq!(taken(&mut tap), None);
        for size in [1, 7, 30, ANSWER.len()] {
            let mut tap = IdTap::new(Framing::Chunked, None);
            for piece in ANSWER.chunks(size) {
                tap.see(&chunk(piece));
            }
            assert_eq!(taken(&mut tap), expected, "{size}");
        }
    }

    #[test]
    fn an_answer_that_ends_the_query_has_an_id_alone() {
        let answer = b"{\"id\":\"20261124_103000_00042_abcde\",\"stats\":{}}";
        let mut tap = IdTap::new(Framing::Length(answer.len() as u64), None);
        tap.see(&answer[..40]);
        assert_eq!(taken(&mut tap), None, "more may follow");
        tap.see(&answer[40..]);
        assert_eq!(taken(&mut tap).map(|(_, next)| next), Some(None));
    }

    #[test]
    fn a_long_answer_without_an_id_is_given_up() {
        let long = vec![b' '; 3 * WINDOW];
        let mut tap = IdTap::new(Framing::UntilClose, None);
        tap.see(&long);
        assert_eq!(tap.found, Found::No);
    }
}

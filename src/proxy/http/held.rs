//! An answer that is kept back until it is known what it says: that to a statement, and those to polls
//! until rows are delivered. Until then the query may go on elsewhere, and its client need not know.

use crate::http::chunked::Keep;
use crate::http::framing::{Body, Framing};
use crate::trino::answer_body::AnswerBody;
use crate::trino::rows::{AnswerScan, Carries};

/// An answer that is kept back.
#[derive(Debug)]
pub(super) struct Held {
    /// Where the body is in the framed bytes.
    framed: Body,
    body: AnswerBody,
    /// The data of framed bytes.
    data: Vec<u8>,
    /// Bytes of our own that the client may have, and bytes of heads among all that it had.
    pub(super) before: (usize, u64),
}

/// How a body that can be read is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyCoding {
    /// Not at all.
    Identity,
    /// By gzip.
    Gzip,
}

impl Held {
    /// An answer of which no byte of the body has come; `before` is what precedes its head.
    pub(super) fn new(framing: Framing, coding: BodyCoding, before: (usize, u64)) -> Held {
        let body = match coding {
            BodyCoding::Identity => AnswerBody::plain(),
            BodyCoding::Gzip => AnswerBody::gzip(),
        };
        Held { framed: Body::new(framing), body, data: Vec::new(), before }
    }

    /// Sees the next bytes, which are whole lines and data of their framing.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        self.data.clear();
        self.data.extend_from_slice(bytes);
        // They were scanned once without an error.
        if let Ok(scan) = self.framed.scan(&mut self.data, Keep::Data) {
            self.body.feed(&self.data[..scan.kept]);
        }
    }

    /// Whether it can be weighed, of which so many bytes are kept back. One that cannot be read may be
    /// passed on though it is not whole.
    pub(super) fn is_ripe(&self, is_whole: bool, length: usize) -> bool {
        is_whole || self.body.scan().carries() == Carries::Unknown || length >= HELD
    }

    /// What it says.
    pub(super) fn scan(&self) -> &AnswerScan {
        self.body.scan()
    }
}

/// Bytes of an answer that are kept back: Trino's pages have a megabyte.
const HELD: usize = 1 << 20;

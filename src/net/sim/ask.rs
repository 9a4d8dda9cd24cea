//! What a client asks, and the outcome.

use std::time::Duration;

use super::act::add_chunk;
use super::end::EndId;
use super::text::Text;
use super::world::World;
use crate::time::Time;

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its id, unique within a run.
    pub id: u32,
    /// Its method.
    pub method: &'static str,
    /// Its version, and whether the connection persists.
    pub version: Version,
    /// Its body.
    pub body: Body,
    /// Whether its body waits for a 100.
    pub expects: bool,
    /// How long the client waits before it asks.
    pub thinks: Duration,
    /// Whether the client leaves in the middle.
    pub leaves: Leaves,
}

/// A request's version, and whether the connection should persist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1, persistent.
    Http11,
    /// HTTP/1.1 with `Connection: close`.
    Http11Close,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.0 with `Connection: keep-alive`.
    Http10KeepAlive,
}

/// A request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// No body.
    Nothing,
    /// This many bytes, announced by `Content-Length`.
    Sized(usize),
    /// This many bytes, in chunks.
    Chunked(usize),
    /// This many bytes, in chunks, followed by bytes that are not a chunk: it must be refused.
    Misframed(usize),
}

/// Whether a client leaves in the middle of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// It stays.
    Never,
    /// After this many bytes of the request.
    AfterSending(usize),
    /// After this many bytes of the answer.
    AfterReceiving(usize),
    /// It sends its FIN after the request, and reads the answer.
    HalfCloses,
    /// It sends its FIN after this many bytes of the request, and reads what arrives.
    EndsAfter(usize),
}

impl Leaves {
    /// Whether it sends its FIN before it is answered.
    pub fn half_closes(self) -> bool {
        match self {
            Leaves::HalfCloses | Leaves::EndsAfter(_) => true,
            Leaves::Never | Leaves::AfterSending(_) | Leaves::AfterReceiving(_) => false,
        }
    }
}

/// One request and its outcome.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request.
    pub ask: Ask,
    /// How it ended.
    pub outcome: Outcome,
    /// When its first byte was sent.
    pub asked: Option<Time>,
    /// When its last byte was sent.
    pub sent: Option<Time>,
    /// When the first byte of a final answer arrived.
    pub answered: Option<Time>,
    /// When it ended.
    pub over: Option<Time>,
    /// The client's end of the connection.
    pub end: Option<EndId>,
    /// Number of earlier exchanges on that connection.
    pub before: usize,
    /// Whether an earlier one had announced that it was the last, or was cut.
    pub after_last: bool,
    /// When the connection became idle before this request.
    pub idle_since: Time,
    /// When the client began to pause in the middle of the request.
    pub stalled: Option<Time>,
    /// When the client left, if all it had sent had arrived by then.
    pub left: Option<Time>,
    /// Number of 100 answers received.
    pub continues: u32,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not asked yet.
    Unasked,
    /// Asked, but not finished.
    Waiting,
    /// Answered completely.
    Whole(Answer),
    /// The answer was visibly cut.
    Cut(Answer),
    /// The connection was closed before a final answer began.
    Closed,
    /// The connection was reset before a final answer began, or the reset destroyed what had
    /// arrived.
    Reset,
    /// The client left.
    Left,
}

/// What a client knows about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The final status.
    pub status: u16,
    /// The server that wrote it, and the delivery it answers; `None` if the proxy wrote it.
    pub by: Option<(u32, u32)>,
    /// Whether it consists of unsolicited bytes from a server.
    pub fake: bool,
}

impl Exchange {
    pub(super) fn new(ask: Ask) -> Exchange {
        Exchange {
            ask,
            outcome: Outcome::Unasked,
            asked: None,
            sent: None,
            answered: None,
            over: None,
            end: None,
            before: 0,
            after_last: false,
            idle_since: Time::ZERO,
            stalled: None,
            left: None,
            continues: 0,
        }
    }

    pub(super) fn finish(&mut self, outcome: Outcome, world: &mut World) {
        let id = self.ask.id;
        world.tell(40 + id as usize, || format!("exchange {id} is over: {outcome:?}"));
        self.outcome = outcome;
        self.over = Some(world.now());
    }
}

impl Ask {
    /// A plain GET.
    pub fn get(id: u32) -> Ask {
        Ask {
            id,
            method: "GET",
            version: Version::Http11,
            body: Body::Nothing,
            expects: false,
            thinks: Duration::ZERO,
            leaves: Leaves::Never,
        }
    }

    /// Whether its body is misframed.
    pub fn is_misframed(&self) -> bool {
        matches!(self.body, Body::Misframed(_))
    }

    /// Whether it may reach servers more than once.
    pub fn is_repeatable(&self) -> bool {
        ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(&self.method)
    }

    /// Bytes of its body, without framing.
    pub fn body_length(&self) -> usize {
        match self.body {
            Body::Nothing => 0,
            Body::Sized(length) | Body::Chunked(length) | Body::Misframed(length) => length,
        }
    }

    pub(super) fn is_old(&self) -> bool {
        matches!(self.version, Version::Http10 | Version::Http10KeepAlive)
    }

    pub(super) fn closes(&self) -> bool {
        matches!(self.version, Version::Http10 | Version::Http11Close)
    }

    pub(super) fn head(&self) -> Vec<u8> {
        let (method, id) = (self.method, self.id);
        let version = if self.is_old() { "1.0" } else { "1.1" };
        let mut head = format!("{method} /x/{id} HTTP/{version}\r\nHost: sim.example\r\n");
        match self.version {
            Version::Http11 if id % 3 == 0 => head.push_str("Connection: X-Hop\r\nX-Hop: no\r\n"),
            Version::Http11 | Version::Http10 => {}
            Version::Http11Close => head.push_str("Connection: close\r\n"),
            Version::Http10KeepAlive => head.push_str("Connection: keep-alive\r\n"),
        }
        if self.expects {
            head.push_str("Expect: 100-continue\r\n");
        }
        match self.body {
            Body::Nothing => {}
            Body::Sized(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
            Body::Chunked(_) | Body::Misframed(_) => {
                head.push_str("Transfer-Encoding: chunked\r\n");
            }
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    pub(super) fn body_bytes(&self) -> Vec<u8> {
        let text = Text { id: self.id, by: Text::CLIENT, attempt: 0 };
        match self.body {
            Body::Nothing => Vec::new(),
            Body::Sized(length) => text.slice(0, length),
            Body::Chunked(length) | Body::Misframed(length) => {
                let mut out = Vec::new();
                for (place, chunk) in text.slice(0, length).chunks(CHUNK).enumerate() {
                    let zeros = if place % 3 == 2 { "0" } else { "" };
                    add_chunk(&mut out, &format!("{zeros}{:x}", chunk.len()), chunk);
                }
                let right = matches!(self.body, Body::Chunked(_));
                out.extend_from_slice(if right { b"0\r\n\r\n" } else { b"no chunk\r\n" });
                out
            }
        }
    }
}

/// Data bytes per chunk.
const CHUNK: usize = 333;

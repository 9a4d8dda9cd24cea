//! How a simulated server answers one request, correctly or not, and the bytes of its answer.

use std::time::Duration;

use super::channel::Channel;
use super::end::EndId;
use super::faults::Family;
use super::pace::Pace;
use super::rng::Rng;
use super::text::Text;
use super::world::World;

/// The plan of one answer.
#[derive(Clone, Debug)]
pub struct Act {
    /// The final status.
    pub status: u16,
    /// The framing of the body.
    pub framing: AnswerFraming,
    /// Bytes of the body.
    pub length: usize,
    /// Delay before the answer begins.
    pub delay: Duration,
    /// Whether a 103 comes first.
    pub interim: bool,
    /// Whether the answer is sent before the request's body is complete.
    pub early: bool,
    /// How much of it is sent.
    pub fate: Fate,
    /// What happens to the connection afterwards.
    pub then: Then,
    /// How fast it is sent.
    pub pace: Pace,
}

/// How an answer's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFraming {
    /// By its length.
    Sized,
    /// In chunks, in canonical form.
    Chunked,
    /// In chunks with leading zeros, extensions and trailers: valid, but not to be passed on.
    OddChunks,
    /// By the end of the connection.
    UntilClose,
}

/// How much of an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// All of it.
    Whole,
    /// The connection is closed after this many bytes.
    Cut {
        /// Bytes of the answer, including the head.
        after: usize,
        /// Closed by RST, not by FIN.
        reset: bool,
    },
    /// Nothing more is sent after this many bytes, and the connection stays open.
    Hangs {
        /// Bytes of the answer, including the head.
        after: usize,
    },
    /// These bytes are sent instead of an answer.
    Malformed(&'static str),
    /// A chunk is followed by bytes that are not a chunk; only with chunked framing.
    BadChunk,
}

/// What happens to a server's connection after a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It waits for the next request.
    Keeps,
    /// It is closed, as the answer's head announced.
    Closes,
    /// Like `Closes`, but only after this time.
    ClosesLate(Duration),
    /// It is closed unannounced after this idle time.
    ClosesIdle(Duration),
    /// Unsolicited bytes are sent on it after this idle time.
    SendsUnasked(Duration),
    /// Unsolicited bytes follow the answer at once.
    SendsSurplus,
}

impl Fate {
    /// What becomes of a TLS handshake, with the faults that strike.
    pub(super) fn of_handshake(rng: &mut Rng, world: &mut World) -> Fate {
        let mut strike = |family| {
            let World { faults, rng, .. } = &mut *world;
            faults.strike(family, rng)
        };
        let after = rng.within(0..=HANDSHAKE);
        if strike(Family::CutsAnswers) {
            Fate::Cut { after, reset: rng.one_in(2) }
        } else if strike(Family::Hangs) {
            Fate::Hangs { after }
        } else if strike(Family::MalformedAnswers) {
            Fate::Malformed(PLAIN)
        } else {
            Fate::Whole
        }
    }
}

impl Act {
    /// A plain 200 with a body of `length` bytes.
    pub fn plain(length: usize) -> Act {
        Act {
            status: 200,
            framing: AnswerFraming::Sized,
            length,
            delay: Duration::ZERO,
            interim: false,
            early: false,
            fate: Fate::Whole,
            then: Then::Keeps,
            pace: Pace::AtOnce,
        }
    }

    /// A random act on a connection, with the faults that strike.
    pub(super) fn random(rng: &mut Rng, channel: &Channel, world: &mut World) -> Act {
        let mut strike = |family| {
            let World { faults, rng, .. } = &mut *world;
            faults.strike(family, rng)
        };
        let framing = rng.pick(&[
            AnswerFraming::Sized,
            AnswerFraming::Sized,
            AnswerFraming::Chunked,
            AnswerFraming::OddChunks,
            AnswerFraming::UntilClose,
        ]);
        let length = rng.pick(&[0, 1, 40, 700, 3000, 6000]);
        let after = rng.within(0..=length + 200);
        // A FIN is the regular end of an unframed body: only a reset cuts it. Over TLS, that end is
        // announced.
        let ends = framing == AnswerFraming::UntilClose && !channel.is_covered();
        let reset = rng.one_in(2) || ends;
        let fate = if strike(Family::CutsAnswers) {
            Fate::Cut { after, reset }
        } else if strike(Family::Hangs) {
            Fate::Hangs { after: if rng.one_in(2) { 0 } else { after } }
        } else if strike(Family::MalformedAnswers) {
            let chunked = matches!(framing, AnswerFraming::Chunked | AnswerFraming::OddChunks);
            let late = chunked && rng.one_in(2);
            if late { Fate::BadChunk } else { Fate::Malformed(rng.pick(&MALFORMED)) }
        } else {
            Fate::Whole
        };
        let idle = rng.pick(&[IDLE, BARELY_IDLE]);
        let idle = rng.duration(Duration::ZERO..=idle);
        let then = if framing == AnswerFraming::UntilClose {
            Then::Closes
        } else if rng.one_in(6) {
            if rng.one_in(2) { Then::Closes } else { Then::ClosesLate(idle) }
        } else if strike(Family::UnsolicitedBytes) {
            if rng.one_in(2) { Then::SendsUnasked(idle) } else { Then::SendsSurplus }
        } else if strike(Family::IdleCloses) {
            Then::ClosesIdle(idle)
        } else {
            Then::Keeps
        };
        let pace = if strike(Family::SlowDrip) {
            Pace::Drips { bytes: rng.within(20..=600), pause: rng.duration(Duration::ZERO..=DRIP) }
        } else {
            Pace::AtOnce
        };
        Act {
            status: rng.pick(&[200, 200, 200, 200, 200, 200, 204, 304, 404, 500]),
            framing,
            length,
            delay: if rng.one_in(3) {
                rng.duration(Duration::ZERO..=DELAY)
            } else {
                Duration::ZERO
            },
            interim: rng.one_in(8),
            // Surplus after an early answer would have no recognisable start.
            early: then != Then::SendsSurplus && strike(Family::EarlyAnswers),
            fate,
            then,
            pace,
        }
    }
}

/// The bytes of an answer.
pub(super) fn render(act: &Act, text: Text, to_head: bool) -> Vec<u8> {
    if let Fate::Malformed(bytes) = act.fate {
        return bytes.as_bytes().to_vec();
    }
    let mut out = Vec::new();
    if act.interim {
        out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n");
    }
    let Text { id, by, attempt } = text;
    let (status, length) = (act.status, act.length);
    out.extend_from_slice(
        format!(
            "HTTP/1.1 {status} Whatever\r\nX-Id: {id}\r\nX-Server: {by}\r\nX-Attempt: {attempt}\r\n\
             X-Length: {length}\r\nKeep-Alive: timeout=7\r\nX-Hop: must not be passed on\r\n"
        )
        .as_bytes(),
    );
    let connection = match act.then {
        Then::Closes | Then::ClosesLate(_) => "close, X-Hop",
        Then::Keeps | Then::ClosesIdle(_) | Then::SendsUnasked(_) | Then::SendsSurplus => "X-Hop",
    };
    out.extend_from_slice(format!("Connection: {connection}\r\n").as_bytes());
    let bodiless = matches!(act.status, 204 | 304);
    match act.framing {
        AnswerFraming::Sized if !bodiless => {
            out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        AnswerFraming::Chunked | AnswerFraming::OddChunks if !bodiless => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        AnswerFraming::Sized
        | AnswerFraming::Chunked
        | AnswerFraming::OddChunks
        | AnswerFraming::UntilClose => {}
    }
    out.extend_from_slice(b"\r\n");
    if !bodiless && !to_head {
        add_body(&mut out, act, &text.slice(0, length));
    }
    out
}

fn add_body(out: &mut Vec<u8>, act: &Act, body: &[u8]) {
    match act.framing {
        AnswerFraming::Sized | AnswerFraming::UntilClose => out.extend_from_slice(body),
        AnswerFraming::Chunked => {
            for chunk in body.chunks(CHUNK) {
                add_chunk(out, &format!("{:x}", chunk.len()), chunk);
            }
            let last: &[u8] = if act.fate == Fate::BadChunk { b"-1\r\n" } else { b"0\r\n\r\n" };
            out.extend_from_slice(last);
        }
        AnswerFraming::OddChunks => {
            for chunk in body.chunks(CHUNK) {
                add_chunk(out, &format!("00{:X};name=\"a value\"", chunk.len()), chunk);
            }
            let last: &[u8] = if act.fate == Fate::BadChunk {
                b"0;a=\"\n"
            } else {
                b"000;last\r\nX-Trailer: yes\r\n\r\n"
            };
            out.extend_from_slice(last);
        }
    }
}

/// An answer to no request. It names the server's end that sent it.
pub(super) fn fake_answer(end: EndId) -> String {
    format!("HTTP/1.1 200 OK\r\nX-Fake: {}\r\nContent-Length: 4\r\n\r\nfake", end.0)
}

/// Appends one chunk with its size spelt as given.
pub(super) fn add_chunk(out: &mut Vec<u8>, size: &str, data: &[u8]) {
    out.extend_from_slice(size.as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Answers that break the rules before any part of them may be passed on.
const MALFORMED: [&str; 8] = [
    "nonsense\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
];

/// What a server without TLS says to a handshake.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
/// About as many bytes as a server sends in a handshake.
const HANDSHAKE: usize = 900;
/// The longest delay of an answer, and the longest pause within it.
const DELAY: Duration = Duration::from_millis(900);
const DRIP: Duration = Duration::from_millis(200);
/// The longest time before a server spoils an idle connection.
const IDLE: Duration = Duration::from_secs(2);
/// The longest time before a server spoils a connection to collide with the next request.
const BARELY_IDLE: Duration = Duration::from_millis(20);
/// Data bytes per chunk.
const CHUNK: usize = 500;

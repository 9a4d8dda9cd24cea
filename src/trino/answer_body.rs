//! The body of an answer, plain or gzipped, on its way to [`AnswerScan`].
//!
//! Inflates by windows and no further than is read, whatever a small body could grow to. The client gets
//! the body as it came and checks its sum; that is not done here. RFC 1952, RFC 1951.

use std::fmt;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use super::rows::{AnswerScan, Carries};

/// Reads the body of an answer as it comes.
#[derive(Debug)]
pub struct AnswerBody {
    scan: AnswerScan,
    coding: Coding,
}

/// How the body comes.
#[derive(Debug)]
enum Coding {
    Identity,
    Gzip(Member),
}

/// Where in a gzip member the next byte is.
enum Member {
    /// In its header, of which so many bytes were there.
    Header(usize),
    Deflated(Box<InflateState>),
    /// In its sum and length.
    Trailer,
}

impl AnswerBody {
    /// A body in identity coding.
    pub fn plain() -> AnswerBody {
        AnswerBody { scan: AnswerScan::default(), coding: Coding::Identity }
    }

    /// A body in gzip coding. It has one member without a name or other extras, as Trino writes it: with
    /// anything else it is unknown what the answer carries.
    pub fn gzip() -> AnswerBody {
        AnswerBody { scan: AnswerScan::default(), coding: Coding::Gzip(Member::Header(0)) }
    }

    /// What was read.
    pub fn scan(&self) -> &AnswerScan {
        &self.scan
    }

    /// Reads on, and says what is known now.
    pub fn feed(&mut self, bytes: &[u8]) -> Carries {
        match &mut self.coding {
            Coding::Identity => self.scan.feed(bytes),
            Coding::Gzip(member) => member.feed(bytes, &mut self.scan),
        }
    }
}

impl Member {
    fn feed(&mut self, mut bytes: &[u8], scan: &mut AnswerScan) -> Carries {
        if let Member::Header(before) = self {
            let count = bytes.len().min(HEADER - *before);
            let (header, rest) = bytes.split_at(count);
            if !is_header(*before, header) {
                return scan.give_up();
            }
            *before += count;
            bytes = rest;
            if *before == HEADER {
                *self = Member::Deflated(InflateState::new_boxed(DataFormat::Raw));
            }
        }
        if let Member::Deflated(state) = self {
            match inflated(state, bytes, scan) {
                Inflated::More => {}
                Inflated::Whole => *self = Member::Trailer,
                Inflated::Broken => return scan.give_up(),
            }
        }
        scan.carries()
    }
}

/// Whether these may be the bytes of a header, behind so many others.
fn is_header(before: usize, bytes: &[u8]) -> bool {
    // Identification, method and flags are fixed; the time, the compressor and the system are not.
    bytes.iter().enumerate().all(|(at, byte)| FIXED.get(before + at).is_none_or(|it| it == byte))
}

/// How far a body is.
enum Inflated {
    More,
    Whole,
    Broken,
}

/// Inflates, until the bytes are used up or all is known.
fn inflated(state: &mut InflateState, mut bytes: &[u8], scan: &mut AnswerScan) -> Inflated {
    let mut window = [0; WINDOW];
    while !scan.is_done() {
        let step = inflate(state, bytes, &mut window, MZFlush::None);
        bytes = &bytes[step.bytes_consumed..];
        scan.feed(&window[..step.bytes_written]);
        match step.status {
            Ok(MZStatus::StreamEnd) => return Inflated::Whole,
            // Output may be left when the input is used up: until it asks for more.
            Err(MZError::Buf) if bytes.is_empty() => return Inflated::More,
            Ok(MZStatus::Ok) => {}
            Ok(MZStatus::NeedDict) | Err(_) => return Inflated::Broken,
        }
    }
    Inflated::More
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Member::Header(_) => "Header",
            Member::Deflated(_) => "Deflated",
            Member::Trailer => "Trailer",
        })
    }
}

/// Bytes of a header without extras.
const HEADER: usize = 10;
/// What it begins with: identification, deflate, no flags.
const FIXED: [u8; 4] = [0x1f, 0x8b, 8, 0];
/// Bytes that are inflated at once.
const WINDOW: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec;

    use super::*;
    use crate::trino::rows::{LIMIT, QueryState};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let header = [0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 0, 255];
        [&header[..], &compress_to_vec(text, 6), &[0; 8]].concat()
    }

    fn feed<'a>(mut body: AnswerBody, parts: impl IntoIterator<Item = &'a [u8]>) -> AnswerBody {
        for part in parts {
            let carries = body.feed(part);
            assert_eq!(carries, body.scan().carries());
        }
        body
    }

    fn said(body: &AnswerBody) -> (Carries, bool, Option<QueryState>, Option<&[u8]>) {
        let scan = body.scan();
        (scan.carries(), scan.is_whole(), scan.state(), scan.next_uri())
    }

    #[test]
    fn a_gzipped_answer_is_read_as_a_plain_one_however_it_is_split() {
        let long = format!("{{\"columns\":[{}1],\"stats\":{{}}}}", "\"abc\",".repeat(12_000));
        for text in [
            r#"{"id":"a","nextUri":"b","columns":[],"data":[[1]],"stats":{"state":"RUNNING"}}"#,
            r#"{"id":"a","nextUri":"b","stats":{"state":"FINISHED"}}"#,
            r#"{"id":"a","nextUri":"#,
            r#"{"id":"a"}"#,
            "<html>",
            "",
            &long,
        ] {
            let plain = feed(AnswerBody::plain(), [text.as_bytes()]);
            let body = gzip(text.as_bytes());
            for cut in 0..=body.len() {
                let parts = [&body[..cut], &body[cut..]];
                assert_eq!(said(&feed(AnswerBody::gzip(), parts)), said(&plain), "{cut}");
            }
            assert_eq!(said(&feed(AnswerBody::gzip(), body.chunks(1))), said(&plain));
        }
    }

    #[test]
    fn what_is_not_gzip_of_the_known_form_is_unknown() {
        let good = gzip(b"{\"stats\":{}}");
        let mut named = good.clone();
        named[3] = 8;
        let mut broken = good.clone();
        broken[10] = 7;
        for body in [&named[..], &broken, b"{\"stats\":{}}", b"\x1f\x8b\x08\xff", b"x"] {
            for cut in 0..=body.len() {
                let parts = [&body[..cut], &body[cut..]];
                let read = feed(AnswerBody::gzip(), parts);
                assert_eq!(read.scan().carries(), Carries::Unknown, "{body:?}");
            }
        }
        let cut_short = feed(AnswerBody::gzip(), [&good[..good.len() - 12]]);
        assert!(!cut_short.scan().is_whole());
    }

    #[test]
    fn a_small_body_that_grows_is_inflated_up_to_the_limit_alone() {
        let text = format!("{{\"columns\":[\"{}", "a".repeat(40 << 20));
        let body = gzip(text.as_bytes());
        assert!(body.len() < LIMIT / 32);
        assert_eq!(feed(AnswerBody::gzip(), [&body[..]]).scan().carries(), Carries::Rows);
        assert!(size_of::<AnswerBody>() <= 272);
    }
}

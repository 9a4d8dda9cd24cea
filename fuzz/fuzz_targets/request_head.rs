//! A request head is accepted exactly if RFC 9112 has nothing against it, with the same meaning,
//! however its bytes are split.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchover::buffer::{Buffer, BufferPool};
use switchover::http::framing::Framing;
use switchover::http::head::{self, HeadError, HeadLimits, HeadScan, MAX_FIELDS, Version};
use switchover::proxy::http::request::Request;
use switchover_fuzz::feed::cuts;
use switchover_fuzz::oracle::framing::Declared;
use switchover_fuzz::oracle::{self, Limits, Reading};

fuzz_target!(|input: &[u8]| {
    for (line, total) in LIMITS {
        let limits = HeadLimits { line, total };
        let whole = scan(input, [], limits);
        for cut in cuts(input.len()) {
            assert_eq!(scan(input, [cut], limits), whole, "split at {cut}, {limits:?}");
        }
        assert_eq!(scan(input, 0..input.len(), limits), whole, "byte by byte, {limits:?}");
        let expected = oracle::request::read(input, Limits { line, total, fields: MAX_FIELDS });
        compare(input, whole, &expected);
    }
});

/// What can be said when so much has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scanned {
    Waiting,
    /// The head stands between these places.
    Head(usize, usize),
    Refused(HeadError),
}

/// Looks for a head as a session does, in pieces that end at `cuts` and at the end of `input`.
fn scan(input: &[u8], cuts: impl IntoIterator<Item = usize>, limits: HeadLimits) -> Scanned {
    let (mut start, mut scan) = (0, None);
    for cut in cuts.into_iter().chain([input.len()]) {
        if scan.is_none() {
            match head::empty_lines(&input[start..cut]) {
                Ok(empty) => start += empty,
                Err(refused) => return Scanned::Refused(refused),
            }
            if start > head::MAX_EMPTY_LINES * 2 {
                return Scanned::Refused(HeadError::EmptyLines);
            }
            if matches!(input[start..cut], [] | [b'\r']) {
                continue;
            }
        }
        match scan.get_or_insert_with(HeadScan::default).end(&input[start..cut], limits) {
            Ok(None) => {}
            Ok(Some(length)) => return Scanned::Head(start, start + length),
            Err(refused) => return Scanned::Refused(refused),
        }
    }
    Scanned::Waiting
}

fn compare(input: &[u8], scanned: Scanned, expected: &Reading<oracle::request::Request>) {
    let refusal = match scanned {
        Scanned::Waiting => {
            assert!(matches!(expected, Reading::Unfinished(_)), "waits: {expected:?}");
            return;
        }
        Scanned::Refused(error) => error.status(),
        Scanned::Head(start, end) => match read(&input[start..end]) {
            Ok(request) => return compare_meaning(&request, end, expected),
            Err(status) => status,
        },
    };
    let faults = match expected {
        Reading::Accepted { doubts, .. } => doubts,
        Reading::Refused(faults) | Reading::Unfinished(faults) => faults,
    };
    assert!(oracle::explain(faults, refusal), "refused with {refusal}: {expected:?}");
}

/// Reads a head that comes to its buffer in two pieces.
fn read(head: &[u8]) -> Result<Request, u16> {
    let (mut pool, mut buffer) = (BufferPool::default(), Buffer::default());
    let (first, second) = head.split_at(head.len() / 2);
    pool.append(&mut buffer, first);
    pool.append(&mut buffer, second);
    let (request, read) = Request::read(buffer, Vec::new());
    read.map_err(|refusal| refusal.status())?;
    Ok(request)
}

fn compare_meaning(request: &Request, end: usize, expected: &Reading<oracle::request::Request>) {
    let Reading::Accepted { head, length, .. } = expected else { panic!("accepted: {expected:?}") };
    assert_eq!(end, *length);
    assert_eq!(request.at(request.method), head.method);
    assert_eq!(request.at(request.target), head.target);
    let version = match request.version {
        Version::Http10 => oracle::Version::Old,
        Version::Http11 => oracle::Version::Current,
    };
    assert_eq!(version, head.version);
    assert_eq!([request.missing, request.at(request.path)].concat(), head.path);
    assert_eq!(request.authority(), head.authority.as_deref());
    let framing = match request.framing {
        Framing::None => Declared::Nothing,
        Framing::Length(length) => Declared::Length(length),
        Framing::Chunked => Declared::Chunked,
        Framing::UntilClose => panic!("no request ends with its connection"),
    };
    assert_eq!(framing, head.framing);
    assert_eq!(request.is_persistent(), head.persistent);
    assert_eq!(request.expects_continue, head.expects_continue);
    let fields = request.fields().iter().map(|field| (field.name, field.value));
    assert!(fields.eq(head.fields.iter().map(|field| (&field.name[..], &field.value[..]))));
}

/// As configured by default, small enough to be met, and with the head as small as its first line.
const LIMITS: [(usize, usize); 3] = [(8192, 32768), (48, 192), (64, 64)];

//! A response head is accepted exactly if RFC 9112 has nothing against it, with the same meaning,
//! however its bytes are split.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchover::http::framing::{self, Framing};
use switchover::http::head::{self, HeadError, HeadLimits, HeadScan, MAX_FIELDS, Version};
use switchover_fuzz::feed::cuts;
use switchover_fuzz::oracle::response::{Body, Response};
use switchover_fuzz::oracle::{self, Limits, Reading};

fuzz_target!(|input: &[u8]| {
    for limit in LIMITS {
        let whole = scan(input, [], limit);
        for cut in cuts(input.len()) {
            assert_eq!(scan(input, [cut], limit), whole, "split at {cut}, {limit}");
        }
        assert_eq!(scan(input, 0..input.len(), limit), whole, "byte by byte, {limit}");
        let limits = Limits { line: limit, total: limit, fields: MAX_FIELDS };
        compare(input, whole, &oracle::response::read(input, limits));
    }
});

/// Looks for a head in pieces that end at `cuts` and at the end of `input`.
fn scan(
    input: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    limit: usize,
) -> Result<Option<usize>, HeadError> {
    let mut scan = HeadScan::default();
    for cut in cuts.into_iter().chain([input.len()]) {
        match scan.end(&input[..cut], HeadLimits { line: limit, total: limit }) {
            Ok(None) => {}
            found @ (Ok(Some(_)) | Err(_)) => return found,
        }
    }
    Ok(None)
}

fn compare(input: &[u8], scanned: Result<Option<usize>, HeadError>, expected: &Reading<Response>) {
    let end = match (scanned, expected) {
        (Ok(Some(end)), _) => end,
        (Ok(None), Reading::Unfinished(_)) | (Err(_), Reading::Refused(_)) => return,
        (Ok(None), _) => panic!("waits: {expected:?}"),
        (Err(_), Reading::Accepted { doubts: faults, .. } | Reading::Unfinished(faults)) => {
            assert!(!faults.is_empty(), "refused: {expected:?}");
            return;
        }
    };
    let mut places = Vec::new();
    let parsed = head::parse_response(&input[..end], &mut places);
    let read = parsed.and_then(|parsed| {
        let declared = framing::of_response(&parsed, false).map_err(|_| HeadError::Malformed)?;
        Ok((parsed, declared))
    });
    match (read, expected) {
        (Ok((parsed, declared)), Reading::Accepted { head, length, .. }) => {
            assert_eq!(end, *length);
            compare_meaning(&parsed, declared, head);
        }
        (Ok(_), _) => panic!("accepted: {expected:?}"),
        (Err(_), Reading::Accepted { doubts, .. }) => {
            assert!(!doubts.is_empty(), "refused: {expected:?}");
        }
        (Err(_), Reading::Refused(_)) => {}
        (Err(_), Reading::Unfinished(_)) => panic!("found an end: {expected:?}"),
    }
}

fn compare_meaning(parsed: &head::ResponseHead<'_>, declared: Framing, head: &Response) {
    let version = match parsed.version {
        Version::Http10 => oracle::Version::Old,
        Version::Http11 => oracle::Version::Current,
    };
    assert_eq!((version, parsed.status), (head.version, head.status));
    assert_eq!(parsed.reason, head.reason);
    assert_eq!(body(declared), head.body(false));
    let to_head = framing::of_response(parsed, true).expect("the fields are the same");
    assert_eq!(body(to_head), head.body(true));
    let fields = parsed.fields.iter().map(|field| (field.name, field.value));
    assert!(fields.eq(head.fields.iter().map(|field| (&field.name[..], &field.value[..]))));
}

fn body(framing: Framing) -> Body {
    match framing {
        Framing::None => Body::Nothing,
        Framing::Length(length) => Body::Length(length),
        Framing::Chunked => Body::Chunked,
        Framing::UntilClose => Body::UntilClose,
    }
}

/// More than any input has, and small enough to be met.
const LIMITS: [usize; 2] = [1 << 20, 96];

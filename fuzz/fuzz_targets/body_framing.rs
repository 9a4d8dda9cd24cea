//! A body has the same end and the same data however its bytes are split, and is the body that the
//! rules describe; what is passed on says the same in canonical spelling.
//!
//! The first byte of the input chooses the framing: `L` with the length in the second byte, `U`
//! until the connection closes, any other chunked. The rest is the body and what follows it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchover::http::chunked::Keep;
use switchover::http::framing::{Body, Framing};
use switchover_fuzz::feed::{Fed, check_chunks, cuts, feed};

fuzz_target!(|input: &[u8]| {
    let (framing, bytes) = match input {
        [b'L', length, rest @ ..] => (Framing::Length((*length).into()), rest),
        [b'U', rest @ ..] => (Framing::UntilClose, rest),
        [_, rest @ ..] => (Framing::Chunked, rest),
        [] => return,
    };
    for keep in [Keep::Framing, Keep::Data] {
        let whole = feed(Body::new(framing), bytes, [], keep);
        for cut in cuts(bytes.len()) {
            assert_eq!(feed(Body::new(framing), bytes, [cut], keep), whole, "split at {cut}");
        }
        assert_eq!(feed(Body::new(framing), bytes, 0..bytes.len(), keep), whole, "byte by byte");
        match framing {
            Framing::Chunked => check_chunks(bytes, &whole, keep),
            Framing::Length(length) => {
                let end = bytes.len().min(usize::try_from(length).expect("came from one byte"));
                let is_whole = end as u64 == length;
                let behind = is_whole.then(|| bytes[end..].to_vec());
                assert_eq!(whole, Ok(Fed { kept: bytes[..end].to_vec(), behind }));
            }
            Framing::UntilClose | Framing::None => {
                assert_eq!(whole, Ok(Fed { kept: bytes.to_vec(), behind: None }));
            }
        }
    }
});

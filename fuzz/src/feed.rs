//! Bodies handed to the proxy piece by piece, and what must be true of what it passes on.

use switchover::http::chunked::{ChunkError, ChunkScanner, Keep, Scan};
use switchover::http::framing::Body;

use crate::oracle::chunks::{self, End};

/// What follows a body through its bytes.
pub trait Follows {
    /// As [`ChunkScanner::scan`].
    fn scan(&mut self, bytes: &mut [u8], keep: Keep) -> Result<Scan, ChunkError>;
    /// Whether the body has ended.
    fn is_done(&self) -> bool;
}

impl Follows for Body {
    fn scan(&mut self, bytes: &mut [u8], keep: Keep) -> Result<Scan, ChunkError> {
        Body::scan(self, bytes, keep)
    }

    fn is_done(&self) -> bool {
        Body::is_done(self)
    }
}

impl Follows for ChunkScanner {
    fn scan(&mut self, bytes: &mut [u8], keep: Keep) -> Result<Scan, ChunkError> {
        ChunkScanner::scan(self, bytes, keep)
    }

    fn is_done(&self) -> bool {
        ChunkScanner::is_done(self)
    }
}

/// What became of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed {
    /// All that was passed on.
    pub kept: Vec<u8>,
    /// What was left untouched behind its end; none if it has not ended.
    pub behind: Option<Vec<u8>>,
}

/// Hands over `input` in pieces that end at `cuts`, which rise, and at its end.
pub fn feed(
    mut body: impl Follows,
    input: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    keep: Keep,
) -> Result<Fed, ChunkError> {
    let (mut kept, mut pending, mut before, mut from) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for cut in cuts.into_iter().chain([input.len()]) {
        pending.extend_from_slice(&input[from..cut]);
        from = cut;
        before.clone_from(&pending);
        let scan = body.scan(&mut pending, keep)?;
        assert!(scan.kept <= scan.consumed && scan.consumed <= pending.len());
        assert_eq!(
            pending[scan.consumed..],
            before[scan.consumed..],
            "changed what is to be shown again"
        );
        kept.extend_from_slice(&pending[..scan.kept]);
        pending.drain(..scan.consumed);
        assert!(body.is_done() || pending.len() <= MAX_PENDING, "asks for more and more");
    }
    Ok(Fed { kept, behind: body.is_done().then_some(pending) })
}

/// Where to split an input in two: at every byte, or of a long one at some, to try more inputs.
pub fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..=length).step_by(if length > LONG { length / CUTS_OF_LONG } else { 1 })
}

/// Compares what became of a chunked body with the slow reading of it.
pub fn check_chunks(input: &[u8], fed: &Result<Fed, ChunkError>, keep: Keep) {
    let expected = chunks::read(input);
    let Ok(fed) = fed else {
        assert!(
            expected.end == End::Broken || expected.perhaps_too_large(),
            "refused: {expected:?}"
        );
        return;
    };
    assert!(!expected.surely_too_large(), "no limit: {expected:?}");
    let behind = match expected.end {
        End::Whole(length) => Some(&input[length..]),
        End::Trailers | End::Unfinished => None,
        End::Broken => panic!("passed on: {expected:?}"),
    };
    assert_eq!(fed.behind.as_deref(), behind, "another end");
    match keep {
        Keep::Data => assert_eq!(fed.kept, expected.data(), "other data"),
        Keep::Framing => {
            let again = chunks::read(&fed.kept);
            assert_eq!(again.data(), expected.data(), "other data");
            let canonical = expected.canonical();
            match behind {
                Some(_) => assert_eq!(fed.kept, canonical, "another spelling"),
                None => assert!(canonical.starts_with(&fed.kept), "another spelling"),
            }
        }
    }
}

/// A line of the largest size, unfinished: nothing longer need ever be held back.
const MAX_PENDING: usize = 4200;
/// Longer inputs are not split at every byte.
const LONG: usize = 512;
/// Splits of a long input.
const CUTS_OF_LONG: usize = 64;

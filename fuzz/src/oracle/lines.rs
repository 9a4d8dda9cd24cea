//! Where a head begins, ends and exceeds its limits. RFC 9112, section 2.2.

use super::{Fault, Limits};

/// A head as lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines<'a> {
    /// Lines without their ends, first line first, and where the head ends.
    Whole {
        /// At least one.
        lines: Vec<&'a [u8]>,
        /// Where the bytes behind the head begin.
        length: usize,
        /// What is wrong with lines as such.
        faults: Vec<Fault>,
    },
    /// What must be refused before the end is seen.
    Refused(Vec<Fault>),
    /// No end yet, and what may be refused already.
    Unfinished(Vec<Fault>),
}

/// Whether empty lines may stand before the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// A few: it is a request.
    EmptyLines,
    /// None: it is a response.
    Nothing,
}

/// Takes bytes apart into the lines of a head.
pub fn split(bytes: &[u8], before: Before, limits: Limits) -> Lines<'_> {
    let mut start = 0;
    while before == Before::EmptyLines && bytes[start..].starts_with(b"\r\n") {
        start += 2;
    }
    if start > EMPTY_LINES * 2 {
        return Lines::Refused(vec![Fault::EmptyLines]);
    }
    let text = &bytes[start..];
    let end = if text.starts_with(b"\r\n") { Some(0) } else { find(text, b"\r\n\r\n") };
    match end {
        Some(end) => {
            let lines = cut(&text[..end]);
            let mut faults = faults_of(&lines, limits);
            let gap = if end == 0 { 2 } else { 4 };
            if end + gap > limits.total {
                faults.push(Fault::TooLarge);
            }
            Lines::Whole { lines, length: start + end + gap, faults }
        }
        None => unfinished(text, limits),
    }
}

fn unfinished(text: &[u8], limits: Limits) -> Lines<'_> {
    let lines = cut(text);
    let mut faults = faults_of(&lines, limits);
    if text.len() > limits.total {
        faults.push(Fault::TooLarge);
    }
    // The last two bytes may be on their way to become a line end.
    let surely = |length: usize, limit: usize| length.saturating_sub(2) > limit;
    let beyond = surely(text.len(), limits.total)
        || lines.iter().any(|line| surely(line.len(), limits.line))
        || lines.len() > limits.fields.saturating_add(2);
    if beyond { Lines::Refused(faults) } else { Lines::Unfinished(faults) }
}

fn faults_of(lines: &[&[u8]], limits: Limits) -> Vec<Fault> {
    let mut faults = Vec::new();
    if lines.iter().any(|line| line.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0))) {
        faults.push(Fault::LineEnd);
    }
    if lines[0].len() > limits.line {
        faults.push(Fault::LongFirstLine);
    }
    if lines[1..].iter().any(|line| line.len() > limits.line) || lines.len() - 1 > limits.fields {
        faults.push(Fault::TooLarge);
    }
    faults
}

/// The parts of `text` between CRLFs.
fn cut(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = find(rest, b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Empty lines before a request that are skipped.
const EMPTY_LINES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { line: 8, total: 24, fields: 2 };

    fn lines(text: &str) -> Lines<'_> {
        split(text.as_bytes(), Before::EmptyLines, LIMITS)
    }

    #[test]
    fn a_head_ends_at_its_first_empty_line() {
        let whole = Lines::Whole { lines: vec![b"a", b"b"], length: 10, faults: vec![] };
        assert_eq!(lines("\r\na\r\nb\r\n\r\nc"), whole);
        assert_eq!(lines("a\r\nb\r\n"), Lines::Unfinished(vec![]));
        assert_eq!(lines(""), Lines::Unfinished(vec![]));
    }

    #[test]
    fn a_bare_line_end_is_a_fault_wherever_it_stands() {
        for text in ["a\nb", "\na", "a\rb\r\n\r\n", "a\0\r\n\r\n", "a\r\r\n\r\n"] {
            let faults = match lines(text) {
                Lines::Whole { faults, .. }
                | Lines::Refused(faults)
                | Lines::Unfinished(faults) => faults,
            };
            assert_eq!(faults, [Fault::LineEnd], "{text:?}");
        }
    }

    #[test]
    fn limits_are_faults_before_the_end_is_seen() {
        assert_eq!(lines("123456789ab"), Lines::Refused(vec![Fault::LongFirstLine]));
        assert_eq!(lines("1\r\n123456789ab"), Lines::Refused(vec![Fault::TooLarge]));
        assert_eq!(lines("1\r\n2\r\n3\r\n4\r\n"), Lines::Refused(vec![Fault::TooLarge]));
        assert_eq!(lines(&"\r\n".repeat(9)), Lines::Refused(vec![Fault::EmptyLines]));
        assert_eq!(lines(&"\r\n".repeat(8)), Lines::Unfinished(vec![]));
    }
}

//! The `Connection` field: whether a connection persists, and which fields are hop-by-hop.
//!
//! RFC 9110, section 7.6.1, and RFC 9112, section 9.

use super::fields::{Fields, Known, trim};
use super::head::Version;

/// The combined options of all `Connection` lines of one head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `close`.
    pub close: bool,
    /// `keep-alive`.
    pub keep_alive: bool,
    /// `upgrade`.
    pub upgrade: bool,
    /// `te`.
    pub te: bool,
    /// Other options, which name hop-by-hop fields.
    pub names_fields: bool,
}

/// The `Connection` lines of a head are longer than [`MAX_LENGTH`] in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Options {
    /// Reads the `Connection` lines among `fields`.
    ///
    /// # Errors
    /// More than [`MAX_LENGTH`] bytes in total.
    pub fn of(fields: Fields<'_>) -> Result<Options, TooLong> {
        let mut options = Options::default();
        let mut left = MAX_LENGTH;
        for value in fields.values(Known::Connection) {
            // A line end separates options as a comma does.
            left = left.checked_sub(value.len() + 1).ok_or(TooLong)?;
            options.read(value);
        }
        Ok(options)
    }

    /// Adds the options of one line.
    pub fn read(&mut self, value: &[u8]) {
        for option in split(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if option.eq_ignore_ascii_case(b"te") {
                self.te = true;
            } else if !option.is_empty() {
                self.names_fields = true;
            }
        }
    }

    /// Whether the sender keeps the connection open after this message.
    pub fn persistent(&self, version: Version) -> bool {
        match version {
            Version::Http10 => self.keep_alive && !self.close,
            Version::Http11 => !self.close,
        }
    }
}

/// The fields that a head's `Connection` lines name as hop-by-hop. Collected once, because a head
/// may have a thousand fields to compare with.
#[derive(Debug)]
pub struct NamedFields<'a> {
    options: [&'a [u8]; MAX_OPTIONS],
    count: usize,
}

impl<'a> NamedFields<'a> {
    /// The fields named in `fields`, whose lines [`Options::of`] has accepted.
    pub fn of(fields: Fields<'a>) -> NamedFields<'a> {
        let mut named = NamedFields { options: [&[]; MAX_OPTIONS], count: 0 };
        let options = fields.values(Known::Connection).flat_map(split);
        for (place, option) in
            named.options.iter_mut().zip(options.filter(|option| !option.is_empty()))
        {
            *place = option;
            named.count += 1;
        }
        named
    }

    /// Whether the field `name` is hop-by-hop.
    ///
    /// `Cache-Control` never is: RFC 9110 forbids naming a field that is meant for all recipients.
    /// Fields for framing and routing are rewritten anyway.
    pub fn has(&self, name: &[u8]) -> bool {
        let is_named = |option: &&[u8]| option.eq_ignore_ascii_case(name);
        !name.eq_ignore_ascii_case(b"cache-control")
            && self.options[..self.count].iter().any(is_named)
    }
}

fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim)
}

/// Limit on the values of all `Connection` lines of one head, in bytes, plus one per line. Clients
/// and servers send some dozens; each option is compared with each field.
pub const MAX_LENGTH: usize = 1 << 10;
/// The most options in that many bytes: one byte and one separator each.
const MAX_OPTIONS: usize = MAX_LENGTH / 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::parse_response;

    fn options(lines: &[&'static str]) -> Options {
        let mut options = Options::default();
        lines.iter().for_each(|line| options.read(line.as_bytes()));
        options
    }

    #[test]
    fn options_of_all_lines_count_in_any_case() {
        let both = options(&["Keep-Alive, x-a", ",CLOSE ,"]);
        assert!(both.close && both.keep_alive && both.names_fields && !both.upgrade);
        assert!(!both.persistent(Version::Http11) && !both.persistent(Version::Http10));
    }

    #[test]
    fn versions_have_different_defaults() {
        assert!(options(&[]).persistent(Version::Http11));
        assert!(!options(&[]).persistent(Version::Http10));
        assert!(options(&["keep-alive"]).persistent(Version::Http10));
    }

    fn check(values: &[&str], length: Result<(), TooLong>, test: impl Fn(NamedFields<'_>)) {
        let lines: Vec<String> = values.iter().map(|v| format!("Connection: {v}\r\n")).collect();
        let head = format!("HTTP/1.1 200\r\n{}\r\n", lines.concat());
        let mut places = Vec::new();
        let fields = parse_response(head.as_bytes(), &mut places).unwrap().fields;
        assert_eq!(Options::of(fields).map(drop), length, "{values:?}");
        test(NamedFields::of(fields));
    }

    #[test]
    fn named_fields_are_found_but_cache_control_cannot_be_named() {
        check(&["X-Trace,, cache-control", "other"], Ok(()), |named| {
            assert!(named.has(b"x-trace") && named.has(b"Other"));
            assert!(!named.has(b"x-trac") && !named.has(b"") && !named.has(b"Cache-Control"));
        });
    }

    #[test]
    fn all_that_fits_is_found_and_more_is_too_long() {
        let most = ["a"; MAX_OPTIONS - 1].join(",") + ",z";
        let half = "b".repeat(MAX_LENGTH / 2 - 1);
        check(&[&most], Ok(()), |named| assert!(named.has(b"A") && named.has(b"z")));
        check(&[&half, &half], Ok(()), |named| assert!(named.has(half.as_bytes())));
        let lines = [&["a"; MAX_OPTIONS - 1][..], &["z"]].concat();
        check(&lines, Ok(()), |named| assert!(named.has(b"a") && named.has(b"z")));
        check(&[&lines[..], &["c"]].concat(), Err(TooLong), |_| ());
        check(&[&half, &half, ""], Err(TooLong), |_| ());
        check(&[&most, ""], Err(TooLong), |_| ());
    }
}

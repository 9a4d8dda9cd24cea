//! The `Connection` field: whether a connection persists, and which fields are hop-by-hop.
//!
//! RFC 9110, section 7.6.1, and RFC 9112, section 9.

use super::fields::{Fields, Known, trim};
use super::head::Version;
use crate::planted::{self, Bug};

/// What all `Connection` lines of one head say together.
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
    /// Other options: names of fields that are for this hop only.
    pub names_fields: bool,
}

impl Options {
    /// Reads the `Connection` lines among `fields`.
    pub fn of(fields: Fields<'_>) -> Options {
        let mut options = Options::default();
        fields.values(Known::Connection).for_each(|value| options.read(value));
        options
    }

    /// Adds what one line says.
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

    /// Whether the sender means to go on after this message.
    pub fn persistent(&self, version: Version) -> bool {
        match version {
            Version::Http10 => self.keep_alive && !self.close,
            Version::Http11 => !self.close || planted::is(Bug::CloseOverheard),
        }
    }
}

/// Whether a `Connection` line names the field `name` as hop-by-hop.
///
/// `Cache-Control` stays whatever is said: RFC 9110 forbids to name a field that is meant for
/// all recipients. The fields that frame and route are remade anyway.
pub fn names(fields: Fields<'_>, name: &[u8]) -> bool {
    let is_named = |value| split(value).any(|option| option.eq_ignore_ascii_case(name));
    !name.eq_ignore_ascii_case(b"cache-control") && fields.values(Known::Connection).any(is_named)
}

fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim)
}

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

    #[test]
    fn named_fields_are_found_but_cache_control_cannot_be_named() {
        let head = b"HTTP/1.1 200\r\nConnection: X-Trace, cache-control\r\n\r\n";
        let mut places = Vec::new();
        let fields = parse_response(head, &mut places).unwrap().fields;
        assert!(names(fields, b"x-trace"));
        assert!(!names(fields, b"x-trac"));
        assert!(!names(fields, b"Cache-Control"));
    }
}

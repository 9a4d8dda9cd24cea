//! Fields as they appear in a head, the names that matter to a proxy, and the character sets of
//! both.

/// The fields of one head, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    head: &'a [u8],
    places: &'a [Place],
}

/// One field, as it appears in its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, as sent.
    pub name: &'a [u8],
    /// Its role for a proxy, if it has one.
    pub known: Option<Known>,
    /// The value, trimmed of blanks.
    pub value: &'a [u8],
    /// The whole line, including its end.
    pub line: &'a [u8],
}

/// The position of a field in its head.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    line: u32,
    name_end: u32,
    value: u32,
    value_end: u32,
    end: u32,
    known: Option<Known>,
}

impl Place {
    /// The place of the line from `start` to `end`, including its line end, in `head`. Its name has
    /// `name` bytes and is followed by a colon. Heads are short enough for 32-bit positions.
    pub(super) fn of_line(head: &[u8], start: usize, name: usize, end: usize) -> Place {
        let (name, behind) = head[start..end].split_at(name);
        let value = &behind[b":".len()..behind.len() - b"\r\n".len()];
        let before = value.iter().take_while(|byte| is_blank(**byte)).count();
        let after = value[before..].iter().rev().take_while(|byte| is_blank(**byte)).count();
        let name_end = start + name.len();
        Place {
            line: start as u32,
            name_end: name_end as u32,
            value: (name_end + b":".len() + before) as u32,
            value_end: (end - b"\r\n".len() - after) as u32,
            end: end as u32,
            known: known(name),
        }
    }
}

impl Field<'_> {
    /// Whether the line has exactly one space after its colon and no other blanks around its value.
    pub fn is_plain(&self) -> bool {
        let name = self.name.len();
        self.line.len() == name + b": \r\n".len() + self.value.len() && self.line[name + 1] == b' '
    }
}

impl<'a> Fields<'a> {
    /// The fields of `head` at these places.
    pub fn new(head: &'a [u8], places: &'a [Place]) -> Fields<'a> {
        Fields { head, places }
    }

    /// All fields, in order.
    pub fn iter(self) -> impl Iterator<Item = Field<'a>> {
        self.places.iter().map(move |place| Field {
            name: self.at(place.line, place.name_end),
            known: place.known,
            value: self.at(place.value, place.value_end),
            line: self.at(place.line, place.end),
        })
    }

    /// The fields that matter to a proxy, with their values.
    pub fn known(self) -> impl Iterator<Item = (Known, &'a [u8])> {
        let value = move |place: &Place| self.at(place.value, place.value_end);
        self.places.iter().filter_map(move |place| Some((place.known?, value(place))))
    }

    /// The values of all lines of a known field.
    pub fn values(self, which: Known) -> impl Iterator<Item = &'a [u8]> {
        self.known().filter(move |(known, _)| *known == which).map(|(_, value)| value)
    }

    /// The value of the first field that has one of these names, in any case.
    pub fn find(self, names: &[&[u8]]) -> Option<&'a [u8]> {
        self.find_all(names).next()
    }

    /// The values of all fields with one of these names, in any case.
    pub fn find_all(self, names: &[&[u8]]) -> impl Iterator<Item = &'a [u8]> {
        let is_meant = |name: &[u8]| names.iter().any(|it| name.eq_ignore_ascii_case(it));
        self.iter().filter(move |field| is_meant(field.name)).map(|field| field.value)
    }

    /// Whether a field has the same name as `field`.
    pub fn have_name_of(self, field: &Field<'_>) -> bool {
        let is_same = |place: &Place| {
            place.known == field.known
                && (place.name_end - place.line) as usize == field.name.len()
                && self.at(place.line, place.name_end).eq_ignore_ascii_case(field.name)
        };
        self.places.iter().any(is_same)
    }

    /// Appends the values of all lines whose name `is_meant`, separated by `between`; `None` if
    /// there is no such line.
    pub fn join(
        self,
        is_meant: impl Fn(&[u8]) -> bool,
        between: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let mut found = None;
        for field in self.iter().filter(|field| is_meant(field.name)) {
            if found.is_some() {
                out.extend_from_slice(between);
            }
            out.extend_from_slice(field.value);
            found = Some(());
        }
        found
    }

    fn at(self, from: u32, to: u32) -> &'a [u8] {
        &self.head[from as usize..to as usize]
    }

    /// Number of fields.
    pub fn len(self) -> usize {
        self.places.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(self) -> bool {
        self.places.is_empty()
    }
}

/// Fields that the proxy reads, rewrites or removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// `Connection`.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Expect`.
    Expect,
    /// `Host`.
    Host,
    /// `HTTP2-Settings`.
    Http2Settings,
    /// `Keep-Alive`.
    KeepAlive,
    /// `Proxy-Connection`.
    ProxyConnection,
    /// `TE`.
    Te,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Upgrade`.
    Upgrade,
}

/// The known field called `name`, in any case.
pub fn known(name: &[u8]) -> Option<Known> {
    let first = name.first()?.to_ascii_lowercase();
    let (expected, known): (&[u8], Known) = match (name.len(), first) {
        (2, b't') => (b"TE", Known::Te),
        (4, b'h') => (b"Host", Known::Host),
        (6, b'e') => (b"Expect", Known::Expect),
        (7, b'u') => (b"Upgrade", Known::Upgrade),
        (10, b'c') => (b"Connection", Known::Connection),
        (10, b'k') => (b"Keep-Alive", Known::KeepAlive),
        (14, b'c') => (b"Content-Length", Known::ContentLength),
        (14, b'h') => (b"HTTP2-Settings", Known::Http2Settings),
        (16, b'p') => (b"Proxy-Connection", Known::ProxyConnection),
        (17, b't') => (b"Transfer-Encoding", Known::TransferEncoding),
        _ => return None,
    };
    // Most names are spelled like this, and comparing bytes is fast.
    (name == expected || name.eq_ignore_ascii_case(expected)).then_some(known)
}

/// `tchar`, of which methods and field names consist: RFC 9110, section 5.6.2.
pub fn is_tchar(byte: u8) -> bool {
    TCHARS[usize::from(byte)]
}

/// Whether `bytes` is a token: one `tchar` or more.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_tchar)
}

/// Whether `byte` is allowed in a field's value: no control characters except the tab.
pub fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether `bytes` may be a field's value. Always examines all bytes, so that the compiler can
/// vectorise the loop.
pub fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |so_far, &byte| so_far & is_value_byte(byte))
}

/// The position of the first byte that is not allowed in a field's value.
pub fn value_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| !is_value_byte(byte))
}

/// `bytes` without spaces and tabs at either end.
pub fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|&byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// Whether `byte` is a space or a tab.
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

const TCHARS: [bool; 256] = alphanumerics_and(b"!#$%&'*+-.^_`|~");

/// For each byte, whether it is a letter, a digit or one of these marks.
pub(super) const fn alphanumerics_and(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut rest = marks;
    while let [mark, after @ ..] = rest {
        table[*mark as usize] = true;
        rest = after;
    }
    table
}

/// Builds lines with these names and values, valid or not.
#[cfg(test)]
pub(super) fn lines(fields: &[(&str, &str)]) -> (Vec<u8>, Vec<Place>) {
    let (mut head, mut places) = (Vec::new(), Vec::new());
    for (name, value) in fields {
        let start = head.len();
        head.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        places.push(Place::of_line(&head, start, name.len(), head.len()));
    }
    (head, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_known_in_any_case_and_no_others() {
        for (name, expected) in [
            ("CONNECTION", Some(Known::Connection)),
            ("Content-Length", Some(Known::ContentLength)),
            ("content_length", None),
            ("hOSt", Some(Known::Host)),
            ("Keep-Alive", Some(Known::KeepAlive)),
            ("HTTP2-Settings", Some(Known::Http2Settings)),
            ("proxy-connection", Some(Known::ProxyConnection)),
            ("TE", Some(Known::Te)),
            ("Transfer-Encoding", Some(Known::TransferEncoding)),
            ("upgrade", Some(Known::Upgrade)),
            ("Expect", Some(Known::Expect)),
            ("", None),
            ("X-Host", None),
        ] {
            assert_eq!(known(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_value_ends_at_its_first_control_character() {
        let plain = [b"a \xff\x80~\tbc".repeat(3), b"x".to_vec()].concat();
        assert_eq!(value_end(&plain), None);
        for place in 0..plain.len() {
            for control in (0..=255).filter(|&byte| !is_value_byte(byte)) {
                let mut bytes = plain.clone();
                bytes[place] = control;
                assert_eq!(value_end(&bytes), Some(place), "{control} at {place}");
                bytes.insert(place, b'\t');
                assert_eq!(value_end(&bytes), Some(place + 1), "{control} behind a tab");
            }
        }
    }

    #[test]
    fn tokens_are_made_of_letters_digits_and_a_few_marks() {
        let marks = b"!#$%&'*+-.^_`|~";
        for byte in 0..=255u8 {
            let expected = byte.is_ascii_alphanumeric() || marks.contains(&byte);
            assert_eq!(is_tchar(byte), expected, "{byte}");
        }
    }

    #[test]
    fn trimming_takes_blanks_only() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b"\x0ba"), b"\x0ba");
        assert_eq!(trim(b" \t"), b"");
    }
}

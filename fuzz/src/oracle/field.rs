//! Characters, tokens and field lines. RFC 9110, sections 5.5 and 5.6.

use super::Fault;

/// A field: its name as sent, its value without the blanks around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As sent.
    pub name: Vec<u8>,
    /// Without blanks at its ends.
    pub value: Vec<u8>,
}

impl Field {
    /// A field from its parts.
    pub fn new(name: &[u8], value: &[u8]) -> Field {
        Field { name: name.to_vec(), value: value.to_vec() }
    }

    /// Reads `token ":" OWS value OWS`.
    pub fn read(line: &[u8]) -> Result<Field, Fault> {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        match (parts.next(), parts.next()) {
            (Some(name), Some(value)) if is_token(name) && is_text(value) => {
                Ok(Field::new(name, without_blanks(value)))
            }
            _ => Err(Fault::Field),
        }
    }

    /// Whether it has this name, given in lowercase.
    pub fn is(&self, name: &str) -> bool {
        self.name.to_ascii_lowercase() == name.as_bytes()
    }
}

/// The values of all fields of a name, given in lowercase.
pub fn values<'a>(fields: &'a [Field], name: &str) -> Vec<&'a [u8]> {
    fields.iter().filter(|field| field.is(name)).map(|field| &field.value[..]).collect()
}

/// What all `Connection` fields list, in lowercase.
pub fn connection_options(fields: &[Field]) -> Vec<Vec<u8>> {
    values(fields, "connection")
        .iter()
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|option| without_blanks(option).to_ascii_lowercase())
        .filter(|option| !option.is_empty())
        .collect()
}

/// `1*tchar`. RFC 9110, section 5.6.2.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TCHAR.contains(byte))
}

/// Nothing but tabs, spaces, visible characters and what is beyond ASCII.
pub fn is_text(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff))
}

/// Without optional whitespace at both ends.
pub fn without_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

const TCHAR: &[u8] = b"!#$%&'*+-.^_`|~0123456789\
    ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_one_spelling() {
        assert_eq!(Field::read(b"A:\t b c\t "), Ok(Field::new(b"A", b"b c")));
        assert_eq!(Field::read(b"A:"), Ok(Field::new(b"A", b"")));
        assert_eq!(Field::read(b"A:b:c"), Ok(Field::new(b"A", b"b:c")));
        for line in ["A : b", " A: b", "\tA: b", ": b", "A", "", "A(: b", "A: \x0b", "A: \x7f"] {
            assert_eq!(Field::read(line.as_bytes()), Err(Fault::Field), "{line:?}");
        }
    }

    #[test]
    fn connection_lists_are_joined() {
        let fields = [Field::new(b"connection", b"Close, ,x"), Field::new(b"Connection", b" Y\t")];
        assert_eq!(connection_options(&fields), [&b"close"[..], b"x", b"y"]);
    }
}

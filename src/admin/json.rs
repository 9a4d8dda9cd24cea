//! JSON, written only. RFC 8259.

use std::fmt::Write;

/// An object being written.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Writes an object whose members `write` adds.
    pub fn write(out: &'a mut String, write: impl FnOnce(&mut Object<'_>)) {
        out.push('{');
        let mut object = Object { out, is_empty: true };
        write(&mut object);
        object.out.push('}');
    }

    /// Begins a member; its value is to be appended to the text that is returned.
    pub fn member(&mut self, name: &str) -> &mut String {
        if !self.is_empty {
            self.out.push(',');
        }
        self.is_empty = false;
        string(name, self.out);
        self.out.push(':');
        self.out
    }

    /// Adds a string.
    pub fn text(&mut self, name: &str, value: &str) {
        string(value, self.member(name));
    }

    /// Adds a number.
    pub fn number(&mut self, name: &str, value: u64) {
        let _ = write!(self.member(name), "{value}");
    }

    /// Adds `true` or `false`.
    pub fn flag(&mut self, name: &str, value: bool) {
        self.member(name).push_str(if value { "true" } else { "false" });
    }
}

/// Appends an array whose elements `write` appends, one for each item.
pub fn array<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut String),
) {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

/// Appends a string. Control characters are escaped, so that no value breaks a line or a terminal.
fn string(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_separated() {
        let mut out = String::new();
        Object::write(&mut out, |object| {
            object.text("a\"b", "\\ \n\u{7f}\u{85} é");
            object.number("n", 7);
            array(object.member("list"), [1, 2], |item, out| {
                Object::write(out, |object| object.flag("is", item == 2));
            });
            array(object.member("none"), [0; 0], |_, _| {});
        });
        let expected = r#"{"a\"b":"\\ \u000a\u007f\u0085 é","n":7,"#.to_owned()
            + r#""list":[{"is":false},{"is":true}],"none":[]}"#;
        assert_eq!(out, expected);
    }
}

//! The `X-Forwarded-…` fields that locations set. Checks of coordinators carry them too: one that
//! refuses them says so to a check, and not to a client.

use crate::address::Address;
use crate::config::model::template::{Part, Template};
use crate::config::model::{Action, Config, SetHeader};
use crate::trino::forwarded::is_forwarded;

use super::probe::host_of;

/// The fields that requests to a group carry, whatever their location.
#[derive(Debug, Default)]
pub struct ForwardedFields(Vec<ForwardedField>);

#[derive(Debug)]
struct ForwardedField {
    name: Box<[u8]>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// The same in every request.
    Written(Box<[u8]>),
    /// It has variables, which only a request of a client gives a value.
    Variable,
}

impl ForwardedFields {
    /// Those of each group of a configuration.
    pub fn of_groups(config: &Config) -> Vec<ForwardedFields> {
        let mut groups: Vec<ForwardedFields> = Vec::new();
        groups.resize_with(config.groups.len(), ForwardedFields::default);
        for location in config.virtual_servers.iter().flat_map(|server| &server.locations) {
            match &location.action {
                Action::Proxy(proxy) => {
                    proxy.set_headers.iter().for_each(|field| groups[proxy.group.0].add(field));
                }
                Action::Return(_) | Action::Control | Action::NotFound => {}
            }
        }
        groups
    }

    /// Adds a field that a location sets. Where several set one, the first value will do.
    fn add(&mut self, field: &SetHeader) {
        let SetHeader { name, value } = field;
        let is_there = self.0.iter().any(|it| it.name.eq_ignore_ascii_case(name));
        if let Some(value) = Value::of(value).filter(|_| is_forwarded(name) && !is_there) {
            self.0.push(ForwardedField { name: name.clone(), value });
        }
    }

    /// Writes them as the check of a server carries them.
    pub fn write(&self, server: &Address, out: &mut Vec<u8>) {
        for ForwardedField { name, value } in &self.0 {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            match value {
                Value::Written(value) => out.extend_from_slice(value),
                Value::Variable => write_own(name, server, out),
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl Value {
    /// What a location sets; `None` if that removes the field.
    fn of(template: &Template) -> Option<Value> {
        match &template.parts[..] {
            [] => None,
            [Part::Text(text)] => Some(Value::Written(text.clone())),
            [..] => Some(Value::Variable),
        }
    }
}

/// Writes what a field says of the check itself, so that a coordinator that reads it understands it.
fn write_own(name: &[u8], server: &Address, out: &mut Vec<u8>) {
    match &name.to_ascii_lowercase()[..] {
        b"x-forwarded-for" => out.extend_from_slice(b"127.0.0.1"),
        b"x-forwarded-proto" => out.extend_from_slice(b"http"),
        b"x-forwarded-host" => out.extend_from_slice(host_of(server).as_bytes()),
        b"x-forwarded-port" => {
            out.extend_from_slice(server.port().unwrap_or(80).to_string().as_bytes());
        }
        // A coordinator looks only at its name.
        _ => out.push(b'1'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::template::Variable;

    #[test]
    fn a_check_carries_the_fields_of_all_locations() {
        let variable = || Template { parts: vec![Part::Variable(Variable::Host)] };
        let text = Template::text;
        let fields = [
            ("Host", text("a")),
            ("X-Forwarded-For", variable()),
            ("X-Forwarded-Proto", text("https")),
            ("X-Forwarded-Host", text("")),
            ("x-forwarded-proto", variable()),
            ("x-forwarded-host", variable()),
            ("X-Forwarded-Port", variable()),
            ("X-Forwarded-Other", variable()),
            ("X-Real-IP", variable()),
        ];
        let mut all = ForwardedFields::default();
        for (name, value) in fields {
            all.add(&SetHeader { name: name.as_bytes().into(), value });
        }
        let written = |server: Address| {
            let mut out = Vec::new();
            all.write(&server, &mut out);
            String::from_utf8(out).expect("it is text")
        };
        let expected = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n\
            x-forwarded-host: 10.0.0.1:8080\r\nX-Forwarded-Port: 8080\r\nX-Forwarded-Other: 1\r\n";
        assert_eq!(written(Address::Inet("10.0.0.1:8080".parse().unwrap())), expected);
        let expected = expected.replace("10.0.0.1:8080", "localhost").replace("8080", "80");
        assert_eq!(written(Address::Unix("/run/a".into())), expected);
    }
}

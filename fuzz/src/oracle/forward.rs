//! Which fields of a message leave the proxy. RFC 9110, section 7.6.1.

use super::field::{Field, connection_options};
use super::framing::Declared;

/// The fields of a message as they should leave the proxy, but for their order.
#[derive(Debug)]
pub struct Outgoing {
    /// In the order of their names; equal names as they came.
    fields: Vec<Field>,
}

impl Outgoing {
    /// What of a request is not meant for this hop alone, without what `drops` names.
    pub fn of_request(received: &[Field], drops: impl Fn(&Field) -> bool) -> Outgoing {
        // `Host` routes, whatever `Connection` says: 2.5.
        Outgoing::passed_on(received, &["host", CACHE_CONTROL], drops)
    }

    /// What of a response is not meant for this hop alone, without what `drops` names.
    pub fn of_response(received: &[Field], drops: impl Fn(&Field) -> bool) -> Outgoing {
        Outgoing::passed_on(received, &[CACHE_CONTROL], drops)
    }

    fn passed_on(
        received: &[Field],
        kept_although_named: &[&str],
        drops: impl Fn(&Field) -> bool,
    ) -> Outgoing {
        let named = connection_options(received);
        let this_hop = |field: &Field| {
            let name = field.name.to_ascii_lowercase();
            HOP_BY_HOP.iter().any(|hop| field.is(hop))
                || (named.contains(&name) && !kept_although_named.iter().any(|kept| field.is(kept)))
        };
        let fields = received.iter().filter(|field| !this_hop(field) && !drops(field));
        Outgoing { fields: fields.cloned().collect() }
    }

    /// Changes the URL of every `Location`, and of every `Refresh` behind its first `url=`.
    pub fn redirect(&mut self, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
        for field in &mut self.fields {
            let start = if field.is("location") {
                Some(0)
            } else if field.is("refresh") {
                let lower = field.value.to_ascii_lowercase();
                lower.windows(4).position(|part| part == b"url=").map(|at| at + 4)
            } else {
                None
            };
            let Some(start) = start else { continue };
            if let Some(changed) = change(&field.value[start..]) {
                field.value.splice(start.., changed);
            }
        }
    }

    /// Adds a field that was asked for, unless it belongs to the proxy.
    pub fn add(&mut self, field: Field) {
        if !HOP_BY_HOP.iter().any(|hop| field.is(hop)) && !field.value.is_empty() {
            self.fields.push(field);
        }
    }

    /// Adds a field of the proxy's own.
    pub fn add_own(&mut self, name: &str, value: &[u8]) {
        self.fields.push(Field::new(name.as_bytes(), value));
    }

    /// Adds what frames the body.
    pub fn add_framing(&mut self, framing: Declared) {
        match framing {
            Declared::Nothing => {}
            Declared::Length(length) => {
                self.add_own("Content-Length", length.to_string().as_bytes())
            }
            Declared::Chunked => self.add_own("Transfer-Encoding", b"chunked"),
        }
    }

    /// The fields, equal names together.
    pub fn sorted(self) -> Vec<Field> {
        sorted(self.fields)
    }
}

/// Fields by name; those of equal names keep their order.
pub fn sorted(mut fields: Vec<Field>) -> Vec<Field> {
    fields.sort_by_key(|field| field.name.to_ascii_lowercase());
    fields
}

/// What ends at the proxy, and what it writes anew.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "upgrade",
    "http2-settings",
    "transfer-encoding",
    "content-length",
];

/// It is for all recipients and may not be named. RFC 9110, section 7.6.1.
const CACHE_CONTROL: &str = "cache-control";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_one_hop_ends_here() {
        let received: Vec<Field> = [
            "Host: a",
            "connection: x-hop, Host",
            "Connection: X-Other",
            "X-HOP: 1",
            "x-other: 2",
            "Keep-Alive: 1",
            "TE: trailers",
            "Upgrade: h2c",
            "Content-Length: 1",
            "B: 1",
            "A: 2",
            "b: 3",
            "Dropped: 1",
        ]
        .iter()
        .map(|line| Field::read(line.as_bytes()).expect("a field"))
        .collect();
        let mut outgoing = Outgoing::of_request(&received, |field| field.is("dropped"));
        outgoing.add(Field::new(b"Keep-Alive", b"5"));
        outgoing.add_framing(Declared::Length(7));
        let names: Vec<Vec<u8>> = outgoing.sorted().into_iter().map(|field| field.name).collect();
        assert_eq!(names, [&b"A"[..], b"B", b"b", b"Content-Length", b"Host"]);
    }
}

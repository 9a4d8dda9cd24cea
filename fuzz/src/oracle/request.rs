//! A request head, read by RFC 9112, sections 3 to 6.

use super::field::{Field, connection_options, is_token, values};
use super::framing::{self, Declared};
use super::host::{is_authority, is_host};
use super::lines::{self, Before, Lines};
use super::{Fault, Limits, Reading, Version};

/// What a legal request head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As sent.
    pub method: Vec<u8>,
    /// As sent.
    pub target: Vec<u8>,
    /// The version.
    pub version: Version,
    /// In order.
    pub fields: Vec<Field>,
    /// The authority of the target, else the value of `Host`, if there is one.
    pub authority: Option<Vec<u8>>,
    /// The target to ask a server for.
    pub path: Vec<u8>,
    /// What frames the body.
    pub framing: Declared,
    /// The client goes on after this request. RFC 9112, section 9.3.
    pub persistent: bool,
    /// The client waits for a 100.
    pub expects_continue: bool,
}

/// Reads what should begin with a request head.
pub fn read(bytes: &[u8], limits: Limits) -> Reading<Request> {
    let (lines, length, mut faults) = match lines::split(bytes, Before::EmptyLines, limits) {
        Lines::Whole { lines, length, faults } => (lines, length, faults),
        Lines::Refused(faults) => return Reading::Refused(faults),
        Lines::Unfinished(faults) => return Reading::Unfinished(faults),
    };
    let mut doubts = Vec::new();
    let head = head(&lines, &mut faults, &mut doubts);
    match head {
        Some(head) if faults.is_empty() => Reading::Accepted { head, length, doubts },
        Some(_) | None => {
            faults.extend(doubts);
            Reading::Refused(faults)
        }
    }
}

/// None where something is wrong that leaves nothing to say about the rest.
fn head(lines: &[&[u8]], faults: &mut Vec<Fault>, doubts: &mut Vec<Fault>) -> Option<Request> {
    let mut fields = Vec::new();
    for line in &lines[1..] {
        match Field::read(line) {
            Ok(field) => fields.push(field),
            Err(fault) => faults.push(fault),
        }
    }
    let words: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else {
        faults.push(Fault::FirstLine);
        return None;
    };
    let visible = |byte: &u8| !matches!(byte, 0..=0x20 | 0x7f | b'#');
    if !is_token(method) || target.is_empty() || !target.iter().all(visible) {
        faults.push(Fault::FirstLine);
    }
    if std::str::from_utf8(target).is_err() {
        doubts.push(Fault::TargetNotUtf8);
    }
    if matches!(method, b"CONNECT" | b"TRACE") {
        faults.push(Fault::Method);
    }
    let (of_target, path) = match take_apart(method, target) {
        Some(parts) => parts,
        None => {
            faults.push(Fault::Target);
            (None, Vec::new())
        }
    };
    let version = Version::read(version).map_err(|fault| faults.push(fault)).ok()?;
    let hosts = values(&fields, "host");
    match (&hosts[..], version) {
        ([], Version::Old) => {}
        ([host], _) if is_host(host) => {}
        ([] | [_] | [_, _, ..], _) => faults.push(Fault::Host),
    }
    let framing = framing::declared(&fields, version).unwrap_or_else(|found| {
        faults.extend(found);
        Declared::Nothing
    });
    let expectations = values(&fields, "expect");
    let continues = |value: &&[u8]| value.eq_ignore_ascii_case(b"100-continue");
    if version == Version::Current && !expectations.iter().all(&continues) {
        doubts.push(Fault::Expectation);
    }
    if values(&fields, "connection").iter().map(|value| value.len() + 1).sum::<usize>() > 1024 {
        doubts.push(Fault::LongConnection);
    }
    let options = connection_options(&fields);
    let says = |option: &str| options.iter().any(|other| other == option.as_bytes());
    Some(Request {
        method: method.to_vec(),
        target: target.to_vec(),
        version,
        authority: of_target.or(hosts.first().map(|host| host.to_vec())),
        path,
        framing,
        persistent: !says("close") && (version == Version::Current || says("keep-alive")),
        expects_continue: version == Version::Current
            && framing != Declared::Nothing
            && expectations.iter().any(continues),
        fields,
    })
}

/// The authority of a target, if it has one, and the target in origin-form (or `*`).
fn take_apart(method: &[u8], target: &[u8]) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
    if target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS") {
        return Some((None, target.to_vec()));
    }
    if method == b"CONNECT" {
        return Some((None, Vec::new()));
    }
    let lower = target.to_ascii_lowercase();
    let scheme = ["http://", "https://"].iter().find(|it| lower.starts_with(it.as_bytes()))?;
    let rest = &target[scheme.len()..];
    let authority: Vec<u8> =
        rest.iter().copied().take_while(|byte| !matches!(byte, b'/' | b'?')).collect();
    let path = &rest[authority.len()..];
    let path = match (path, method) {
        ([b'/', ..], _) => path.to_vec(),
        ([], b"OPTIONS") => b"*".to_vec(),
        (_, _) => [b"/", path].concat(),
    };
    is_authority(&authority).then_some((Some(authority), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8]) -> Reading<Request> {
        read(text, Limits { line: 8192, total: 32768, fields: 1000 })
    }

    #[track_caller]
    fn accepted(text: &str) -> Request {
        match check(text.as_bytes()) {
            Reading::Accepted { head, length, doubts } => {
                assert_eq!((length, doubts), (text.len(), vec![]), "{text:?}");
                head
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[track_caller]
    fn refused(text: &str, fault: Fault) {
        assert_eq!(check(text.as_bytes()), Reading::Refused(vec![fault]), "{text:?}");
    }

    #[test]
    fn targets_have_three_forms() {
        for (line, authority, path) in [
            ("GET /a//../%2F?b HTTP/1.1", "h", "/a//../%2F?b"),
            ("GET http://a:80 HTTP/1.1", "a:80", "/"),
            ("GET HTTPS://a?b HTTP/1.1", "a", "/?b"),
            ("OPTIONS * HTTP/1.1", "h", "*"),
            ("OPTIONS http://a HTTP/1.1", "a", "*"),
        ] {
            let head = accepted(&format!("{line}\r\nHost: h\r\n\r\n"));
            assert_eq!(head.authority.as_deref(), Some(authority.as_bytes()), "{line}");
            assert_eq!(head.path, path.as_bytes(), "{line}");
        }
        for line in
            ["GET * HTTP/1.1", "GET a HTTP/1.1", "GET http://u@a/ HTTP/1.1", "GET ftp://a HTTP/1.1"]
        {
            refused(&format!("{line}\r\nHost: h\r\n\r\n"), Fault::Target);
        }
    }

    #[test]
    fn first_lines_have_one_spelling() {
        for line in [
            "GET  / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /",
            "G@T / HTTP/1.1",
            "GET /# HTTP/1.1",
        ] {
            refused(&format!("{line}\r\nHost: h\r\n\r\n"), Fault::FirstLine);
        }
        refused("CONNECT a:80 HTTP/1.1\r\nHost: h\r\n\r\n", Fault::Method);
        refused("GET / HTTP/1.2\r\n\r\n", Fault::Version);
        refused("GET / http/1.1\r\n\r\n", Fault::NoVersion);
        refused("GET / HTTP/1.11\r\n\r\n", Fault::NoVersion);
    }

    #[test]
    fn one_host_is_enough() {
        for fields in
            ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: u@a\r\n", "Host: a:1:2\r\n"]
        {
            refused(&format!("GET / HTTP/1.1\r\n{fields}\r\n"), Fault::Host);
        }
        refused("GET http://a/ HTTP/1.1\r\n\r\n", Fault::Host);
        assert_eq!(accepted("GET / HTTP/1.0\r\n\r\n").authority, None);
        assert_eq!(accepted("GET / HTTP/1.1\r\nHost:\r\n\r\n").authority, Some(vec![]));
    }

    #[test]
    fn everything_wrong_is_named() {
        let text = b"GET * HTTP/1.1\r\n a\r\nContent-Length: x\r\n\r\n";
        let faults = vec![Fault::Field, Fault::Target, Fault::Host, Fault::Length];
        assert_eq!(check(text), Reading::Refused(faults));
    }

    #[test]
    fn some_things_may_be_refused() {
        for (text, doubt) in [
            (&b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"[..], Fault::TargetNotUtf8),
            (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n\r\n", Fault::Expectation),
        ] {
            let Reading::Accepted { doubts, .. } = check(text) else { panic!("accepted") };
            assert_eq!(doubts, [doubt]);
        }
    }

    #[test]
    fn persistence_is_as_the_version_says_unless_told() {
        assert!(accepted("GET / HTTP/1.1\r\nHost: a\r\n\r\n").persistent);
        assert!(!accepted("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").persistent);
        assert!(!accepted("GET / HTTP/1.0\r\n\r\n").persistent);
        assert!(accepted("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").persistent);
    }
}

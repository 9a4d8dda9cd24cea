//! A head that is written anew is legal, frames its body once, and has the fields that were passed
//! on or asked for, and no other.
//!
//! NUL separates the parts of the input: letters that choose options, names and values of fields
//! to set, and in the end the head. It is a response if it begins with `HTTP/`.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use switchover::buffer::{Buffer, BufferPool};
use switchover::http::connection::Options;
use switchover::http::framing::{self, Framing};
use switchover::http::head::{self, HeadLimits, HeadScan, Version};
use switchover::http::rewrite::{Persistence, RequestOut, ResponseOut, SetFields};
use switchover::proxy::http::request::Request;
use switchover_fuzz::oracle::field::{self, Field, is_token, without_blanks};
use switchover_fuzz::oracle::forward::{Outgoing, sorted};
use switchover_fuzz::oracle::framing::Declared;
use switchover_fuzz::oracle::{self, Limits, Reading};

fuzz_target!(|input: &[u8]| {
    let parts: Vec<&[u8]> = input.split(|byte| *byte == 0).collect();
    let [choices, set @ .., head] = &parts[..] else { return };
    let wishes = Wishes::new(choices, set);
    if head.starts_with(b"HTTP/") {
        check_response(head, &wishes);
    } else {
        check_request(head, &wishes);
    }
});

/// What the configuration asks for.
struct Wishes<'a> {
    choices: &'a [u8],
    /// Each name once, in any case.
    set: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Wishes<'a> {
    fn new(choices: &'a [u8], parts: &[&'a [u8]]) -> Wishes<'a> {
        let mut set: Vec<(&[u8], &[u8])> = Vec::new();
        for pair in parts.chunks_exact(2) {
            let (name, value) = (pair[0], pair[1]);
            if is_token(name) && !set.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                set.push((name, value));
            }
        }
        Wishes { choices, set }
    }

    fn chose(&self, letter: u8) -> bool {
        self.choices.contains(&letter)
    }

    fn sets(&self, name: &[u8]) -> bool {
        self.set.iter().any(|(set, _)| set.eq_ignore_ascii_case(name))
    }

    fn fields(&self) -> SetFields {
        let mut fields = SetFields::default();
        for (name, value) in &self.set {
            fields.add(name, |out| out.extend_from_slice(value));
        }
        fields
    }

    /// The fields set as they should be written: what could end their line is a space.
    fn expected(&self) -> impl Iterator<Item = Field> {
        self.set.iter().map(|(name, value)| {
            let harmless = |byte: &u8| if field::is_text(&[*byte]) { *byte } else { b' ' };
            let value: Vec<u8> = value.iter().map(harmless).collect();
            Field::new(name, without_blanks(&value))
        })
    }

    fn persistence(&self) -> Persistence {
        match (self.chose(b'c'), self.chose(b'k')) {
            (true, _) => Persistence::Close,
            (false, true) => Persistence::KeepAlive,
            (false, false) => Persistence::Implied,
        }
    }
}

fn check_request(input: &[u8], wishes: &Wishes<'_>) {
    let Some((request, length)) = read_request(input) else { return };
    let received = match oracle::request::read(&input[..length], Limits::NONE) {
        Reading::Accepted { head, .. } => head,
        other => panic!("accepted: {other:?}"),
    };
    // What is set has to be a host, and chunks need HTTP/1.1.
    let mut wishes = Wishes { choices: wishes.choices, set: wishes.set.clone() };
    wishes.set.retain(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
    let host: &[u8] = if wishes.chose(b'h') { b"set:80" } else { b"" };
    wishes.set.push((b"hOST", host));
    let old = wishes.chose(b'0') && request.framing != Framing::Chunked;
    let upgrade = request.upgrade.filter(|_| wishes.chose(b'u'));
    let target = [request.missing, request.at(request.path)].concat();
    let mut out = Vec::new();
    RequestOut {
        method: request.at(request.method),
        target: &target,
        version: if old { Version::Http10 } else { Version::Http11 },
        fields: request.fields(),
        options: request.options,
        set: &wishes.fields(),
        host: b"fallback:80",
        framing: request.framing,
        expect: wishes.chose(b'e'),
        upgrade: upgrade.map(|place| request.at(place)),
        underscores: wishes.chose(b'_'),
        persistence: wishes.persistence(),
    }
    .write(&mut out);
    let mut expected = Outgoing::of_request(&received.fields, |field| {
        wishes.sets(&field.name)
            || field.is("expect")
            || (field.name.contains(&b'_') && !wishes.chose(b'_'))
    });
    wishes.expected().filter(|field| !field.is("host")).for_each(|field| expected.add(field));
    expected.add_own("Host", if host.is_empty() { b"fallback:80" } else { host });
    if wishes.chose(b'e') {
        expected.add_own("Expect", b"100-continue");
    }
    expected.add_framing(received.framing);
    add_connection(&mut expected, wishes.persistence(), upgrade.map(|place| request.at(place)));

    let sent = match oracle::request::read(&out, Limits::NONE) {
        Reading::Accepted { head, length, .. } if length == out.len() => head,
        other => panic!("{:?} reads as {other:?}", String::from_utf8_lossy(&out)),
    };
    assert_eq!((&sent.method, &sent.target), (&received.method, &received.path));
    assert_eq!(sent.framing, received.framing);
    assert_eq!(sent.version == oracle::Version::Old, old);
    assert_eq!(sorted(sent.fields), expected.sorted());
}

/// A whole, legal request at the front of the input, and where it ends.
fn read_request(input: &[u8]) -> Option<(Request, usize)> {
    let length = HeadScan::default().end(input, LIMITS).ok()??;
    let mut buffer = Buffer::default();
    BufferPool::default().append(&mut buffer, &input[..length]);
    let (request, read) = Request::read(buffer, Vec::new());
    read.ok()?;
    Some((request, length))
}

fn check_response(input: &[u8], wishes: &Wishes<'_>) {
    let Ok(Some(length)) = HeadScan::default().end(input, LIMITS) else { return };
    let mut places = Vec::new();
    let Ok(parsed) = head::parse_response(&input[..length], &mut places) else { return };
    let Ok(framing) = framing::of_response(&parsed, wishes.chose(b'h')) else { return };
    let Ok(options) = Options::of(parsed.fields) else { return };
    let received = match oracle::response::read(&input[..length], Limits::NONE) {
        Reading::Accepted { head, .. } => head,
        other => panic!("accepted: {other:?}"),
    };
    // To an old client the end of the connection is the end of the body.
    let framing = match (framing, wishes.chose(b'0')) {
        (Framing::Chunked, true) => Framing::UntilClose,
        (Framing::UntilClose, false) => Framing::Chunked,
        (same, _) => same,
    };
    let upgrade = wishes.chose(b'u').then_some(&b"websocket"[..]);
    // A field that is set to nothing is one to hide.
    let hide: Vec<Box<[u8]>> = wishes
        .set
        .iter()
        .filter(|(_, value)| value.is_empty())
        .map(|(name, _)| name.to_ascii_lowercase().into())
        .collect();
    let mut out = Vec::new();
    ResponseOut {
        status: parsed.status,
        reason: parsed.reason,
        fields: parsed.fields,
        options,
        hide: &hide,
        add: &wishes.fields(),
        framing,
        persistence: wishes.persistence(),
        keep_alive: wishes.chose(b't').then_some(Duration::from_secs(65)),
        upgrade,
    }
    .write(&mut out, |url, out| redirect(url, out, wishes));
    let mut expected = Outgoing::of_response(&received.fields, |field| {
        hide.iter().any(|name| field.name.eq_ignore_ascii_case(name))
    });
    expected.redirect(|url| {
        let mut changed = Vec::new();
        redirect(url, &mut changed, wishes).then_some(changed)
    });
    wishes.expected().for_each(|field| expected.add(field));
    let declared = match framing {
        Framing::Length(length) => Declared::Length(length),
        Framing::Chunked => Declared::Chunked,
        Framing::None | Framing::UntilClose => Declared::Nothing,
    };
    expected.add_framing(declared);
    add_connection(&mut expected, wishes.persistence(), upgrade);
    if wishes.chose(b't') {
        expected.add_own("Keep-Alive", b"timeout=65");
    }

    let sent = match oracle::response::read(&out, Limits::NONE) {
        Reading::Accepted { head, length, doubts } if length == out.len() => {
            assert_eq!(doubts, []);
            head
        }
        other => panic!("{:?} reads as {other:?}", String::from_utf8_lossy(&out)),
    };
    assert_eq!((sent.status, &sent.reason), (received.status, &received.reason));
    assert_eq!((sent.version, sent.declared), (oracle::Version::Current, declared));
    assert_eq!(sorted(sent.fields), expected.sorted());
}

/// Replaces a URL's `http://` if that was chosen.
fn redirect(url: &[u8], out: &mut Vec<u8>, wishes: &Wishes<'_>) -> bool {
    match url.strip_prefix(b"http://") {
        Some(rest) if wishes.chose(b'r') => {
            out.extend_from_slice(b"https://new/");
            out.extend_from_slice(rest);
            true
        }
        Some(_) | None => false,
    }
}

fn add_connection(expected: &mut Outgoing, persistence: Persistence, upgrade: Option<&[u8]>) {
    match (upgrade, persistence) {
        (Some(protocol), _) => {
            expected.add_own("Upgrade", protocol);
            expected.add_own("Connection", b"upgrade");
        }
        (None, Persistence::Implied) => {}
        (None, Persistence::Close) => expected.add_own("Connection", b"close"),
        (None, Persistence::KeepAlive) => expected.add_own("Connection", b"keep-alive"),
    }
}

const LIMITS: HeadLimits = HeadLimits { line: 1 << 20, total: 1 << 20 };

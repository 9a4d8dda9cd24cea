//! What one head costs: found, parsed and rewritten, each beside what it was chosen over. Sizes: a
//! plain GET, what Trino's clients send, heads with large session properties.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use switchover::http::connection::Options;
use switchover::http::framing::{Framing, of_request};
use switchover::http::head::{HeadLimits, HeadScan, Version, parse_request};
use switchover::http::rewrite::{Persistence, RequestOut, SetFields};

const LIMITS: HeadLimits = HeadLimits { line: 2 << 20, total: 8 << 20 };

/// A head with so many bytes of session properties.
fn head(properties: usize) -> Vec<u8> {
    let mut text = b"POST /v1/statement HTTP/1.1\r\nHost: trino.example.org:8080\r\n\
        User-Agent: trino-python-client/0.336.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n\
        Connection: keep-alive\r\nX-Trino-User: alice\r\nX-Trino-Source: bench\r\n\
        Content-Length: 42\r\n"
        .to_vec();
    if properties > 0 {
        text.extend_from_slice(b"X-Trino-Session: ");
        text.extend(std::iter::repeat_n(b'x', properties));
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

fn rewrite(bytes: &[u8], set: &SetFields, out: &mut Vec<u8>) {
    let mut places = Vec::new();
    let head = parse_request(bytes, &mut places).expect("a good head");
    RequestOut {
        method: head.method,
        target: head.target,
        version: Version::Http11,
        fields: head.fields,
        options: Options::of(head.fields).unwrap_or_default(),
        set,
        host: b"trino",
        framing: of_request(&head).unwrap_or(Framing::None),
        expect: false,
        upgrade: None,
        underscores: false,
        persistence: Persistence::Implied,
    }
    .write(out);
}

/// The same by writing every field anew from its parts.
fn serialise(bytes: &[u8], set: &[(&[u8], &[u8])], out: &mut Vec<u8>) {
    let mut places = Vec::new();
    let head = parse_request(bytes, &mut places).expect("a good head");
    for part in [head.method, b" ", head.target, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    let field = |name: &[u8], value: &[u8], out: &mut Vec<u8>| {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    for (name, value) in set {
        field(name, value, out);
    }
    for sent in head.fields.iter() {
        let is_set = set.iter().any(|(name, _)| name.eq_ignore_ascii_case(sent.name));
        if !is_set && !sent.name.eq_ignore_ascii_case(b"connection") {
            field(sent.name, sent.value, out);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn heads(criterion: &mut Criterion) {
    let mut set = SetFields::default();
    set.add(b"Host", |out| out.extend_from_slice(b"trino.example.org"));
    set.add(b"X-Real-IP", |out| out.extend_from_slice(b"192.0.2.1"));
    for (name, properties) in
        [("small", 0), ("trino", 1 << 10), ("64k", 64 << 10), ("2m", 2_000_000)]
    {
        let bytes = head(properties);
        let mut group = criterion.benchmark_group("head");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("find the end", name), |bencher| {
            bencher.iter(|| HeadScan::default().end(black_box(&bytes), LIMITS));
        });
        group.bench_function(BenchmarkId::new("find the end, four bytes at a time", name), |b| {
            b.iter(|| black_box(&bytes[..]).windows(4).position(|four| four == b"\r\n\r\n"));
        });
        group.bench_function(BenchmarkId::new("parse", name), |bencher| {
            bencher.iter(|| {
                let mut places = Vec::new();
                parse_request(black_box(&bytes), &mut places).map(|head| head.fields.len())
            });
        });
        group.bench_function(BenchmarkId::new("parse and rewrite", name), |bencher| {
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                rewrite(black_box(&bytes), &set, &mut out);
                out.len()
            });
        });
        group.bench_function(BenchmarkId::new("parse and serialise", name), |bencher| {
            let mut out = Vec::new();
            let set: [(&[u8], &[u8]); 2] =
                [(b"Host", b"trino.example.org"), (b"X-Real-IP", b"192.0.2.1")];
            bencher.iter(|| {
                out.clear();
                serialise(black_box(&bytes), &set, &mut out);
                out.len()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, heads);
criterion_main!(benches);

//! What it costs to follow a body: by its length, and in chunks as they came, beside what that was
//! chosen over: decoding them and making chunks anew.

use std::hint::black_box;
use std::io::Write;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use switchover::http::chunked::{ChunkScanner, Keep};
use switchover::http::framing::{Body, Framing};

fn chunks(size: usize, count: usize, extension: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..count {
        body.extend_from_slice(format!("{size:x}{extension}\r\n").as_bytes());
        body.extend(std::iter::repeat_n(b'x', size));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

fn bodies(criterion: &mut Criterion) {
    let cases = [
        ("8 KiB in 2 chunks", chunks(4096, 2, "")),
        ("8 KiB in chunks of 16 bytes", chunks(16, 512, "")),
        ("8 KiB with extensions", chunks(4096, 2, ";a=b")),
    ];
    let mut group = criterion.benchmark_group("chunks");
    for (name, body) in &cases {
        group.throughput(Throughput::Bytes(body.len() as u64));
        for (what, keep) in [("passed on", Keep::Framing), ("decoded", Keep::Data)] {
            group.bench_function(BenchmarkId::new(what, name), |bencher| {
                bencher.iter_batched_ref(
                    || body.clone(),
                    |bytes| ChunkScanner::default().scan(black_box(bytes), keep),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    for (name, body) in &cases {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("decoded and made anew", name), |bencher| {
            let mut out = Vec::new();
            bencher.iter_batched_ref(
                || body.clone(),
                |bytes| {
                    out.clear();
                    chunk_anew(black_box(bytes), &mut out)
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.bench_function("8 KiB by length", |bencher| {
        let mut bytes = vec![b'x'; 8 << 10];
        bencher.iter(|| {
            let mut body = Body::new(Framing::Length(8 << 10));
            body.scan(black_box(&mut bytes), Keep::Framing).map(|scan| scan.kept)
        });
    });
    group.finish();
}

/// All data of a body in one chunk.
fn chunk_anew(bytes: &mut [u8], out: &mut Vec<u8>) -> usize {
    let mut scanner = ChunkScanner::default();
    let scan = scanner.scan(bytes, Keep::Data).expect("good chunks");
    write!(out, "{:x}\r\n", scan.kept).expect("memory takes it");
    out.extend_from_slice(&bytes[..scan.kept]);
    out.extend_from_slice(b"\r\n0\r\n\r\n");
    out.len()
}

criterion_group!(benches, bodies);
criterion_main!(benches);

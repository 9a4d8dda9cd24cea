//! What it costs to follow a body in chunks: as it came, written anew, and decoded.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use switchover::http::chunked::{ChunkScanner, Keep};

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
    group.finish();
}

criterion_group!(benches, bodies);
criterion_main!(benches);

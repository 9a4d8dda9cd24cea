//! What it costs to pick a server and to conclude an attempt.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use switchover::address::Address;
use switchover::config::model::{self, GroupId};
use switchover::time::Time;
use switchover::upstream::group::{Group, GroupAt, Tried, Verdict};

fn group(servers: u16) -> Group {
    let server = |index: u16| model::Server {
        name: "server".into(),
        address: Address::Inet(([127, 0, 0, 1], 8000 + index).into()),
        weight: 1,
        max_fails: 1,
        fail_timeout: Duration::from_secs(3),
        backup: index + 1 == servers,
        down: false,
        max_connections: 0,
        tls: None,
    };
    let at = GroupAt { generation: 0, id: GroupId(0) };
    let model = model::Group {
        layer: model::Layer::Http,
        name: "group".into(),
        servers: (0..servers).map(server).collect(),
        keepalive: 32,
        keepalive_requests: 1000,
        keepalive_time: Duration::from_secs(3600),
        keepalive_timeout: Duration::from_secs(60),
        check_timeout: Duration::from_secs(3),
        trino: model::Trino::Auto,
        health_check: model::HealthCheck::ByMode,
        failback: None,
        queue: None,
        announcements: model::Announcements::All,
        resubmit: model::RESUBMIT,
        statement_memory: model::STATEMENT_MEMORY,
    };
    Group::new(at, &model)
}

fn servers(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("servers");
    for count in [2, 8, 64] {
        let mut group = group(count);
        benches.bench_function(BenchmarkId::new("pick and conclude", count), |bencher| {
            bencher.iter(|| {
                let pick = group.pick(black_box(Tried::default()), Time::ZERO).expect("all are up");
                group.conclude(pick, Verdict::Succeeded, Time::ZERO)
            });
        });
    }
    benches.finish();
}

criterion_group!(benches, servers);
criterion_main!(benches);

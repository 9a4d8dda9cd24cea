//! A whole exchange through the worker: what the proxy itself takes, on a network that takes
//! nothing. Each iteration is a request and its answer, in two turns, on connections that are kept.

#![allow(clippy::disallowed_types, reason = "both ends of a connection share it")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use switchover::address::Address;
use switchover::config::model::Listen;
use switchover::config::parse_text;
use switchover::net::{Accepted, Connect, Event, Net, Stream, Token};
use switchover::time::{Time, WallTime};
use switchover::worker::Worker;

/// One of the worker's connections: what has come for it, and what it has sent.
#[derive(Default)]
struct Wire {
    token: Option<Token>,
    input: Vec<u8>,
    read: usize,
    output: Vec<u8>,
}

type Shared = Rc<RefCell<Wire>>;

/// A network of memory, where the benchmark is everybody else.
#[derive(Default)]
struct Memory {
    waiting: VecDeque<Shared>,
    connected: Vec<Shared>,
    events: Vec<Event>,
    now: u64,
}

struct End(Shared);

impl Net for Memory {
    type Listener = ();
    type Stream = End;
    type Pipe = ();

    fn listen(&mut self, _: &Listen, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn accept(&mut self, (): &()) -> io::Result<Accepted<End>> {
        let stream = End(self.waiting.pop_front().ok_or(ErrorKind::WouldBlock)?);
        let address = Address::Inet(SocketAddr::from(([192, 0, 2, 1], 50_000)));
        Ok(Accepted { stream, peer: address.clone(), local: address })
    }

    fn connect(&mut self, _: &Address, _: &Connect) -> io::Result<End> {
        let wire = Shared::default();
        self.connected.push(Rc::clone(&wire));
        Ok(End(wire))
    }

    fn pipe(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn watch(&mut self, stream: &mut End, token: Token) -> io::Result<()> {
        stream.0.borrow_mut().token = Some(token);
        self.events.push(ready(token));
        Ok(())
    }

    fn poll(&mut self, events: &mut Vec<Event>, _: Time) -> io::Result<Time> {
        events.clear();
        events.append(&mut self.events);
        self.now += 1000;
        Ok(Time::from_nanos(self.now))
    }

    fn wall(&self, at: Time) -> WallTime {
        WallTime(at.as_nanos())
    }
}

impl Stream for End {
    type Pipe = ();

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wire = &mut *self.0.borrow_mut();
        let rest = &wire.input[wire.read..];
        if rest.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        wire.read += count;
        Ok(count)
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let output = &mut self.0.borrow_mut().output;
        from.iter().for_each(|piece| output.extend_from_slice(piece));
        Ok(from.iter().map(|piece| piece.len()).sum())
    }

    fn splice_in(&mut self, (): &mut (), _: usize) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }

    fn splice_out(&mut self, (): &mut (), _: usize) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }

    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_close(&mut self) {}

    fn set_nodelay(&mut self, _: bool) {}
}

fn ready(token: Token) -> Event {
    Event {
        token,
        readable: true,
        writable: true,
        read_closed: false,
        broken: false,
        urgent: false,
    }
}

/// A worker with a client whose connection is kept.
struct Scene {
    worker: Worker<Memory>,
    client: Shared,
}

impl Scene {
    fn set() -> Scene {
        let config = parse_text("bench", CONFIG.as_bytes()).expect("a good file").config;
        let mut worker = Worker::new(Memory::default(), Arc::new(config)).expect("it listens");
        let client = Shared::default();
        worker.net().waiting.push_back(Rc::clone(&client));
        Scene { worker, client }
    }

    /// One request, and its answer; how long that is for the client.
    fn exchange(&mut self, request: &[u8], answer: &[u8]) -> usize {
        self.bring(&Rc::clone(&self.client), request);
        while self.worker.net().connected.last().is_none_or(|it| it.borrow().output.is_empty()) {
            self.worker.turn(Time::NEVER).expect("memory does not fail");
        }
        let server = Rc::clone(self.worker.net().connected.last().expect("just seen"));
        server.borrow_mut().output.clear();
        self.bring(&server, answer);
        while self.client.borrow().output.len() < answer.len() {
            self.worker.turn(Time::NEVER).expect("memory does not fail");
        }
        let length = self.client.borrow().output.len();
        self.client.borrow_mut().output.clear();
        length
    }

    fn bring(&mut self, to: &Shared, bytes: &[u8]) {
        let wire = &mut *to.borrow_mut();
        wire.input.clear();
        wire.input.extend_from_slice(bytes);
        wire.read = 0;
        self.worker.net().events.extend(wire.token.map(ready));
    }
}

fn exchange(criterion: &mut Criterion) {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let properties = format!("X-Trino-Session: {}\r\n", "x".repeat(1200));
    let get = "GET /v1/info HTTP/1.1\r\nHost: trino.example.org:8080\r\n\
        User-Agent: curl/7.88.1\r\nAccept: */*\r\n";
    let small = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
    let chunks = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    let body = "x".repeat(2048);
    let post = "POST /v1/statement HTTP/1.1\r\nHost: trino.example.org:8080\r\n\
        Content-Length: 2048\r\n\r\n";
    let cases = [
        ("small GET", format!("{get}\r\n"), small.to_owned()),
        (
            "Trino poll",
            format!("{get}{properties}\r\n"),
            [chunks, &chunk, &chunk, "0\r\n\r\n"].concat(),
        ),
        ("POST, 2 KiB", format!("{post}{body}"), small.to_owned()),
    ];
    let mut group = criterion.benchmark_group("exchange");
    for (name, request, answer) in &cases {
        let mut scene = Scene::set();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| scene.exchange(request.as_bytes(), answer.as_bytes()));
        });
    }
    group.finish();
}

const CONFIG: &str = "http {
    access_log off; keepalive_requests 1000000000; keepalive_time 1000d;
    upstream trino {
        server 127.0.0.1:1 fail_timeout=3s max_fails=1; server 127.0.0.1:2 backup;
        keepalive 32; keepalive_requests 1000000000; keepalive_time 1000d;
    }
    server {
        listen 127.0.0.1:3;
        location / {
            proxy_pass http://trino; proxy_redirect http://trino/ /;
            proxy_set_header Host $host:$server_port;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }
    }
}";

criterion_group!(benches, exchange);
criterion_main!(benches);

//! Once warm, no request allocates: counted by an allocator, around the worker's turns alone.
//!
//! Client and server are sockets of this thread; nobody waits for anything but loopback.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]
#![allow(clippy::disallowed_methods, reason = "real sockets take real time")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use switchover::address::Address;
use switchover::config::parse_text;
use switchover::net::os::OsNet;
use switchover::worker::Worker;

/// The system's allocator, with a count of what each thread asks for.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as promised to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as promised to us.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as promised to us.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// A worker between a client and a server.
struct Scene {
    worker: Worker<OsNet>,
    proxy: SocketAddr,
    listener: TcpListener,
    client: TcpStream,
    server: Option<TcpStream>,
    /// What the worker allocated.
    allocated: u64,
}

impl Scene {
    /// With the article's location, and these lines in it.
    fn set(lines: &str) -> Scene {
        Scene::of("trino off;", lines)
    }

    /// With these lines in the group, too.
    fn of(group: &str, lines: &str) -> Scene {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let text = format!(
            "http {{
               log_format all '$remote_addr - $remote_user [$time_local] \"$request\" $status '
                 '$body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_time '
                 '$upstream_addr $upstream_status $upstream_response_time';
               upstream trino {{
                 server {} fail_timeout=3s max_fails=1;
                 server 127.0.0.1:9 backup;
                 {group}
               }}
               server {{
                 listen 127.0.0.1:0;
                 server_name localhost;
                 access_log off;
                 location / {{
                   proxy_pass http://trino;
                   proxy_redirect http://trino/ /;
                   proxy_connect_timeout 3;
                   proxy_set_header Host $host:$server_port;
                   proxy_set_header X-Real-IP $remote_addr;
                   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                   {lines}
                 }}
               }}
             }}",
            listener.local_addr().unwrap()
        );
        let config = parse_text("test", text.as_bytes()).map_err(|e| e.to_string()).unwrap().config;
        let worker = Worker::new(OsNet::new().unwrap(), Arc::new(config)).unwrap();
        let Ok(Address::Inet(proxy)) = worker.listening()[0].address() else { unreachable!() };
        let client = connect(proxy);
        Scene { worker, proxy, listener, client, server: None, allocated: 0 }
    }

    /// Requests that are answered, one after another; what the worker allocated meanwhile.
    fn exchange(&mut self, count: u32, request: &[u8], answer: &[u8]) -> u64 {
        let before = self.allocated;
        for _ in 0..count {
            self.client.write_all(request).unwrap();
            self.await_request();
            self.server.as_mut().unwrap().write_all(answer).unwrap();
            self.await_answer(answer);
        }
        self.allocated - before
    }

    /// Takes turns until the server has a whole request, on whatever connection.
    fn await_request(&mut self) {
        let mut request = Vec::new();
        let end = Instant::now() + PATIENCE;
        while !is_whole(&request) {
            assert!(Instant::now() < end, "no request came");
            self.turn();
            if let Ok((server, _)) = self.listener.accept() {
                server.set_nonblocking(true).unwrap();
                self.server = Some(server);
            }
            if let Some(server) = &mut self.server {
                read(server, &mut request);
            }
        }
    }

    /// Takes turns until the client has as many bytes of body as the answer has.
    fn await_answer(&mut self, answer: &[u8]) {
        let mut received = Vec::new();
        let end = Instant::now() + PATIENCE;
        while body(&received) != body(answer) {
            assert!(Instant::now() < end, "no answer came");
            self.turn();
            read(&mut self.client, &mut received);
        }
    }

    fn turn(&mut self) {
        let before = ALLOCATIONS.get();
        let until = self.worker.now() + Duration::from_millis(1);
        self.worker.turn(until).unwrap();
        self.worker.access_lines().all().for_each(|(_, lines)| lines.clear());
        self.allocated += ALLOCATIONS.get() - before;
    }
}

fn connect(to: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(to).unwrap();
    client.set_nonblocking(true).unwrap();
    client
}

fn read(from: &mut TcpStream, into: &mut Vec<u8>) {
    match from.read_to_end(into) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::WouldBlock => {}
        Err(e) => panic!("{e}"),
    }
}

/// What stands behind a head.
fn body(message: &[u8]) -> Option<&[u8]> {
    let end = message.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    Some(&message[end + 4..])
}

/// Whether a request is whole, whose body, if there is one, is that of [`post`].
fn is_whole(request: &[u8]) -> bool {
    let length = if request.starts_with(b"POST") { BODY } else { 0 };
    body(request).is_some_and(|body| body.len() == length)
}

fn get() -> Vec<u8> {
    b"GET /v1/info HTTP/1.1\r\nHost: trino.example.org:8080\r\nUser-Agent: curl/7.88.1\r\n\
      Accept: */*\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
        .to_vec()
}

fn post() -> Vec<u8> {
    let head = "POST /v1/statement HTTP/1.1\r\nHost: trino.example.org:8080\r\n\
        X-Trino-User: alice\r\nContent-Length: ";
    [format!("{head}{BODY}\r\n\r\n").into_bytes(), vec![b'x'; BODY]].concat()
}

fn ok() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".to_vec()
}

/// 8 KiB of body in two chunks.
fn chunked() -> Vec<u8> {
    let mut answer =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for _ in 0..2 {
        answer.extend_from_slice(b"1000\r\n");
        answer.extend(std::iter::repeat_n(b'x', 0x1000));
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

/// Exchanges with these lines in the location allocate nothing once a few have warmed up.
fn check(lines: &str, request: &[u8], answer: &[u8]) {
    let mut scene = Scene::set(lines);
    assert_ne!(scene.exchange(20, request, answer), 0, "the allocator counts");
    let allocated = scene.exchange(100, request, answer);
    assert_eq!(allocated, 0, "in 100 exchanges");
}

#[test]
fn a_small_get_allocates_nothing() {
    check("", &get(), &ok());
}

#[test]
fn a_post_allocates_nothing_although_its_body_is_kept_for_another_server() {
    check("proxy_next_upstream error timeout non_idempotent;", &post(), &ok());
}

#[test]
fn a_statement_takes_two_allocations_and_a_poll_none() {
    let mut scene = Scene::of("trino on; health_check off;", "");
    let of = |request: &[u8], answer: &[u8], scene: &mut Scene| {
        scene.exchange(20, request, answer);
        scene.exchange(100, request, answer)
    };
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let allocated = of(&post(), answer, &mut scene);
    assert!(allocated <= 200, "{allocated} in 100 statements");
    let poll = b"GET /v1/statement/executing/20261124_103000_00001_abcde/x/1 HTTP/1.1\r\n\
        Host: trino.example.org:8080\r\n\r\n";
    assert_eq!(of(poll, answer, &mut scene), 0, "in 100 polls");
}

#[test]
fn an_answer_in_chunks_allocates_nothing() {
    check("", &get(), &chunked());
}

#[test]
fn an_access_log_line_allocates_nothing() {
    check("access_log /dev/null all;", &get(), &ok());
}

/// Its session, its exchange, its alarm. Alarms of connections that are gone are swept out in
/// the end, so it takes some rounds until there are no more than before.
#[test]
fn a_connection_takes_the_storage_of_one_that_is_gone() {
    let mut scene = Scene::set("");
    for round in 0..300 {
        let before = scene.allocated;
        scene.client = connect(scene.proxy);
        scene.exchange(1, &get(), &ok());
        if round >= 150 {
            assert_eq!(scene.allocated, before, "in round {round}");
        }
    }
}

/// Bytes of a request's body.
const BODY: usize = 2048;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

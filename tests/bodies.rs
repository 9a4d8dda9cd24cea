//! Big bodies and big heads: everything arrives, and the proxy's memory stays small.

mod common;

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;

use common::{Connection, Framing, Message, Proxy, Reader, Upstream, Wire, get, ok};

/// 64 MiB, as Trino's spooled segments and more.
const BLOCKS: u64 = 1 << 10;
const BLOCK: usize = 64 << 10;
const TOTAL: u64 = BLOCKS * BLOCK as u64;

/// The most memory the proxy may ever need, in KiB.
const MEMORY: u64 = 16 << 10;

/// The `n`th block of a body in which no two blocks are alike.
fn block(n: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..8].copy_from_slice(&n.to_le_bytes());
    block[BLOCK - 8..].copy_from_slice(&(!n).to_le_bytes());
    block
}

#[derive(Clone, Copy)]
enum By {
    Length,
    Chunks,
}

impl By {
    fn field(self) -> String {
        match self {
            By::Length => format!("Content-Length: {TOTAL}\r\n\r\n"),
            By::Chunks => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
        }
    }
}

fn send_body(wire: &Wire, by: By) -> io::Result<()> {
    let mut wire = wire;
    for n in 0..BLOCKS {
        match by {
            By::Length => wire.write_all(&block(n))?,
            By::Chunks => {
                write!(wire, "{BLOCK:x}\r\n")?;
                wire.write_all(&block(n))?;
                wire.write_all(b"\r\n")?;
            }
        }
    }
    match by {
        By::Length => Ok(()),
        By::Chunks => wire.write_all(b"0\r\n\r\n"),
    }
}

/// Reads a body block by block, without keeping it, and tells whether it is the one sent.
fn is_the_body(reader: &mut Reader, head: &Message) -> io::Result<bool> {
    let mut blocks = Blocks::default();
    match head.framing(Framing::Empty)? {
        Framing::Length(TOTAL) => reader.each_piece(TOTAL, |piece| blocks.take(piece))?,
        Framing::Chunked => while reader.each_chunk_piece(|piece| blocks.take(piece))? {},
        Framing::Empty | Framing::UntilClose | Framing::Length(_) => return Ok(false),
    }
    Ok(blocks.whole == BLOCKS && blocks.right && blocks.part.is_empty())
}

struct Blocks {
    part: Vec<u8>,
    whole: u64,
    right: bool,
}

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks { part: Vec::new(), whole: 0, right: true }
    }
}

impl Blocks {
    fn take(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let n = piece.len().min(BLOCK - self.part.len());
            self.part.extend_from_slice(&piece[..n]);
            piece = &piece[n..];
            if self.part.len() == BLOCK {
                self.right &= self.part == block(self.whole);
                self.whole += 1;
                self.part.clear();
            }
        }
    }
}

fn check_download(by: By) {
    let server = Upstream::playing(move |connection| {
        connection.read_request()?;
        connection.send(format!("HTTP/1.1 200 OK\r\n{}", by.field()))?;
        send_body(connection.wire(), by)?;
        connection.wait_for_end()
    });
    let proxy = Proxy::before(&server, "proxy_buffering off;");
    let mut client = proxy.client();
    client.send(get("/"));
    let head = client.reader().head().expect("an answer").expect("an answer");
    assert!(is_the_body(client.reader(), &head).expect("a whole body"));
    assert!(proxy.peak_memory() < MEMORY, "{} KiB", proxy.peak_memory());
}

fn check_upload(by: By) {
    let server = Upstream::playing(|connection: &mut Connection| {
        let head = connection.read_head()?;
        let right = is_the_body(connection.reader(), &head)?;
        connection.send(ok(if right { "right" } else { "wrong" }))
    });
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{}", by.field()));
    send_body(client.wire(), by).expect("the proxy takes it");
    assert_eq!(client.read_response().text(), "right");
    assert!(proxy.peak_memory() < MEMORY, "{} KiB", proxy.peak_memory());
}

#[test]
fn a_download_of_64_mib_by_length_streams_through() {
    check_download(By::Length);
}

#[test]
fn a_download_of_64_mib_in_chunks_streams_through() {
    check_download(By::Chunks);
}

#[test]
fn an_upload_of_64_mib_by_length_streams_through() {
    check_upload(By::Length);
}

#[test]
fn an_upload_of_64_mib_in_chunks_streams_through() {
    check_upload(By::Chunks);
}

#[test]
fn a_request_body_is_streamed_before_it_is_whole() {
    let (told, tell) = mpsc::channel();
    let server = Upstream::playing(move |connection| {
        let head = connection.read_head()?;
        let mut first = [0; 5];
        connection.reader().exact(&mut first)?;
        let _ = told.send(first);
        assert_eq!(head.field("Content-Length"), Some("10"));
        connection.read_body(Framing::Length(5))?;
        connection.send(ok("all"))
    });
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
    assert_eq!(&tell.recv_timeout(common::PATIENCE).unwrap(), b"first");
    client.send("other");
    assert_eq!(client.read_response().text(), "all");
}

const LARGE_HEADS: &str = "upstream group { server {server}; keepalive 8; }
    server {
        listen {listen};
        large_client_header_buffers 4 2m;
        location / { proxy_pass http://group; }
    }";

/// 1.5 MB, as a client with many prepared statements sends.
fn large_value() -> String {
    "v".repeat(1_500_000)
}

#[test]
fn a_request_head_of_one_and_a_half_megabytes_passes() {
    let server = Upstream::named("a");
    let proxy = Proxy::start(LARGE_HEADS, &[("server", &server)]);
    let mut client = proxy.client();
    let value = large_value();
    for n in 1..3 {
        let answer =
            client.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Trino-Prepared: {value}\r\n\r\n"));
        assert_eq!(answer.status(), 200);
        assert_eq!(server.wait_for_request(n).field("X-Trino-Prepared"), Some(value.as_str()));
    }
}

#[test]
fn a_response_head_of_one_and_a_half_megabytes_passes() {
    let value = large_value();
    let server = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nX-Trino-Set: {value}\r\nContent-Length: 1\r\n\r\na"
    ));
    let proxy = Proxy::start(LARGE_HEADS, &[("server", &server)]);
    let mut client = proxy.client();
    for _ in 0..2 {
        let answer = client.ask(get("/"));
        assert_eq!(answer.field("X-Trino-Set"), Some(value.as_str()));
        assert_eq!(answer.text(), "a");
    }
}

#[test]
fn a_request_line_of_one_megabyte_passes() {
    let server = Upstream::named("a");
    let proxy = Proxy::start(LARGE_HEADS, &[("server", &server)]);
    let target = format!("/{}", "p".repeat(1_000_000));
    assert_eq!(proxy.client().ask(get(&target)).status(), 200);
    assert_eq!(server.wait_for_request(1).start, format!("GET {target} HTTP/1.1"));
}

#[test]
fn many_clients_with_bodies_at_once_get_their_own_answers() {
    let server = Upstream::playing(|connection| {
        while let Some(request) = connection.read_request()? {
            connection.send(ok(&request.text()))?;
        }
        Ok(())
    });
    let proxy = Proxy::before(&server, "");
    let address = proxy.address();
    let clients: Vec<_> = (0..16)
        .map(|n| {
            thread::spawn(move || {
                let mut client = common::Client::connect(address);
                let body = format!("{n} ").repeat(20_000);
                (0..10).all(|_| client.ask(common::post("/", &body)).text() == body)
            })
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap()));
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole_over_a_unix_socket_too() {
    let server = Upstream::playing_unix(|connection| {
        connection.read_request()?;
        connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
    });
    let proxy = Proxy::before(&server, "");
    for _ in 0..3 {
        assert_eq!(proxy.client().ask(get("/")).text(), "all of it");
    }
}

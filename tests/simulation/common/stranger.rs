//! Bytes that resemble a valid request: valid ones, with pieces cut, added and replaced.

use switchover::net::sim::{Rng, disguise};

/// One or more requests, of which some or all may be invalid.
pub(crate) fn strange_bytes(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.within(1..=3) {
        bytes.extend_from_slice(rng.pick(&REQUESTS).as_bytes());
    }
    for _ in 0..rng.within(0..=4) {
        damage(&mut bytes, rng);
    }
    disguise(&mut bytes);
    bytes
}

fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let from = rng.within(0..=bytes.len());
    let to = (from + rng.within(0..=8)).min(bytes.len());
    let piece: Vec<u8> = match rng.within(0..=3) {
        0 => Vec::new(),
        1 => vec![rng.within(0..=255) as u8],
        2 => rng.pick(&PIECES).as_bytes().to_vec(),
        _ => bytes[to..].to_vec(),
    };
    bytes.splice(from..to, piece);
}

/// Valid requests of every framing.
const REQUESTS: [&str; 10] = [
    "GET /s HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /s?q HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /s HTTP/1.0\r\n\r\n",
    "HEAD /s HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a/s HTTP/1.1\r\nHost: b\r\nAccept: */*\r\nAccept: text/plain\r\n\r\n",
    "POST /s HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    "PUT /s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nA: b\r\n\r\n",
    "POST /s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "GET /s HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
];

/// Pieces that can change the meaning of their surroundings.
const PIECES: [&str; 22] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: Content-Length, Host\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: websocket\r\n",
    "Host: other\r\n",
    "HTTP/1.0",
    "HTTP/2.0",
    "POST /s ",
    "\u{80}\u{7ff}",
    ";a=\"b\"",
];

//! Bytes that resemble a valid request or TLS handshake: valid ones, with pieces cut, added and
//! replaced.

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

/// Bytes that begin like a TLS handshake. None of them completes one.
pub(crate) fn strange_records(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = match rng.within(0..=4) {
        0 => record(&hello(TLS_1_1)),
        // The same, by a few bytes in each record.
        1 => hello(TLS_1_3).chunks(rng.within(1..=50)).flat_map(record).collect(),
        2 | 3 | 4.. => record(&hello(TLS_1_3)),
    };
    match rng.within(0..=3) {
        0 => bytes.truncate(rng.within(1..=bytes.len())),
        1 => bytes.extend((0..rng.within(1..=400)).map(|_| rng.within(0..=255) as u8)),
        2 => (0..rng.within(1..=3)).for_each(|_| damage(&mut bytes, rng)),
        3.. => {}
    }
    bytes
}

/// The first message of a client that speaks one version. RFC 8446, section 4.1.2.
pub(crate) fn hello(version: [u8; 2]) -> Vec<u8> {
    let is_newest = version == TLS_1_3;
    let mut extensions = Vec::new();
    let mut extend = |kind: u8, data: &[u8]| {
        extensions.extend([0, kind, 0, data.len() as u8]);
        extensions.extend_from_slice(data);
    };
    // Groups: X25519. Signatures: Ed25519, ECDSA.
    extend(10, &[0, 2, 0, 29]);
    extend(13, &[0, 4, 8, 7, 4, 3]);
    if is_newest {
        extend(43, &[2, 3, 4]);
        extend(51, &[&[0, 36, 0, 29, 0, 32][..], &[9; 32]].concat());
    }
    // Newer versions call themselves 1.2 here.
    let version = if is_newest { [3, 3] } else { version };
    let ciphers = [0x13, 0x01, 0xc0, 0x2b, 0xc0, 0x09];
    let length = extensions.len() as u16;
    let body = [
        &version[..],
        &[0x5a; 32],
        &[0, 0, ciphers.len() as u8],
        &ciphers,
        &[1, 0],
        &length.to_be_bytes(),
        &extensions,
    ]
    .concat();
    [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat()
}

/// A record of a handshake.
pub(crate) fn record(message: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &(message.len() as u16).to_be_bytes(), message].concat()
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

/// Versions of TLS as clients write them.
pub(crate) const TLS_1_1: [u8; 2] = [3, 2];
pub(crate) const TLS_1_3: [u8; 2] = [3, 4];

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

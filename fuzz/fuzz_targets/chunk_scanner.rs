//! A legal chunked body gives the data it was made of, however it is spelt and split; with one byte
//! damaged, it gives what the rules make of it.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use switchover::http::chunked::{ChunkScanner, Keep};
use switchover_fuzz::feed::{Fed, check_chunks, cuts, feed};

#[derive(Arbitrary, Debug)]
struct Input {
    chunks: Vec<Chunk>,
    zeros_of_last: u8,
    trailers: Vec<Trailer>,
    behind: [u8; 3],
    damage: Damage,
    /// How long the pieces are, over and over; without any, each is as short as can be.
    pieces: Vec<u16>,
    data_only: bool,
}

#[derive(Arbitrary, Debug)]
struct Chunk {
    zeros: u8,
    uppercase: bool,
    size: u8,
    byte: u8,
    extension: Extension,
}

#[derive(Arbitrary, Debug)]
enum Extension {
    None,
    Name { length: u8 },
    Value { length: u16 },
    Quoted { byte: u8, length: u16 },
    Several { count: u8 },
}

#[derive(Arbitrary, Debug)]
struct Trailer {
    name: u8,
    value: u8,
    length: u16,
}

#[derive(Arbitrary, Debug)]
enum Damage {
    None,
    Replaced { at: u16, by: u8 },
    Inserted { at: u16, byte: u8 },
    Removed { at: u16 },
    CutOff { at: u16 },
}

fuzz_target!(|input: Input| {
    let (body, data) = input.body();
    let mut stream = [&body[..], &input.behind].concat();
    input.damage.happens_to(&mut stream);
    let keep = if input.data_only { Keep::Data } else { Keep::Framing };
    let whole = feed(ChunkScanner::default(), &stream, [], keep);
    let split = feed(ChunkScanner::default(), &stream, input.cuts(stream.len()), keep);
    assert_eq!(split, whole, "split differently");
    check_chunks(&stream, &whole, keep);
    if let (Damage::None, Keep::Data, Ok(fed)) = (&input.damage, keep, whole) {
        assert_eq!(fed, Fed { kept: data, behind: Some(input.behind.to_vec()) });
    }
});

impl Input {
    /// A legal body, but perhaps for its size, and its data.
    fn body(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut body, mut data) = (Vec::new(), Vec::new());
        for chunk in self.chunks.iter().take(MAX_PARTS) {
            let size = usize::from(chunk.size) + 1;
            let digits = if chunk.uppercase { format!("{size:X}") } else { format!("{size:x}") };
            body.resize(body.len() + usize::from(chunk.zeros), b'0');
            body.extend_from_slice(digits.as_bytes());
            chunk.extension.write(&mut body);
            body.extend_from_slice(b"\r\n");
            body.resize(body.len() + size, chunk.byte);
            body.extend_from_slice(b"\r\n");
            data.resize(data.len() + size, chunk.byte);
        }
        body.resize(body.len() + usize::from(self.zeros_of_last) + 1, b'0');
        body.extend_from_slice(b"\r\n");
        for trailer in self.trailers.iter().take(MAX_PARTS) {
            body.extend([b'a' + trailer.name % 26, b':', b' ']);
            body.resize(
                body.len() + usize::from(trailer.length) % MAX_SIZE,
                visible(trailer.value),
            );
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"\r\n");
        (body, data)
    }

    fn cuts(&self, length: usize) -> Vec<usize> {
        if self.pieces.is_empty() {
            return cuts(length).collect();
        }
        let mut cuts = Vec::new();
        let mut at = 0;
        for piece in self.pieces.iter().cycle().take(MAX_PIECES) {
            at += usize::from(*piece);
            if at >= length {
                break;
            }
            cuts.push(at);
        }
        cuts
    }
}

impl Extension {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Extension::None => {}
            Extension::Name { length } => {
                out.push(b';');
                out.resize(out.len() + usize::from(*length) + 1, b'n');
            }
            Extension::Value { length } => {
                out.extend_from_slice(b";n=");
                out.resize(out.len() + usize::from(*length) % MAX_SIZE + 1, b'v');
            }
            Extension::Quoted { byte, length } => {
                out.extend_from_slice(b";n=\"");
                for _ in 0..usize::from(*length) % MAX_SIZE {
                    out.extend([b'\\', visible(*byte)]);
                }
                out.push(b'"');
            }
            Extension::Several { count } => {
                for _ in 0..*count {
                    out.extend_from_slice(b";a;b=c;d=\";=\"");
                }
            }
        }
    }
}

impl Damage {
    fn happens_to(&self, stream: &mut Vec<u8>) {
        let place = |at: u16| usize::from(at) % stream.len();
        match *self {
            Damage::None => {}
            Damage::Replaced { at, by } => {
                let at = place(at);
                stream[at] = by;
            }
            Damage::Inserted { at, byte } => stream.insert(place(at), byte),
            Damage::Removed { at } => {
                stream.remove(place(at));
            }
            Damage::CutOff { at } => stream.truncate(place(at)),
        }
    }
}

/// A character that may stand in a value.
fn visible(byte: u8) -> u8 {
    b' ' + byte % (0x7f - b' ')
}

/// Chunks, or trailers, of one body.
const MAX_PARTS: usize = 32;
/// Pieces of one input.
const MAX_PIECES: usize = 512;
/// Bytes of one value: a little more than a line may have.
const MAX_SIZE: usize = 4400;

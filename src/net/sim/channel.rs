//! What an actor sends and receives on: the bytes of a connection, or those inside TLS.
//!
//! Over TLS, an end that was not announced is a break, and bytes count as sent once their whole
//! record is. The handshake knows no pace: only the network delays it, unless it is to fail.

use super::end::{EndId, Owner};
#[cfg(not(feature = "tls"))]
use super::tls_absent::TlsSide;
#[cfg(feature = "tls")]
use super::tls_side::TlsSide;
use super::trace::excerpt;
use super::world::{Received, World};
use crate::address::Address;

/// An actor's connection.
#[derive(Debug)]
pub struct Channel {
    pub(super) end: EndId,
    cover: Option<Cover>,
}

/// TLS on a connection.
#[derive(Debug)]
struct Cover {
    tls: TlsSide,
    /// Records that the socket has not taken.
    out: Vec<u8>,
    /// Plain bytes in these records, which do not count yet.
    owed: usize,
    sending: Sending,
    /// Bytes of a handshake that are still sent, if it is to fail.
    allowed: Option<usize>,
    /// Plain bytes until those that nobody has asked for.
    unspoilt: Option<usize>,
}

#[derive(Debug, PartialEq, Eq)]
enum Sending {
    Goes,
    /// The FIN follows the last record.
    Ends,
}

impl Channel {
    /// Begins to connect, and to speak TLS if the address wants it.
    pub fn dial(owner: Owner, to: &Address, world: &mut World) -> Channel {
        let end = world.dial(owner, to);
        let cover = world.tls_client(to).map(Cover::new);
        let out = world.preamble(to).to_vec();
        Channel { end, cover: cover.map(|cover| Cover { out, ..cover }) }
    }

    /// Takes a connection that has arrived at a machine, to speak TLS if that does.
    pub fn accepted(end: EndId, world: &mut World) -> Channel {
        let machine = world.local(end).clone();
        Channel { end, cover: world.tls_server(&machine).map(Cover::new) }
    }

    /// Its end of the connection.
    pub fn end(&self) -> EndId {
        self.end
    }

    /// Whether a TLS handshake is under way.
    pub fn is_shaking(&self) -> bool {
        self.cover.as_ref().is_some_and(|cover| cover.tls.is_shaking())
    }

    /// Whether it carries TLS.
    pub fn is_covered(&self) -> bool {
        self.cover.is_some()
    }

    /// Lets its side of the handshake end after this many bytes.
    pub(super) fn stop_shaking(&mut self, after: usize) {
        if let Some(cover) = &mut self.cover {
            cover.allowed = Some(after);
        }
    }

    /// Whether its side of the handshake has ended before it was complete.
    pub(super) fn has_stopped(&self) -> bool {
        self.cover.as_ref().is_some_and(Cover::has_stopped)
    }

    /// Sends what waits to be sent.
    pub fn flush(&mut self, world: &mut World) {
        if let Some(cover) = &mut self.cover {
            cover.flush(self.end, world);
        }
    }

    /// Sends some bytes; returns how many were sent. Those that were not have to come again.
    pub fn send(&mut self, bytes: &[u8], world: &mut World) -> usize {
        let Some(cover) = &mut self.cover else { return world.send(self.end, bytes) };
        if cover.owed == 0 {
            cover.owed = cover.tls.enclose(bytes);
            cover.spoil(self.end, world);
        }
        match cover.flush(self.end, world) {
            true => std::mem::take(&mut cover.owed),
            false => 0,
        }
    }

    /// Reads at most `most` bytes, and appends what they say. The number of bytes does not include
    /// those of a handshake.
    pub fn receive(&mut self, into: &mut Vec<u8>, most: usize, world: &mut World) -> Received {
        let Some(cover) = &mut self.cover else { return world.receive(self.end, into, most) };
        if cover.tls.has_ended() {
            return if cover.tls.is_shaking() { Received::Broken } else { Received::End };
        }
        let (shakes, before) = (cover.tls.is_shaking(), into.len());
        let mut records = Vec::new();
        let received =
            world.receive(self.end, &mut records, if shakes { usize::MAX } else { most });
        match received {
            Received::Bytes(count) => {
                if cover.has_stopped() {
                    return received;
                }
                if let Err(why) = cover.tls.open(&records, into) {
                    world.accuse(format!("TLS at {}: {why}", self.end));
                    return Received::Broken;
                }
                if shakes && !cover.tls.is_shaking() {
                    world.tell(60, || format!("{} has shaken hands", self.end));
                    world.shaken(self.end);
                }
                let plain = &into[before..];
                if !plain.is_empty() {
                    let words = || format!("{} reads {}", self.end, excerpt(plain));
                    world.tell(plain.len(), words);
                    world.overhear(self.end, plain);
                }
                cover.flush(self.end, world);
                Received::Bytes(if shakes { 0 } else { count })
            }
            Received::End => Received::Broken,
            Received::Nothing | Received::Broken => received,
        }
    }

    /// Sends the FIN after everything else; reading stays possible.
    pub fn finish(&mut self, world: &mut World) {
        let Some(cover) = &mut self.cover else { return world.finish(self.end) };
        cover.sending = Sending::Ends;
        cover.flush(self.end, world);
    }

    /// Closes the connection; some announce that, if they still can.
    pub fn close(mut self, world: &mut World) {
        if let Some(cover) = &mut self.cover
            && cover.tls.takes_leave()
        {
            cover.tls.announce_end();
            cover.flush(self.end, world);
        }
        world.close(self.end);
    }

    /// Closes it without a word.
    pub(super) fn cut(self, world: &mut World) {
        world.close(self.end);
    }

    /// Closes it if it is idle, and returns whether it was.
    pub(super) fn close_idle(&mut self, world: &mut World) -> bool {
        match &mut self.cover {
            Some(cover) if cover.tls.takes_leave() && cover.is_idle(self.end, world) => {
                cover.tls.announce_end();
                cover.interject(self.end, world);
                world.close(self.end);
                true
            }
            Some(_) | None => world.close_idle(self.end),
        }
    }

    /// Sends bytes that nobody has asked for, if the connection is idle; returns whether it was.
    pub(super) fn send_unsolicited(&mut self, bytes: &[u8], world: &mut World) -> bool {
        let Some(cover) = &mut self.cover else { return world.send_unsolicited(self.end, bytes) };
        if !cover.is_idle(self.end, world) {
            return false;
        }
        let mut left = bytes;
        while !left.is_empty() {
            left = &left[cover.tls.enclose(left)..];
            cover.tls.records(&mut cover.out);
        }
        cover.interject(self.end, world);
        true
    }

    /// Says that nobody has asked for what is sent after the next `count` bytes.
    pub(super) fn spoil_behind(&mut self, count: usize, world: &mut World) {
        match &mut self.cover {
            // A record has been made of the first of them.
            Some(cover) => cover.unspoilt = Some(count - cover.owed),
            None => {
                world.spoil_behind(self.end, count);
                world.spoilt_within(self.end, count + 1);
            }
        }
    }

    /// Closes it with a reset.
    pub fn abort(self, world: &mut World) {
        world.abort(self.end);
    }

    /// Whether everything sent has arrived.
    pub(super) fn is_flushed(&self, world: &World) -> bool {
        let is_empty = self.cover.as_ref().is_none_or(|cover| cover.out.is_empty());
        is_empty && world.flushed(self.end)
    }
}

impl Cover {
    fn new(tls: TlsSide) -> Cover {
        let sending = Sending::Goes;
        Cover { tls, out: Vec::new(), owed: 0, sending, allowed: None, unspoilt: None }
    }

    fn has_stopped(&self) -> bool {
        self.allowed == Some(0) && self.tls.is_shaking()
    }

    /// Whether nothing is under way on the connection.
    fn is_idle(&self, end: EndId, world: &World) -> bool {
        self.out.is_empty() && !self.tls.is_shaking() && world.is_idle(end)
    }

    /// Sends all records out of turn on an idle connection.
    fn interject(&mut self, end: EndId, world: &mut World) {
        self.tls.records(&mut self.out);
        world.send_unsolicited(end, &std::mem::take(&mut self.out));
    }

    /// Notes in which record the plain bytes are that nobody has asked for.
    fn spoil(&mut self, end: EndId, world: &mut World) {
        let Some(left) = self.unspoilt.filter(|_| self.owed > 0) else { return };
        self.tls.records(&mut self.out);
        self.unspoilt = left.checked_sub(self.owed);
        if left > 0 && self.owed >= left {
            world.spoil_behind(end, self.out.len());
        }
        if self.owed > left {
            world.spoilt_within(end, self.out.len());
        }
    }

    /// Sends records as far as there is room, and returns whether all have left.
    fn flush(&mut self, end: EndId, world: &mut World) -> bool {
        let shakes = self.tls.is_shaking();
        if self.sending == Sending::Ends && !shakes && self.owed == 0 {
            self.tls.announce_end();
        }
        self.tls.records(&mut self.out);
        let most = self.allowed.filter(|_| shakes).unwrap_or(usize::MAX).min(self.out.len());
        if most > 0 {
            let count = world.send(end, &self.out[..most]);
            self.out.drain(..count);
            if shakes {
                let left = self.allowed.map(|allowed| allowed - count);
                // After all of it, nothing is to fail any more.
                self.allowed = left.filter(|left| *left > 0 || !self.out.is_empty());
            }
        }
        let is_empty = self.out.is_empty();
        if is_empty && self.sending == Sending::Ends && !shakes {
            world.finish(end);
        }
        is_empty
    }
}

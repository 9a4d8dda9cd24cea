//! What a client sends and receives on: the bytes of a connection, or those inside TLS.
//!
//! Over TLS, an end that was not announced is a break, and bytes count as sent once their whole
//! record is. The handshake knows no pace: only the network delays it.

use super::end::{EndId, Owner};
#[cfg(not(feature = "tls"))]
use super::tls_absent::TlsClient;
#[cfg(feature = "tls")]
use super::tls_client::TlsClient;
use super::trace::excerpt;
use super::world::{Received, World};
use crate::address::Address;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) end: EndId,
    cover: Option<Cover>,
}

/// TLS on a connection.
#[derive(Debug)]
struct Cover {
    tls: TlsClient,
    /// Records that the socket has not taken.
    out: Vec<u8>,
    /// Plain bytes in these records, which do not count yet.
    owed: usize,
    sending: Sending,
}

#[derive(Debug, PartialEq, Eq)]
enum Sending {
    Goes,
    /// The FIN follows the last record.
    Ends,
}

impl Channel {
    /// Begins to connect, and to speak TLS if the address wants it.
    pub(super) fn dial(owner: Owner, to: &Address, world: &mut World) -> Channel {
        let end = world.dial(owner, to);
        let tls = world.tls_client(to);
        let cover = tls.map(|tls| Cover { tls, out: Vec::new(), owed: 0, sending: Sending::Goes });
        Channel { end, cover }
    }

    /// Sends what waits to be sent.
    pub(super) fn flush(&mut self, world: &mut World) {
        if let Some(cover) = &mut self.cover {
            cover.flush(self.end, world);
        }
    }

    /// Sends some bytes; returns how many were sent. Those that were not have to come again.
    pub(super) fn send(&mut self, bytes: &[u8], world: &mut World) -> usize {
        let Some(cover) = &mut self.cover else { return world.send(self.end, bytes) };
        if cover.owed == 0 {
            cover.owed = cover.tls.enclose(bytes);
        }
        match cover.flush(self.end, world) {
            true => std::mem::take(&mut cover.owed),
            false => 0,
        }
    }

    /// Reads at most `most` bytes, and appends what they say. The number of bytes does not include
    /// those of a handshake.
    pub(super) fn receive(
        &mut self,
        into: &mut Vec<u8>,
        most: usize,
        world: &mut World,
    ) -> Received {
        let Some(cover) = &mut self.cover else { return world.receive(self.end, into, most) };
        if cover.tls.has_ended() {
            return Received::End;
        }
        let shakes = cover.tls.is_shaking();
        let mut records = Vec::new();
        let received =
            world.receive(self.end, &mut records, if shakes { usize::MAX } else { most });
        match received {
            Received::Bytes(count) => {
                if let Err(why) = cover.tls.open(&records, into) {
                    world.accuse(format!("TLS at {}: {why}", self.end));
                    return Received::Broken;
                }
                if shakes && !cover.tls.is_shaking() {
                    world.tell(60, || format!("{} has shaken hands", self.end));
                }
                if !into.is_empty() {
                    let words = || format!("{} reads {}", self.end, excerpt(into));
                    world.tell(into.len(), words);
                }
                cover.flush(self.end, world);
                Received::Bytes(if shakes { 0 } else { count })
            }
            Received::End => Received::Broken,
            Received::Nothing | Received::Broken => received,
        }
    }

    /// Sends the FIN after everything else; reading stays possible.
    pub(super) fn finish(&mut self, world: &mut World) {
        let Some(cover) = &mut self.cover else { return world.finish(self.end) };
        if cover.sending == Sending::Goes {
            cover.sending = Sending::Ends;
            cover.tls.announce_end();
        }
        cover.flush(self.end, world);
    }

    /// Closes the connection; some announce that, if they still can.
    pub(super) fn close(mut self, world: &mut World) {
        if let Some(cover) = &mut self.cover
            && cover.tls.takes_leave()
        {
            cover.tls.announce_end();
            cover.flush(self.end, world);
        }
        world.close(self.end);
    }

    /// Closes it with a reset.
    pub(super) fn abort(self, world: &mut World) {
        world.abort(self.end);
    }

    /// Whether everything sent has arrived.
    pub(super) fn is_flushed(&self, world: &World) -> bool {
        let is_empty = self.cover.as_ref().is_none_or(|cover| cover.out.is_empty());
        is_empty && world.flushed(self.end)
    }
}

impl Cover {
    /// Sends records as far as there is room, and returns whether all have left.
    fn flush(&mut self, end: EndId, world: &mut World) -> bool {
        self.tls.records(&mut self.out);
        if !self.out.is_empty() {
            let count = world.send(end, &self.out);
            self.out.drain(..count);
        }
        let is_empty = self.out.is_empty();
        if is_empty && self.sending == Sending::Ends && !self.tls.is_shaking() {
            world.finish(end);
        }
        is_empty
    }
}

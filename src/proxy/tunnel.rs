//! After 101: bytes pass both ways unread, and so do the ends of either side.

use super::client::Client;
use super::context::Context;
use super::download::Phase;
use super::exchange::{Exchange, Link};
use crate::net::Net;

/// How far the end of one direction has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Its sender goes on.
    #[default]
    Open,
    /// Its sender has finished; bytes may still be in hand.
    Seen,
    /// Its receiver has been told.
    Told,
}

/// The ends of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// Client to server.
    pub up: End,
    /// Server to client.
    pub down: End,
}

impl<N: Net> Exchange<N> {
    /// Passes on the end of a direction whose last byte has been written. Whether one was.
    pub(super) fn pass_ends(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> bool {
        let (sending, delivering) = (self.upload.is_pending(), self.download.is_pending());
        let Phase::Tunnel(tunnel) = &mut self.download.phase else { return false };
        let before = *tunnel;
        if tunnel.up == End::Seen && !sending {
            if let Link::Open { connection, .. } = &mut self.link {
                connection.socket.finish_writing();
            }
            tunnel.up = End::Told;
        }
        if tunnel.down == End::Seen && !delivering {
            client.socket.finish_writing();
            tunnel.down = End::Told;
        }
        let after = *tunnel;
        if after == (Tunnel { up: End::Told, down: End::Told }) {
            self.download.phase = Phase::Ended { whole: true, framed: true };
            self.drop_link(context);
        }
        before != after
    }
}

//! One connection of an actor that is driven by hand.

use switchover::address::Address;
use switchover::net::sim::{
    Channel, EndId, Head, Owner, Piece, Reader, Received, Side, SimNet, World,
};

/// A connection, what has come on it, and what is still to be sent.
pub(crate) struct Line {
    channel: Channel,
    reader: Reader,
    head: Option<Head>,
    body: Vec<u8>,
    unsent: Vec<u8>,
    /// Whether a part of a message has come.
    is_begun: bool,
    /// Whether the next answer is one to `HEAD`.
    to_head: bool,
}

/// What has come.
#[derive(Debug)]
pub(crate) enum Come {
    /// Nothing whole.
    Nothing,
    /// A whole message.
    Message(Head, String),
    /// The end, or a reset, between messages.
    End,
    /// The end, or a reset, in the middle of a message.
    Cut,
}

impl Line {
    /// Connects to the proxy.
    pub(crate) fn dial(to: &Address, net: &SimNet) -> Line {
        Line::new(Channel::dial(Owner::Hand, to, &mut net.world_mut()), Side::Answers)
    }

    /// The next connection that waits at an address.
    pub(crate) fn waiting(at: &Address, net: &SimNet) -> Option<Line> {
        let mut world = net.world_mut();
        let end = world.accepted(at)?;
        Some(Line::new(Channel::accepted(end, &mut world), Side::Requests))
    }

    fn new(channel: Channel, side: Side) -> Line {
        let (reader, unsent) = (Reader::new(side), Vec::new());
        let (head, body) = (None, Vec::new());
        Line { channel, reader, head, body, unsent, is_begun: false, to_head: false }
    }

    /// Goes on with a TLS handshake, and with nothing else.
    pub(crate) fn shake_hands(&mut self, net: &SimNet) {
        if self.channel.is_shaking() {
            let mut bytes = Vec::new();
            self.channel.flush(&mut net.world_mut());
            // An end is seen again.
            self.receive(&mut bytes, &mut net.world_mut());
            self.reader.push(&bytes);
            self.is_begun |= !bytes.is_empty();
        }
    }

    /// Whether it is the connection of this end.
    pub(crate) fn is(&self, end: EndId) -> bool {
        self.channel.end() == end
    }

    /// Whether the other side has closed it: it may have done so before what it sent has come.
    pub(crate) fn is_left(&self, net: &SimNet) -> bool {
        let world = net.world();
        world.peer(self.channel.end()).is_some_and(|peer| world.closed(peer).is_some())
    }

    /// Whether a part of a message has come.
    pub(crate) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Sends a request, whose answer has a body unless its method is `HEAD`.
    pub(crate) fn ask(&mut self, request: &str) {
        self.to_head = request.starts_with("HEAD ");
        self.say(request.as_bytes());
    }

    /// Sends these bytes as soon as there is room for them.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Moves what can be moved. A message that breaks a rule is the proxy's fault.
    pub(crate) fn next(&mut self, net: &SimNet) -> Come {
        let mut world = net.world_mut();
        loop {
            let sent = self.channel.send(&self.unsent, &mut world);
            self.unsent.drain(..sent);
            // One record after the other; without TLS, everything that fits is sent at once.
            if sent == 0 || !self.channel.is_covered() {
                break;
            }
        }
        let mut bytes = Vec::new();
        let state = self.receive(&mut bytes, &mut world);
        self.reader.push(&bytes);
        self.is_begun |= !bytes.is_empty();
        loop {
            match self.reader.next(self.to_head) {
                Ok(Some(Piece::Head(head))) => self.head = Some(head),
                Ok(Some(Piece::Body(bytes))) => self.body.extend(bytes),
                Ok(Some(Piece::End)) => {
                    let body = std::mem::take(&mut self.body);
                    let head = self.head.take().expect("it came before");
                    self.is_begun = false;
                    return Come::Message(head, String::from_utf8_lossy(&body).into());
                }
                Ok(None) if state == Received::Nothing => return Come::Nothing,
                Ok(None) if self.is_begun => return Come::Cut,
                Ok(None) => return Come::End,
                Err(flaw) => {
                    world.accuse(format!("{}: {}", self.channel.end(), flaw.0));
                    return Come::End;
                }
            }
        }
    }

    /// Reads all that has come, and returns what follows it.
    fn receive(&mut self, bytes: &mut Vec<u8>, world: &mut World) -> Received {
        loop {
            match self.channel.receive(bytes, usize::MAX, world) {
                Received::Bytes(_) => {}
                other @ (Received::Nothing | Received::End | Received::Broken) => return other,
            }
        }
    }

    /// Closes the connection.
    pub(crate) fn close(self, net: &SimNet) {
        self.channel.close(&mut net.world_mut());
    }

    /// Resets the connection.
    pub(crate) fn abort(self, net: &SimNet) {
        self.channel.abort(&mut net.world_mut());
    }
}

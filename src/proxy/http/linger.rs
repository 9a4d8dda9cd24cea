//! A client's connection after the last answer. Bytes that still arrive are dropped, because a
//! reset could destroy the answer before it is read. RFC 9112, section 9.6.

use std::time::Duration;

use crate::net::Net;
use crate::proxy::next::{CloseReason, Next};
use crate::time::Time;
use crate::transport::io::Io;
use crate::transport::socket::{Moved, Socket};

/// Waits for the client to close.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    until: Time,
    /// When the client must have sent something or closed.
    pub deadline: Time,
    /// How long the client may be silent, as a time since zero: `Time` is half as large as
    /// `Duration`.
    timeout: Time,
    /// Whether our side has ended. Over TLS, that is said first, and needs room.
    has_ended: bool,
}

impl Linger {
    /// Ends our side. The client may go on for `time` in total, and be silent for `timeout`.
    pub fn begin<N: Net>(
        time: Duration,
        timeout: Duration,
        client: &mut Socket<N>,
        now: Time,
    ) -> Linger {
        let has_ended = client.finish_writing();
        let (until, deadline) = (now + time, now + timeout.min(time));
        Linger { until, deadline, timeout: Time::ZERO + timeout, has_ended }
    }

    /// Reads and drops what has arrived.
    pub fn run<N: Net>(&mut self, client: &mut Socket<N>, io: &mut Io<N>) -> Next {
        if !self.has_ended {
            self.has_ended = client.finish_writing();
        }
        io.scratch.resize(SIZE, 0);
        for _ in 0..READS {
            match client.read(&mut io.scratch) {
                Moved::Bytes(_) => {
                    self.deadline = self.until.min(io.now + self.timeout.since(Time::ZERO));
                }
                Moved::Wait => return Next::Wait,
                Moved::End | Moved::Failed(_) => return Next::Close(CloseReason::Done),
            }
        }
        Next::Again
    }
}

/// Bytes read at a time.
const SIZE: usize = 16 << 10;
/// Reads before other sessions get a turn.
const READS: usize = 8;

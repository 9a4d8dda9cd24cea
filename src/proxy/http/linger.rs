//! A connection on which everything is said: what the client still sends is dropped, so that the
//! answer is not destroyed by a reset. RFC 9112, section 9.6.

use std::time::Duration;

use crate::net::Net;
use crate::proxy::next::{CloseReason, Next};
use crate::time::Time;
use crate::transport::io::Io;
use crate::transport::socket::{Moved, Socket};

/// Waits for the client to notice.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    until: Time,
    /// The moment by which something has to have come, or the client to have gone.
    pub deadline: Time,
    /// How long it may be silent, counted from zero: half as large as a duration.
    timeout: Time,
}

impl Linger {
    /// Ends our side of the connection; the client may go on for `time`, and be silent for `timeout`.
    pub fn begin<N: Net>(
        time: Duration,
        timeout: Duration,
        client: &mut Socket<N>,
        now: Time,
    ) -> Linger {
        client.finish_writing();
        let until = now + time;
        Linger { until, deadline: until.min(now + timeout), timeout: Time::ZERO + timeout }
    }

    /// Drops what has come.
    pub fn run<N: Net>(&mut self, client: &mut Socket<N>, io: &mut Io<N>) -> Next {
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
/// Reads before the others get a turn.
const READS: usize = 8;

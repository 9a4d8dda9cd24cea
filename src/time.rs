//! Moments on the worker's own clock.
//!
//! A `Time` is passed in, never read: only the network that a worker runs on knows the time, so
//! that a simulated network can control it.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment, in nanoseconds since the worker's network was created. Monotonic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The moment the network was created.
    pub const ZERO: Time = Time(0);
    /// Later than every deadline: no wait ends.
    pub const NEVER: Time = Time(u64::MAX);

    /// The moment `nanos` nanoseconds after [`Time::ZERO`].
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since [`Time::ZERO`].
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at [`Time::NEVER`], so that an endless timeout is never due.
    fn add(self, timeout: Duration) -> Time {
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }
}

impl Sub<Time> for Time {
    type Output = Duration;

    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

/// A moment of the wall clock, for log lines only: nanoseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_saturates_instead_of_wrapping() {
        assert_eq!(Time::from_nanos(5) + Duration::MAX, Time::NEVER);
        assert_eq!(Time::NEVER + Duration::from_secs(1), Time::NEVER);
    }

    #[test]
    fn an_earlier_moment_is_zero_after_a_later_one() {
        assert_eq!(Time::ZERO - Time::from_nanos(7), Duration::ZERO);
        assert_eq!(Time::from_nanos(7) - Time::from_nanos(3), Duration::from_nanos(4));
    }
}

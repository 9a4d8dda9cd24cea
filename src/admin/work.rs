//! What a server still has to do.

use std::fmt;
use std::time::Duration;

use super::json::Object;

/// What a server still has to do, as far as the proxy knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Attempts at it that have not ended.
    pub in_flight: usize,
    /// How long ago one of its queries was asked for, if that may still live.
    pub asked: Option<Duration>,
}

impl Work {
    /// `asked` is how long ago one of its queries was asked for, if ever.
    pub fn new(in_flight: usize, asked: Option<Duration>) -> Work {
        Work { in_flight, asked: asked.filter(|ago| *ago < QUIET) }
    }

    /// Whether it has nothing to do.
    pub fn is_empty(self) -> bool {
        self == Work::default()
    }

    /// Adds it to an object.
    pub fn write(self, object: &mut Object<'_>) {
        object.number("in_flight", u64::try_from(self.in_flight).unwrap_or(u64::MAX));
        if let Some(ago) = self.asked {
            object.number("query_asked_seconds", ago.as_secs());
        }
    }
}

/// What remains, for a person.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} still in flight", self.in_flight)?;
        match self.asked {
            Some(ago) => write!(f, ", a query was asked for {} s ago", ago.as_secs()),
            None => Ok(()),
        }
    }
}

/// How long a query is not asked for that has ended: clients ask again at once while it runs, but
/// some read its rows slowly.
const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_empty_a_minute_after_its_last_query_was_asked_for() {
        let work =
            |in_flight, asked: Option<u64>| Work::new(in_flight, asked.map(Duration::from_secs));
        assert!(work(0, None).is_empty() && work(0, Some(60)).is_empty());
        assert!(!work(1, None).is_empty() && !work(0, Some(59)).is_empty());
        assert_eq!(
            work(0, Some(3)).to_string(),
            "0 still in flight, a query was asked for 3 s ago"
        );
        assert_eq!(work(2, Some(90)).to_string(), "2 still in flight");
    }
}

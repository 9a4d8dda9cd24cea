//! Log lines that say the same for as long as something lasts.

use std::time::Duration;

use crate::time::Time;

/// What was told lately.
#[derive(Debug, Default)]
pub struct Seldom {
    told: Vec<(String, Time)>,
}

impl Seldom {
    /// Logs a message, unless the same one was logged less than a minute ago.
    pub fn tell(&mut self, now: Time, level: log::Level, what: &str) {
        self.told.retain(|(_, when)| now - *when < SILENCE);
        if !self.told.iter().any(|(told, _)| told == what) {
            self.told.push((what.to_owned(), now));
            log::log!(level, "{what}");
        }
    }
}

/// How long the same message is suppressed.
const SILENCE: Duration = Duration::from_secs(60);

//! The date and time as Trino writes them.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment, in UTC.
pub(crate) struct Utc {
    year: u64,
    month: u64,
    day: u64,
    weekday: u64,
    second: u64,
}

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Utc {
    pub(crate) fn now() -> Utc {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Utc::at(now.map_or(0, |time| time.as_secs()))
    }

    /// So many seconds after the beginning of 1970.
    fn at(seconds: u64) -> Utc {
        let days = seconds / 86_400;
        // Years that begin in March, in eras of 400 years, have no leap day in their middle.
        let day = days + 719_468;
        let (era, day_of_era) = (day / 146_097, day % 146_097);
        let year =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Utc {
            year: era * 400 + year + u64::from(month < 3),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            weekday: days % 7,
            second: seconds % 86_400,
        }
    }

    /// As in `20211202_151305`.
    pub(crate) fn in_query_id(&self) -> String {
        let (hour, minute, second) = self.clock();
        let Utc { year, month, day, .. } = self;
        format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
    }

    /// As in `Thu, 02 Dec 2021 15:13:05 GMT`.
    pub(crate) fn date_field(&self) -> String {
        let (hour, minute, second) = self.clock();
        let name = |names: &[&'static str], at: u64| usize::try_from(at).map_or("", |at| names[at]);
        let (weekday, month) = (name(&WEEKDAYS, self.weekday), name(&MONTHS, self.month - 1));
        let Utc { year, day, .. } = self;
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    fn clock(&self) -> (u64, u64, u64) {
        (self.second / 3600, self.second / 60 % 60, self.second % 60)
    }
}

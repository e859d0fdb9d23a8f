//! Times as FAT keeps them: UTC here, so that the same input makes the same image on every machine.

use std::time::{SystemTime, UNIX_EPOCH};

use fatfs::{Date, DateTime, Time};

/// A point in time that FAT can say: 1980 to 2107, earlier and later times are moved to the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    seconds: u64,
}

const DAY: u64 = 24 * 60 * 60;
/// 1980-01-01, the first day that FAT knows.
const FIRST: u64 = 3652 * DAY;
/// 2107-12-31 23:59:58, the last moment that FAT knows.
const LAST: u64 = 50_403 * DAY - 2;

impl Timestamp {
    /// From seconds since 1970-01-01 UTC, as in SOURCE_DATE_EPOCH.
    pub fn from_epoch(seconds: u64) -> Self {
        Self {
            seconds: seconds.clamp(FIRST, LAST),
        }
    }

    pub(crate) fn date_time(self) -> DateTime {
        let (year, month, day) = civil(self.seconds / DAY);
        let second = self.seconds % DAY;
        let narrow = |number: u64| u16::try_from(number).unwrap_or(0);
        DateTime {
            date: Date {
                year: narrow(year),
                month: narrow(month),
                day: narrow(day),
            },
            time: Time {
                hour: narrow(second / 3600),
                min: narrow(second / 60 % 60),
                sec: narrow(second % 60),
                millis: 0,
            },
        }
    }
}

/// As `fake-hwclock` keeps it: `2026-01-31 23:59:58`, UTC.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = civil(self.seconds / DAY);
        let second = self.seconds % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        )
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self::from_epoch(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

/// Year, month and day of a day since 1970-01-01: the shifted Gregorian calendar whose year starts in March, so that
/// the leap day comes last (H. Hinnant, <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year_of_era + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // From `date -u -d @N`.
        for (seconds, expected) in [
            (0, "1980-1-1 0:0:0"),
            (951_782_400, "2000-2-29 0:0:0"),
            (1_700_000_000, "2023-11-14 22:13:20"),
            (1_709_251_199, "2024-2-29 23:59:59"),
            (1_709_251_200, "2024-3-1 0:0:0"),
            (4_354_819_198, "2107-12-31 23:59:58"),
            (u64::MAX, "2107-12-31 23:59:58"),
        ] {
            let DateTime { date, time } = Timestamp::from_epoch(seconds).date_time();
            let text = format!(
                "{}-{}-{} {}:{}:{}",
                date.year, date.month, date.day, time.hour, time.min, time.sec
            );
            assert_eq!(text, expected, "{seconds}");
        }
    }
}

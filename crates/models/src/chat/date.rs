//! The date that a template may ask for. Libraries do not look at the clock, so it is handed in.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A day of the Gregorian calendar, written as `2026-11-24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    /// The year.
    pub year: u16,
    /// The month, from 1.
    pub month: u8,
    /// The day, from 1.
    pub day: u8,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Seconds of a day.
const DAY: u64 = 86_400;

impl Date {
    /// The day, in UTC, of a time in seconds since the start of 1970.
    pub fn of_unix(seconds: u64) -> Self {
        let (mut year, mut rest) = (1970, seconds / DAY);
        while rest >= days_of(year) && year < u16::MAX {
            rest -= days_of(year);
            year += 1;
        }
        let mut month = 1;
        while month < 12 && rest >= days_in(year, month) {
            rest -= days_in(year, month);
            month += 1;
        }
        Self { year, month, day: rest.min(30) as u8 + 1 }
    }

    /// The day as Python's `strftime` writes it; the time of day is midnight.
    ///
    /// # Errors
    /// A directive that is not known.
    pub fn format(self, format: &str) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            match (char, if char == '%' { chars.next() } else { None }) {
                ('%', Some(directive)) => text.push_str(&self.directive(directive)?),
                (other, _) => text.push(other),
            }
        }
        Ok(text)
    }

    fn is_valid(self) -> bool {
        let months = 1..=12;
        months.contains(&self.month) && (1..=days_in(self.year, self.month)).contains(&u64::from(self.day))
    }

    fn directive(self, directive: char) -> Result<String, String> {
        let month = MONTHS.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or("?");
        let weekday = WEEKDAYS[self.weekday()];
        Ok(match directive {
            'Y' => format!("{:04}", self.year),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month),
            'd' => format!("{:02}", self.day),
            'B' => month.to_owned(),
            'b' => month.chars().take(3).collect(),
            'A' => weekday.to_owned(),
            'a' => weekday.chars().take(3).collect(),
            'H' | 'M' | 'S' => "00".to_owned(),
            'F' => format!("{:04}-{:02}-{:02}", self.year, self.month, self.day),
            '%' => "%".to_owned(),
            other => return Err(format!("strftime_now does not know %{other}")),
        })
    }

    /// Days since the last Sunday (Sakamoto's rule).
    fn weekday(self) -> usize {
        const SHIFTS: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = usize::from(self.year) + 400 - usize::from(self.month < 3);
        let shift = SHIFTS.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or(0);
        (year + year / 4 - year / 100 + year / 400 + shift + usize::from(self.day)) % 7
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u16) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_in(year: u16, month: u8) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('-');
        let date = (|| {
            let date = Self {
                year: parts.next()?.parse().ok()?,
                month: parts.next()?.parse().ok()?,
                day: parts.next()?.parse().ok()?,
            };
            (parts.next().is_none() && date.is_valid()).then_some(date)
        })();
        date.ok_or_else(|| format!("`{text}` is no date; write it as 2026-11-24"))
    }
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_a_time_is_the_calendar_s() {
        // date -u -d @N +%F
        for (seconds, day) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (68_169_599, "1972-02-28"),
            (68_169_600, "1972-02-29"),
            (951_868_799, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_795_478_400, "2026-11-24"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(Date::of_unix(seconds).to_string(), day, "{seconds}");
        }
        assert_eq!(Date::of_unix(u64::MAX).year, u16::MAX, "no endless loop");
    }

    #[test]
    fn a_date_is_read_as_it_is_written() {
        for text in ["2026-11-24", "2024-02-29", "1970-01-01"] {
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
        for wrong in
            ["", "2026", "2026-13-01", "2026-02-29", "2026-00-10", "2026-01-00", "2026-1-1-1", "x-1-1"]
        {
            assert!(wrong.parse::<Date>().unwrap_err().contains("2026-11-24"), "{wrong}");
        }
        assert_eq!(serde_json::to_string(&Date::of_unix(0)).unwrap(), "\"1970-01-01\"");
        assert!(serde_json::from_str::<Date>("\"1970-01-32\"").is_err());
    }

    #[test]
    fn dates_are_written_as_python_writes_them() {
        // datetime(2026, 11, 24).strftime(...) and so on.
        let date = |year, month, day| Date { year, month, day };
        assert_eq!(date(2026, 11, 24).format("%d %b %Y, %A").unwrap(), "24 Nov 2026, Tuesday");
        assert_eq!(date(2024, 2, 29).format("%a %B %d 100%% %y-%m").unwrap(), "Thu February 29 100% 24-02");
        assert_eq!(date(2000, 1, 1).format("%A %F %H:%M").unwrap(), "Saturday 2000-01-01 00:00");
        assert!(date(2000, 1, 1).format("%Q").unwrap_err().contains("%Q"));
        assert_eq!(date(2000, 0, 1).format("%B %").unwrap(), "? %", "never a panic");
    }
}

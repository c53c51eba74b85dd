//! The date that a template may ask for. Libraries do not look at the clock, so it is handed in.

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Date {
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

#[cfg(test)]
mod tests {
    use super::*;

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

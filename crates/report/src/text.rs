//! Numbers as people read them.

/// `0.773` as `77.3 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The share of a whole, with as many decimals as a small share needs.
pub fn share(part: usize, whole: usize) -> String {
    let share = 100.0 * part as f64 / whole.max(1) as f64;
    match share {
        s if s >= 10.0 => format!("{s:.0} %"),
        s if s >= 1.0 => format!("{s:.1} %"),
        s if s >= 0.1 => format!("{s:.2} %"),
        s => format!("{s:.3} %"),
    }
}

/// `1234567` as `1,234,567`.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in steps of 1000, as disks are sold.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["B", "kB", "MB", "GB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 100.0);
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// `4.2 s`, `42 s`, `3 min 20 s`, `1 h 05 min`.
pub fn seconds(number: f64) -> String {
    let whole = number.round() as u64;
    match whole {
        0..10 => format!("{number:.1} s"),
        10..120 => format!("{whole} s"),
        120..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A learning rate in the form people write it.
pub fn rate(number: f32) -> String {
    format!("{number:e}")
}

/// The same with two digits.
pub fn rounded(number: f32) -> String {
    format!("{number:.1e}").replace(".0e", "e")
}

/// A noun with its number.
pub fn some(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([count(7), count(1_234), count(22_713_216)], ["7", "1,234", "22,713,216"]);
        assert_eq!([bytes(999), bytes(1_500), bytes(250_000_000)], ["999 B", "1.5 kB", "250 MB"]);
        assert_eq!([seconds(0.04), seconds(9.96), seconds(61.7)], ["0.0 s", "10 s", "62 s"]);
        assert_eq!([seconds(200.0), seconds(3_900.0)], ["3 min 20 s", "1 h 05 min"]);
        assert_eq!(percent(0.7731), "77.3 %");
        assert_eq!([share(1, 1), share(1, 50), share(3, 1000)], ["100 %", "2.0 %", "0.30 %"]);
        assert_eq!(share(770, 22_714_000), "0.003 %");
        assert_eq!([rate(1e-3), rate(5e-5)], ["1e-3", "5e-5"]);
        assert_eq!([rounded(7e-4), rounded(7e-4 / 3.0)], ["7e-4", "2.3e-4"]);
        assert_eq!([some(1, "row"), some(2_000, "row")], ["1 row", "2,000 rows"]);
    }
}

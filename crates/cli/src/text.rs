//! Numbers as people read and write them.

pub(crate) use offshoot::report::text::{bytes, count, percent, rate, rounded, seconds, share, some};
use serde::Serialize;
use serde_json::Value;

/// Bytes from `2GB`, `400 MB`, `1.5G` or a plain number; units of 1,000.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 1.0,
        "K" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "T" | "TB" => 1e12,
        _ => return Err(format!("`{unit}` is no unit of bytes; write 400MB or 2GB")),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number >= 0.0 && number * factor < u64::MAX as f64 => Ok((number * factor) as u64),
        _ => Err(format!("`{text}` is no number of bytes; write 400MB or 2GB")),
    }
}

/// Seconds from `90s`, `15m`, `2h`, `1.5h` or a plain number of seconds.
pub(crate) fn parse_seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time; write 90s, 15m or 2h");
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let seconds = number.trim().parse::<f64>().map_err(|_| wrong())? * factor;
    if (1.0..1e9).contains(&seconds) { Ok(seconds as u64) } else { Err(wrong()) }
}

/// A value as JSON, its numbers as short as they are written: an `f32` of 0.001 stays 0.001.
///
/// # Errors
/// If it cannot be expressed in JSON.
pub(crate) fn plain(value: &impl Serialize) -> serde_json::Result<Value> {
    serde_json::from_str(&serde_json::to_string(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_are_written() {
        let read = ["0", "2GB", "400 MB", "1.5g", "12b"].map(|text| parse_bytes(text).unwrap());
        assert_eq!(read, [0, 2_000_000_000, 400_000_000, 1_500_000_000, 12]);
        for wrong in ["", "GB", "-1", "2 XB", "nan", "inf", "1e300"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_in_three_units() {
        let read = ["90", "90s", "15m", "1.5h"].map(|text| parse_seconds(text).unwrap());
        assert_eq!(read, [90, 90, 900, 5400]);
        for wrong in ["", "m", "-1m", "0", "5d", "nan", "1e300h"] {
            assert!(parse_seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_of_json_are_as_short_as_they_are_written() {
        assert_eq!(plain(&0.001_f32).unwrap().to_string(), "0.001");
    }
}

//! A curve in a line of text.

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The means of `width` spans of the values, from the lowest level to the highest. Fewer values are fewer
/// characters; nothing is drawn of fewer than two.
pub(crate) fn sparkline(values: impl ExactSizeIterator<Item = f64> + Clone, width: usize) -> String {
    let (count, width) = (values.len(), width.min(values.len()));
    if width < 2 {
        return String::new();
    }
    let mut spans = vec![(0.0, 0_u32); width];
    for (at, value) in values.enumerate() {
        let span = &mut spans[at * width / count];
        *span = (span.0 + value, span.1 + 1);
    }
    let means: Vec<f64> = spans.iter().map(|&(sum, count)| sum / f64::from(count.max(1))).collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let level = |mean: &f64| {
        let share = (mean - low) / (high - low).max(f64::MIN_POSITIVE);
        LEVELS[(share * (LEVELS.len() - 1) as f64).round() as usize % LEVELS.len()]
    };
    means.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[f64], width: usize) -> String {
        sparkline(values.iter().copied(), width)
    }

    #[test]
    fn a_falling_curve_falls() {
        let values: Vec<f64> = (0..80).rev().map(f64::from).collect();
        assert_eq!(drawn(&values, 8), "█▇▆▅▄▃▂▁");
        assert_eq!(drawn(&[3.0, 1.0, 2.0], 8), "█▁▅");
    }

    #[test]
    fn nothing_and_flat_curves_are_drawn_too() {
        assert_eq!((drawn(&[], 8), drawn(&[1.0], 8)), (String::new(), String::new()));
        assert_eq!(drawn(&[2.0, 2.0, 2.0], 8), "▁▁▁");
        assert_eq!(drawn(&[f64::NAN, 1.0, 2.0], 8).chars().count(), 3);
    }
}

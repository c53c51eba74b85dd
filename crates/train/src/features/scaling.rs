//! Features brought to mean 0 and deviation 1, column by column.

/// The mean and the deviation of every column.
pub(super) struct Scaling {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Scaling {
    /// Those of some rows.
    pub(super) fn of(features: &[Vec<f32>]) -> Self {
        let columns = features.first().map_or(0, Vec::len);
        let n = features.len().max(1) as f64;
        let column = |c: usize| features.iter().map(move |row| f64::from(row[c]));
        let mean: Vec<f64> = (0..columns).map(|c| column(c).sum::<f64>() / n).collect();
        let deviation = |c: usize| (column(c).map(|x| (x - mean[c]).powi(2)).sum::<f64>() / n).sqrt();
        // A constant column tells nothing: it becomes zero, and no weight for it is left.
        let varies = |d: f64| if d > 1e-9 { d } else { f64::INFINITY };
        let deviation = (0..columns).map(|c| varies(deviation(c))).collect();
        Self { mean, deviation }
    }

    /// The number of columns.
    pub(super) fn columns(&self) -> usize {
        self.mean.len()
    }

    /// A row, scaled.
    pub(super) fn apply(&self, row: &[f32]) -> Vec<f64> {
        let parts = self.mean.iter().zip(&self.deviation);
        row.iter().zip(parts).map(|(&x, (mean, deviation))| (f64::from(x) - mean) / deviation).collect()
    }

    /// Weights and a bias for scaled rows, as those that give the same for rows as they are.
    pub(super) fn fold(&self, weights: &[f64], bias: f64) -> (Vec<f32>, f32) {
        let weights: Vec<f64> = weights.iter().zip(&self.deviation).map(|(w, d)| w / d).collect();
        let shift: f64 = weights.iter().zip(&self.mean).map(|(w, mean)| w * mean).sum();
        (weights.iter().map(|&w| w as f32).collect(), (bias - shift) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_weights_give_for_rows_what_weights_give_for_scaled_rows() {
        let rows = vec![vec![1.0_f32, 10.0, 5.0], vec![3.0, -10.0, 5.0], vec![8.0, 2.0, 5.0]];
        let scaling = Scaling::of(&rows);
        let (weights, bias) = ([0.5, -2.0, 3.0], 0.25);
        let (folded, folded_bias) = scaling.fold(&weights, bias);
        for row in &rows {
            let scaled: f64 = scaling.apply(row).iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() + bias;
            let raw: f32 = row.iter().zip(&folded).map(|(x, w)| x * w).sum::<f32>() + folded_bias;
            // A few roundings of f32.
            assert!((scaled - f64::from(raw)).abs() < 1e-5, "{scaled} {raw}");
        }
        assert_eq!(folded[2], 0.0, "the third column is constant");
    }

    #[test]
    fn scaled_columns_have_mean_zero_and_deviation_one() {
        let rows: Vec<Vec<f32>> = (0..50).map(|i| vec![i as f32, (i * i) as f32]).collect();
        let scaling = Scaling::of(&rows);
        let scaled: Vec<Vec<f64>> = rows.iter().map(|row| scaling.apply(row)).collect();
        for c in 0..2 {
            let mean = scaled.iter().map(|row| row[c]).sum::<f64>() / 50.0;
            let square = scaled.iter().map(|row| row[c] * row[c]).sum::<f64>() / 50.0;
            assert!(mean.abs() < 1e-12 && (square - 1.0).abs() < 1e-12);
        }
    }
}

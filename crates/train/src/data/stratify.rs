//! Drawing rows so that every class keeps its share.

use super::load::Example;

/// Puts the rows in a random order (Fisher and Yates).
pub(super) fn shuffle<T>(rows: &mut [T], random: &mut dyn FnMut() -> u64) {
    for last in (1..rows.len()).rev() {
        // The high half of a 128-bit product: no modulo, and no bias that any file is large enough to show.
        let at = (u128::from(random()) * (last as u128 + 1)) >> 64;
        rows.swap(last, at as usize);
    }
}

/// Takes `size` rows (at most all) out of `pool`, the first ones of each class; both keep their order.
pub(super) fn draw(pool: &mut Vec<usize>, examples: &[Example], classes: usize, size: usize) -> Vec<usize> {
    let class = |row: &usize| examples[*row].label.stratum();
    // What has no classes is drawn as if of one.
    let mut counts = vec![0; classes.max(1)];
    pool.iter().for_each(|row| counts[class(row)] += 1);
    let mut left = quotas(&counts, size);
    let (taken, rest) = std::mem::take(pool).into_iter().partition(|row| {
        let left = &mut left[class(row)];
        let take = *left > 0;
        *left -= usize::from(take);
        take
    });
    *pool = rest;
    taken
}

/// How many of each class to take for `size` rows in all: each class's share rounded up or down, up where the
/// remainder is largest (the first classes, where it is the same).
fn quotas(counts: &[usize], size: usize) -> Vec<usize> {
    let rows: u128 = counts.iter().map(|count| *count as u128).sum();
    let size = (size as u128).min(rows);
    let share = |count: &usize| *count as u128 * size;
    let mut quotas: Vec<usize> =
        counts.iter().map(|count| share(count).checked_div(rows).unwrap_or(0) as usize).collect();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|class| std::cmp::Reverse(share(&counts[*class]).checked_rem(rows)));
    let missing = size as usize - quotas.iter().sum::<usize>();
    order.iter().take(missing).for_each(|class| quotas[*class] += 1);
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_quota_is_within_one_of_its_share(
            counts in prop::collection::vec(0_usize..200, 1..12),
            share in 0.0..1.0,
        ) {
            let rows: usize = counts.iter().sum();
            let size = (share * rows as f64) as usize;
            let quotas = quotas(&counts, size);
            prop_assert_eq!(quotas.iter().sum::<usize>(), size);
            for (quota, count) in quotas.iter().zip(&counts) {
                let exact = (count * size) as f64 / rows.max(1) as f64;
                prop_assert!((*quota as f64 - exact).abs() < 1.0, "{quota} for {exact}");
                prop_assert!(quota <= count);
            }
        }
    }

    #[test]
    fn more_than_all_is_all() {
        assert_eq!(quotas(&[3, 0, 2], 9), [3, 0, 2]);
        assert_eq!(quotas(&[], 9), [0_usize; 0]);
    }

    #[test]
    fn a_shuffle_is_every_order_alike() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ (state >> 29)
        };
        let mut places = [[0_usize; 3]; 3];
        for _ in 0..6000 {
            let mut rows = [0, 1, 2];
            shuffle(&mut rows, &mut random);
            rows.iter().enumerate().for_each(|(place, row)| places[place][*row] += 1);
        }
        assert!(places.as_flattened().iter().all(|count| (1850..2150).contains(count)), "{places:?}");
    }
}

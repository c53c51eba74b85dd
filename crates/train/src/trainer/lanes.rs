//! How a step's rows are shared out among passes, and which passes run side by side.
//!
//! Two passes side by side keep two cores busy all the time; one pass whose every kernel is spread over the cores has
//! them wait for each other at every kernel's end. How rows are shared out does not depend on the number of cores,
//! and gradients are added up in a fixed order, so neither do the bits of a result.

use offshoot_core::Params;
use std::cmp::Reverse;

/// Passes side by side.
const LANES: usize = 2;

/// A pass of fewer tokens costs more than it saves.
const LEAST: usize = 64;

/// Trained values beyond which gradients of each pass's own would take too much memory.
const MOST_TRAINED: usize = 4 << 20;

/// Rows of one pass, by their index.
pub(super) type Share = Vec<usize>;

/// How many passes may run side by side in a run whose longest row has so many tokens. Where rows are passes by
/// themselves for their length, their buffers would be held beside those of two passes.
pub(super) fn lanes(params: &Params, longest: usize, tokens: usize) -> usize {
    if params.count() > MOST_TRAINED || longest > tokens / LANES { 1 } else { LANES }
}

/// The passes over a step's rows of these lengths, in rounds: those of a round run side by side, and hold no more than `tokens` tokens
/// together (or one row).
pub(super) fn rounds(lengths: &[usize], tokens: usize, lanes: usize) -> Vec<Vec<Share>> {
    let length = |share: &Share| share.iter().map(|&i| lengths[i]).sum::<usize>();
    let mut shares = shares(lengths, (tokens / lanes).max(1), lanes);
    // The longest first: those of a round take about as long.
    shares.sort_by_key(|share| (Reverse(length(share)), share.first().copied()));
    let mut rounds: Vec<Vec<Share>> = Vec::new();
    for share in shares {
        let fits = |round: &Vec<Share>| {
            round.len() < lanes && round.iter().map(length).sum::<usize>() + length(&share) <= tokens
        };
        match rounds.last_mut().filter(|round| fits(round)) {
            Some(round) => round.push(share),
            None => rounds.push(vec![share]),
        }
    }
    rounds
}

/// Rows in shares of about as many tokens, at most `most` each (or one row).
fn shares(lengths: &[usize], most: usize, lanes: usize) -> Vec<Share> {
    let total: usize = lengths.iter().sum();
    let mut parts = total.div_ceil(most).next_multiple_of(lanes).min(total / LEAST).max(1);
    loop {
        let shares = even(lengths, parts);
        let fits =
            |share: &Share| share.len() <= 1 || share.iter().map(|&i| lengths[i]).sum::<usize>() <= most;
        if shares.iter().all(fits) {
            return shares;
        }
        parts += 1;
    }
}

/// Rows in so many shares, or as many as there are rows: the longest that is left goes where there is least so far.
fn even(lengths: &[usize], parts: usize) -> Vec<Share> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| (Reverse(lengths[i]), i));
    let mut shares = vec![(0, Share::new()); parts.min(lengths.len())];
    for index in order {
        if let Some((held, share)) = shares.iter_mut().min_by_key(|(held, share)| (*held, share.len())) {
            *held += lengths[index];
            share.push(index);
        }
    }
    shares.iter_mut().for_each(|(_, share)| share.sort_unstable());
    shares.into_iter().map(|(_, share)| share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_are_shared_out_evenly() {
        assert_eq!(rounds(&[128; 8], 512, 2), [[[0, 4], [1, 5]], [[2, 6], [3, 7]]]);
        assert_eq!(rounds(&[200, 50, 60, 90], 512, 2), [[vec![0], vec![1, 2, 3]]]);
        assert_eq!(rounds(&[128; 4], 512, 1), [[[0, 1, 2, 3]]]);
    }

    #[test]
    fn what_is_short_is_one_pass_and_what_is_long_runs_alone() {
        assert_eq!(rounds(&[20, 30, 40], 512, 2), [[[0, 1, 2]]]);
        assert_eq!(rounds(&[400, 300], 512, 2), [[[0]], [[1]]]);
        assert_eq!(rounds(&[], 512, 2), Vec::<Vec<Share>>::new());
        assert_eq!(rounds(&[0, 0], 1, 2).concat().concat().len(), 2);
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_pass_and_rounds_keep_to_the_limit(
            lengths in prop::collection::vec(0_usize..600, 0..40),
            tokens in 1_usize..1000,
            lanes in 1_usize..4,
        ) {
            let rounds = rounds(&lengths, tokens, lanes);
            let mut all = rounds.concat().concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            for round in rounds {
                let rows = round.concat();
                let held: usize = rows.iter().map(|&i| lengths[i]).sum();
                prop_assert!(round.len() <= lanes && (held <= tokens || rows.len() == 1));
            }
        }
    }
}

//! A long text as rows of the maximum length, so that none of it is lost.

/// Cuts `ids` into consecutive pieces of at most `most` tokens (at least 2), each to be predicted but for its
/// first token. Every piece but the first begins with the last token of the one before: from it the next is
/// predicted, so every token of the text but the first is predicted once, whatever the length, and the last
/// piece is never a token alone.
pub(super) fn pieces(ids: &[u32], most: usize) -> Vec<&[u32]> {
    let step = most.max(2) - 1;
    let starts = (0..ids.len().saturating_sub(1)).step_by(step);
    starts.map(|start| &ids[start..(start + step + 1).min(ids.len())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_piece_begins_with_the_last_token_of_the_one_before() {
        assert_eq!(pieces(&[1, 2, 3, 4, 5, 6], 3), [&[1, 2, 3][..], &[3, 4, 5], &[5, 6]]);
        assert_eq!(pieces(&[1, 2, 3, 4, 5], 3), [&[1, 2, 3][..], &[3, 4, 5]], "no token alone");
        assert_eq!(pieces(&[1, 2, 3], 3), [&[1, 2, 3][..]], "what fits stays whole");
        assert!(pieces(&[1], 3).is_empty() && pieces(&[], 3).is_empty(), "nothing to predict");
    }

    proptest! {
        #[test]
        fn every_token_but_the_first_is_predicted_once(count in 0_u32..200, most in 2_usize..40) {
            let ids: Vec<u32> = (0..count).collect();
            let cut = pieces(&ids, most);
            let predicted: Vec<u32> = cut.iter().flat_map(|piece| piece[1..].to_vec()).collect();
            prop_assert_eq!(predicted, ids.iter().skip(1).copied().collect::<Vec<_>>());
            prop_assert!(cut.iter().all(|piece| (2..=most).contains(&piece.len())));
            prop_assert!(cut.iter().rev().skip(1).all(|piece| piece.len() == most), "only the last is shorter");
        }
    }
}

//! Cutting a row to a length so that something is left to learn.

/// A tokenised row and where its completion begins.
pub(super) struct Whole {
    pub(super) ids: Vec<u32>,
    pub(super) predicted: Vec<bool>,
    /// How many tokens stand before the first that belongs to a completion.
    pub(super) prompt: usize,
}

impl Whole {
    /// Cuts the row to `most` tokens (at least 2); whether there was something to cut.
    ///
    /// The end of the completion goes first, but a quarter of the length, or all of a shorter completion, stays.
    /// If the prompt is too long for what is left, its middle goes: it keeps its first quarter (the system
    /// message, the task) and its end (the question, the generation prompt).
    pub(super) fn cut(&mut self, most: usize) -> bool {
        if self.ids.len() <= most {
            return false;
        }
        let completion = self.ids.len() - self.prompt;
        let kept = completion.min((most / 4).max(1)).max(most.saturating_sub(self.prompt));
        self.truncate(self.prompt + kept);
        let room = most - kept;
        if self.prompt > room {
            let (head, gone) = (room / 4, self.prompt - room);
            self.ids.drain(head..head + gone);
            self.predicted.drain(head..head + gone);
            // What follows the gap does not follow from what stands before it.
            self.predicted[head] &= self.prompt == gone + head;
            self.prompt = room;
        }
        true
    }

    fn truncate(&mut self, length: usize) {
        self.ids.truncate(length);
        self.predicted.truncate(length);
    }
}

/// Cuts the middle out of a prompt that is longer than `most` tokens, as [`Whole::cut`] does.
pub(crate) fn cut_prompt(ids: &mut Vec<u32>, most: usize) -> bool {
    let gone = ids.len().saturating_sub(most);
    if gone > 0 {
        let head = most / 4;
        ids.drain(head..head + gone);
    }
    gone > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(prompt: usize, completion: usize, most: usize) -> (Vec<u32>, usize, bool) {
        let ids: Vec<u32> = (0..(prompt + completion) as u32).collect();
        let predicted = (0..ids.len()).map(|at| at >= prompt.max(1)).collect();
        let mut whole = Whole { ids, predicted, prompt };
        let cut = whole.cut(most);
        let targets = whole.predicted.iter().filter(|&&predicted| predicted).count();
        assert_eq!(whole.ids.len(), whole.predicted.len());
        (whole.ids, targets, cut)
    }

    #[test]
    fn the_completion_s_end_goes_before_the_prompt_s_middle() {
        assert_eq!(cut(3, 3, 6), ((0..6).collect(), 3, false));
        assert_eq!(cut(4, 8, 8), ((0..8).collect(), 4, true), "as peers cut");
        assert_eq!(cut(12, 8, 8), (vec![0, 7, 8, 9, 10, 11, 12, 13], 2, true), "a quarter stays");
        assert_eq!(cut(12, 1, 8), (vec![0, 6, 7, 8, 9, 10, 11, 12], 1, true), "a short one stays whole");
        assert_eq!(cut(9, 9, 2), (vec![8, 9], 1, true));
        assert_eq!(cut(0, 9, 4), ((0..4).collect(), 3, true));
    }

    proptest! {
        #[test]
        fn no_cut_leaves_nothing_to_learn(prompt in 1_usize..60, completion in 1_usize..60, most in 2_usize..40) {
            let (ids, targets, truncated) = cut(prompt, completion, most);
            prop_assert_eq!(ids.len(), (prompt + completion).min(most));
            prop_assert!(targets >= completion.min((most / 4).max(1)));
            prop_assert_eq!(truncated, prompt + completion > most);
            prop_assert!(ids.is_sorted());
        }
    }

    #[test]
    fn a_prompt_keeps_its_ends() {
        let mut ids: Vec<u32> = (0..10).collect();
        assert!(!cut_prompt(&mut ids, 10) && !cut_prompt(&mut ids, 1000));
        assert!(cut_prompt(&mut ids, 4));
        assert_eq!(ids, [0, 7, 8, 9]);
    }
}

//! Rows that stand more than once: left in, the same row could be trained on and tested on.

use super::load::{Draft, Example};
use std::collections::BTreeMap;
use std::mem;

/// What tells two rows apart, but for the label: the texts without spaces around them.
pub(super) type Key<'a> = (&'a str, Option<&'a str>);

fn key<'a>(text: &'a str, pair: &'a Option<String>) -> Key<'a> {
    (text.trim(), pair.as_deref().map(str::trim))
}

/// The key of a labelled row.
pub(super) fn key_of(example: &Example) -> Key<'_> {
    key(&example.text, &example.pair)
}

/// Keeps the first of rows that are the same, and none of those with the same texts and different labels; how
/// many were dropped for each reason.
pub(super) fn drop(drafts: &mut Vec<Draft>) -> (usize, usize) {
    // The first row of each key, and whether another has a different label.
    let mut seen: BTreeMap<Key<'_>, (usize, bool)> = BTreeMap::new();
    for (row, draft) in drafts.iter().enumerate() {
        let (first, conflict) = seen.entry(key(&draft.text, &draft.pair)).or_insert((row, false));
        *conflict |= drafts[*first].label != draft.label;
    }
    let fate = drafts.iter().enumerate().map(|(row, draft)| match seen.get(&key(&draft.text, &draft.pair)) {
        Some((_, true)) => Fate::Conflicting,
        Some((first, false)) if *first != row => Fate::Duplicate,
        _ => Fate::Kept,
    });
    let fates: Vec<Fate> = fate.collect();
    let count = |fate| fates.iter().filter(|one| **one == fate).count();
    let counts = (count(Fate::Duplicate), count(Fate::Conflicting));
    let kept = mem::take(drafts).into_iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Kept);
    *drafts = kept.map(|(draft, _)| draft).collect();
    counts
}

#[derive(PartialEq, Eq)]
enum Fate {
    Kept,
    Duplicate,
    Conflicting,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(line: usize, text: &str, pair: Option<&str>, label: &str) -> Draft {
        Draft { text: text.into(), pair: pair.map(str::to_owned), label: label.into(), line }
    }

    #[test]
    fn copies_are_kept_once_and_conflicts_not_at_all() {
        let mut drafts = vec![
            draft(1, "a", None, "0"),
            draft(2, " a ", None, "0"),
            draft(3, "b", None, "0"),
            draft(4, "b", None, "1"),
            draft(5, "b", None, "0"),
            draft(6, "c", Some("x"), "0"),
            draft(7, "c", Some("y"), "1"),
        ];
        assert_eq!(drop(&mut drafts), (1, 3));
        assert_eq!(drafts.iter().map(|draft| draft.line).collect::<Vec<_>>(), [1, 6, 7]);
    }
}

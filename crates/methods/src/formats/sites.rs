//! Sites and the module paths that files know them by.

use offshoot_core::{Backbone, Error, Result, Site, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// Every projection's module path.
pub(crate) fn modules(backbone: &dyn Backbone) -> BTreeMap<String, Site> {
    backbone.projections().iter().map(|(site, _)| (backbone.module(*site), *site)).collect()
}

/// A set of sites as methods choose it: slots, and the same blocks for each (all if absent).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) targets: Vec<Slot>,
    pub(crate) only_layers: Option<Vec<usize>>,
}

impl Choice {
    /// The choice that gives exactly these sites.
    ///
    /// # Errors
    /// If none does: the message names the first site that would be too many.
    pub(crate) fn of(backbone: &dyn Backbone, sites: &BTreeSet<Site>) -> Result<Self> {
        let targets: BTreeSet<Slot> = sites.iter().map(|site| site.slot).collect();
        let blocks = sites.iter().filter(|site| site.slot != Slot::Pooler);
        let layers: BTreeSet<usize> = blocks.map(|site| site.layer).collect();
        let included = |site: &Site| {
            targets.contains(&site.slot) && (site.slot == Slot::Pooler || layers.contains(&site.layer))
        };
        let all = backbone.projections();
        if let Some((site, _)) = all.iter().find(|(site, _)| included(site) && !sites.contains(site)) {
            let module = backbone.module(*site);
            return Err(Error::invalid(format!(
                "the adapter has nothing for {module}, but has the same projection in another block and \
                 other projections in this block: settings choose projections and blocks, the same \
                 projections in each"
            )));
        }
        let every = layers.len() == backbone.shape().layers || layers.is_empty();
        let only_layers = (!every).then(|| layers.into_iter().collect());
        Ok(Self { targets: targets.into_iter().collect(), only_layers })
    }
}

/// The shortest ends of module paths that match every wanted path and no other. `matches(path, end)` is the
/// rule by which the reader of the file compares; a path that no shorter end singles out stands in full.
pub(crate) fn endings(
    all: &[String],
    wanted: &BTreeSet<String>,
    matches: impl Fn(&str, &str) -> bool,
) -> Vec<String> {
    let exact = |end: &str| all.iter().all(|path| !matches(path, end) || wanted.contains(path));
    let shortest = |path: &str| {
        let starts = path.rmatch_indices('.').map(|(at, _)| at + 1);
        let mut ends = starts.map(|at| &path[at..]);
        ends.find(|end| exact(end)).unwrap_or(path).to_string()
    };
    let ends: BTreeSet<String> = wanted.iter().map(|path| shortest(path)).collect();
    ends.into_iter().collect()
}

/// Whether `path` is `end`, or ends with it at a dot: how peft compares `target_modules`.
pub(crate) fn ends_at_dot(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::stub::Stub;

    fn ends(backbone: &Stub, wants: impl Fn(Site) -> bool) -> Vec<String> {
        let all = modules(backbone);
        let wanted = all.iter().filter(|(_, site)| wants(**site)).map(|(path, _)| path.clone()).collect();
        endings(&all.into_keys().collect::<Vec<_>>(), &wanted, ends_at_dot)
    }

    #[test]
    fn the_shortest_end_that_matches_nothing_else() {
        let bert = Stub::bert();
        assert_eq!(ends(&bert, |s| matches!(s.slot, Slot::Query | Slot::Value)), ["query", "value"]);
        assert_eq!(ends(&bert, |s| s.slot == Slot::Output), ["attention.output.dense"]);
        assert_eq!(ends(&bert, |s| s.slot == Slot::Pooler), ["pooler.dense"]);
        assert_eq!(ends(&bert, |s| s.slot == Slot::Down), ["0.output.dense", "1.output.dense"]);
        assert_eq!(ends(&bert, |s| matches!(s.slot, Slot::Down | Slot::Output)), ["output.dense"]);
        assert_eq!(ends(&Stub::distilbert(), |s| s.slot == Slot::Down), ["lin2"]);
    }

    #[test]
    fn blocks_are_told_apart() {
        let site = |s: Site| s.slot == Slot::Query && s.layer == 1;
        assert_eq!(ends(&Stub::bert(), site), ["1.attention.self.query"]);
    }

    #[test]
    fn a_choice_gives_the_sites_back() {
        let bert = Stub::bert();
        let all = |wants: &dyn Fn(Site) -> bool| {
            modules(&bert).into_values().filter(|site| wants(*site)).collect::<BTreeSet<_>>()
        };
        let choice = Choice::of(&bert, &all(&|s| s.slot == Slot::Key || s.slot == Slot::Pooler)).unwrap();
        assert_eq!(choice, Choice { targets: vec![Slot::Key, Slot::Pooler], only_layers: None });
        let choice = Choice::of(&bert, &all(&|s| s.slot == Slot::Down && s.layer == 1)).unwrap();
        assert_eq!(choice, Choice { targets: vec![Slot::Down], only_layers: Some(vec![1]) });
    }

    #[test]
    fn a_ragged_set_of_sites_is_refused_by_name() {
        let bert = Stub::bert();
        let mut sites: BTreeSet<_> = modules(&bert).into_values().filter(|s| s.slot == Slot::Key).collect();
        sites.insert(Site { layer: 1, slot: Slot::Query });
        let message = Choice::of(&bert, &sites).unwrap_err().to_string();
        assert!(message.contains("bert.encoder.layer.0.attention.self.query"), "{message}");
    }
}

//! The projections a method wants.

use crate::{Target, setting};
use offshoot_core::{Result, Site, Slot};

/// A projection: where it is, its module path in files, and its sizes (inputs, outputs).
pub(crate) type Wanted = (Site, String, (usize, usize));

/// The projections that `wants` picks, in the backbone's order. Where queries, keys and values are one
/// projection, wanting one of them is wanting it.
///
/// # Errors
/// If there is none: the message lists the model's.
pub(crate) fn wanted(method: &str, target: &Target<'_>, wants: impl Fn(Site) -> bool) -> Result<Vec<Wanted>> {
    let projections = target.backbone.projections();
    let module = |site| target.backbone.module(site);
    let picked: Vec<Wanted> = projections
        .iter()
        .filter(|(site, _)| parts(*site).any(&wants))
        .map(|(site, linear)| (*site, module(*site), (linear.inputs, linear.outputs)))
        .collect();
    if picked.is_empty() {
        let has = slots(projections.iter().map(|(site, _)| *site)).join(", ");
        return Err(setting(
            method,
            "targets",
            format!("match no projection of this model, which has {has}"),
        ));
    }
    Ok(picked)
}

/// A site under every name that it answers to.
pub(crate) fn parts(site: Site) -> impl Iterator<Item = Site> {
    let fused = [Slot::Query, Slot::Key, Slot::Value].map(|slot| Site { slot, ..site });
    let fused = fused.into_iter().filter(move |_| site.slot == Slot::QueryKeyValue);
    std::iter::once(site).chain(fused)
}

/// A slot's name in recipes.
fn slot_name(slot: Slot) -> String {
    match slot {
        Slot::QueryKeyValue => "query-key-value".to_owned(),
        slot => format!("{slot:?}").to_lowercase(),
    }
}

/// The names of the slots, each once, in order of first appearance.
fn slots(sites: impl Iterator<Item = Site>) -> Vec<String> {
    sites.map(|site| slot_name(site.slot)).fold(Vec::new(), |mut seen, slot| {
        if !seen.contains(&slot) {
            seen.push(slot);
        }
        seen
    })
}

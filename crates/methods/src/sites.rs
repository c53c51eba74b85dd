//! The projections a method wants.

use crate::{Target, setting};
use offshoot_core::{Result, Site};

/// A projection: where it is, its module path in files, and its sizes (inputs, outputs).
pub(crate) type Wanted = (Site, String, (usize, usize));

/// The projections that `wants` picks, in the backbone's order.
///
/// # Errors
/// If there is none: the message lists the model's.
pub(crate) fn wanted(method: &str, target: &Target<'_>, wants: impl Fn(Site) -> bool) -> Result<Vec<Wanted>> {
    let projections = target.backbone.projections();
    let module = |site| target.backbone.module(site);
    let picked: Vec<Wanted> = projections
        .iter()
        .filter(|(site, _)| wants(*site))
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

/// The names of the slots, each once, in order of first appearance.
fn slots(sites: impl Iterator<Item = Site>) -> Vec<String> {
    sites.map(|site| format!("{:?}", site.slot).to_lowercase()).fold(Vec::new(), |mut seen, slot| {
        if !seen.contains(&slot) {
            seen.push(slot);
        }
        seen
    })
}

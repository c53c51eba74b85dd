//! Where training starts.

use crate::cases::{each_pair, object};
use crate::fixture::{Fixture, batch, distance};

/// Far above the rounding of three blocks on states of order 1, far below what a method that disturbs the
/// model does.
const SAME: f32 = 1e-5;

#[test]
fn a_method_starts_as_the_backbone_exactly_where_it_says_so() {
    let batch = batch(&[(1, 9), (2, 4)]).unwrap();
    each_pair(|model, config| {
        let plain = Fixture::plain(model).values(&batch).unwrap();
        let adapted = Fixture::new(model, config, 3).unwrap().values(&batch).unwrap();
        let moved = distance(&plain, &adapted);
        let says = config.info().starts_as_identity;
        object((moved < SAME) == says, || format!("moves a state by {moved}, and says identity: {says}"))
    });
}

#[test]
fn a_method_that_trains_anything_changes_the_model() {
    let batch = batch(&[(1, 9), (2, 4)]).unwrap();
    each_pair(|model, config| {
        let mut fixture = Fixture::new(model, config, 3).unwrap();
        if fixture.params.count() == 0 {
            return Vec::new();
        }
        let before = fixture.values(&batch).unwrap();
        fixture.perturb(0.1, 4).unwrap();
        let moved = distance(&before, &fixture.values(&batch).unwrap());
        object(moved > SAME, || format!("its parameters move a state by {moved} only"))
    });
}

//! With a cache the states equal those of the whole sequence, for every method on every decoder; and nothing
//! that comes later is seen.

use crate::cases::{configs_for, models, object};
use crate::fixture::{Fixture, batch, distance, is_decoder};
use offshoot_core::{Batch, KvCache, Member, Mode, Pass, forward};

/// Four layers of f32 on values of order 1; the rows of an attention are tiled differently.
const TOLERANCE: f32 = 2e-4;

/// The states of the last token of one sequence, computed at once, and token by token after a first piece.
fn states(fixture: &Fixture, tokens: &[u32]) -> anyhow::Result<(Vec<f32>, Vec<f32>)> {
    let (backbone, params) = (fixture.backbone.as_ref(), &fixture.params);
    let last = |pass: &mut Pass<'_>| -> anyhow::Result<Vec<f32>> {
        let states = forward(backbone, pass)?;
        Ok(states.gather_rows(&pass.layout().last_rows())?.to_vec())
    };
    let one = |ids: &[u32]| -> anyhow::Result<Batch> {
        let mut batch = Batch::new();
        batch.push(ids, None, 0)?;
        Ok(batch)
    };
    let whole = one(tokens)?;
    let whole = last(&mut Pass::new(&whole, fixture.adapter.as_ref(), params, Mode::Evaluate)?)?;
    let cache = KvCache::new(3, 64);
    let mut state = Vec::new();
    for piece in [&tokens[..3]].into_iter().chain(tokens[3..].chunks(1)) {
        let batch = one(piece)?;
        let member = Member { adapter: fixture.adapter.as_ref(), params, sequences: 1 };
        state = last(&mut Pass::cached(&batch, &[member], &cache, vec![1])?)?;
    }
    Ok((whole, state))
}

#[test]
fn a_cached_sequence_is_the_whole_sequence() {
    let tokens = batch(&[(1, 12)]).unwrap().ids().to_vec();
    let mut objections = Vec::new();
    for model in models().into_iter().filter(is_decoder) {
        for config in configs_for(&model) {
            let name = format!("{} {}", model.backbone.family(), config.info().name);
            let mut fixture = Fixture::new(&model, &config, 3).unwrap();
            fixture.perturb(0.1, 4).unwrap();
            let (whole, cached) = states(&fixture, &tokens).unwrap();
            let far = distance(&whole, &cached);
            objections.extend(object(far < TOLERANCE, || format!("{name}: {far}")));
        }
    }
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[test]
fn a_decoder_does_not_see_the_future() {
    let tokens = batch(&[(1, 12)]).unwrap().ids().to_vec();
    let mut changed = tokens.clone();
    changed[9] += 1;
    let one = |ids: &[u32]| {
        let mut batch = Batch::new();
        batch.push(ids, None, 0).unwrap();
        batch
    };
    for model in models().into_iter().filter(is_decoder) {
        let hidden = model.backbone.shape().hidden;
        for config in configs_for(&model) {
            let mut fixture = Fixture::new(&model, &config, 3).unwrap();
            fixture.perturb(0.1, 4).unwrap();
            let [states, others] = [&tokens, &changed].map(|ids| fixture.values(&one(ids)).unwrap());
            let name = format!("{} {}", model.backbone.family(), config.info().name);
            assert!(distance(&states[..9 * hidden], &others[..9 * hidden]) < TOLERANCE, "{name}");
            assert!(
                distance(&states[9 * hidden..], &others[9 * hidden..]) > TOLERANCE,
                "{name}: no difference"
            );
        }
    }
}

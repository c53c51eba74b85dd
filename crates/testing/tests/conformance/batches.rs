//! A sequence's result is its own, whatever stands beside it in the batch.

use crate::cases::{configs, configs_for, each_pair, models, object};
use crate::fixture::{Fixture, batch, distance, of_sequence, visible};
use offshoot_core::{Batch, Counter, Member, Mode, Pass, Tape};

/// Products of other sizes may sum in another order: a few roundings of states of order 1.
const SAME: f32 = 1e-5;

const SEQUENCES: [(u64, usize); 4] = [(1, 9), (2, 4), (3, 1), (4, 12)];

/// Training mode without a backward pass: the masks of dropout are drawn.
fn dropping() -> Mode {
    Mode::Train(Tape::new(), Some(Counter { seed: 5, step: 2 }))
}

#[test]
fn neighbours_do_not_change_a_sequence() {
    each_pair(|model, config| {
        let hidden = model.backbone.shape().hidden;
        let mut fixture = Fixture::new(model, config, 3).unwrap();
        fixture.perturb(0.1, 4).unwrap();
        let reversed: Vec<_> = SEQUENCES.into_iter().rev().collect();
        let (all, reversed) = (batch(&SEQUENCES).unwrap(), batch(&reversed).unwrap());
        let mut objections = Vec::new();
        for (mode, name) in
            [(|| Mode::Evaluate) as fn() -> Mode, dropping].into_iter().zip(["evaluation", "dropout"])
        {
            let run = |batch: &Batch| fixture.run(batch, mode()).unwrap().to_vec();
            let (together, turned) = (run(&all), run(&reversed));
            for (index, sequence) in SEQUENCES.into_iter().enumerate() {
                let own = of_sequence(&together, &all, index, hidden);
                let alone = distance(&own, &run(&batch(&[sequence]).unwrap()));
                let last = of_sequence(&turned, &reversed, SEQUENCES.len() - 1 - index, hidden);
                let moved = alone.max(distance(&own, &last));
                let what = || format!("sequence {index} differs by {moved} beside others, in {name}");
                objections.extend(object(moved < SAME, what));
            }
        }
        objections
    });
}

#[test]
fn dropout_drops_in_training_only_and_differs_from_step_to_step() {
    let batch = batch(&SEQUENCES).unwrap();
    let with_dropout = |config: &&_| serde_json::to_value(config).unwrap()["dropout"].as_f64() > Some(0.0);
    let configs = configs();
    let configs: Vec<_> = configs.iter().filter(with_dropout).collect();
    assert!(configs.len() >= 3);
    for model in models() {
        for config in &configs {
            let mut fixture = Fixture::new(&model, config, 3).unwrap();
            fixture.perturb(0.1, 4).unwrap();
            let at = |step| {
                let mode = Mode::Train(Tape::new(), Some(Counter { seed: 5, step }));
                fixture.run(&batch, mode).unwrap().to_vec()
            };
            let plain = fixture.values(&batch).unwrap();
            assert!(distance(&plain, &at(1)) > SAME && distance(&at(1), &at(2)) > SAME, "{config:?}");
            assert_eq!(at(1), at(1), "{config:?}");
        }
    }
}

/// Three adapters in one batch: two sequences, one, one.
#[test]
fn a_batch_of_several_adapters_is_each_on_its_own() {
    for model in models() {
        let hidden = model.backbone.shape().hidden;
        let mut fixtures: Vec<_> =
            configs_for(&model).iter().map(|c| Fixture::new(&model, c, 3).unwrap()).collect();
        fixtures.retain(|fixture| !fixture.trains_base());
        fixtures.iter_mut().for_each(|fixture| fixture.perturb(0.1, 4).unwrap());
        for first in 0..fixtures.len() {
            let three = [0, 1, 5].map(|i| &fixtures[(first + i) % fixtures.len()]);
            let members: Vec<_> = three
                .iter()
                .zip([2, 1, 1])
                .map(|(f, sequences)| Member { adapter: f.adapter.as_ref(), params: &f.params, sequences })
                .collect();
            let batch = batch(&SEQUENCES).unwrap();
            let mut pass = Pass::mixed(&batch, &members, Mode::Evaluate).unwrap();
            let mixed = visible(model.backbone.as_ref(), &mut pass).unwrap().to_vec();
            for (index, fixture) in [three[0], three[0], three[1], three[2]].into_iter().enumerate() {
                let alone = of_sequence(&fixture.values(&batch).unwrap(), &batch, index, hidden);
                let moved = distance(&alone, &of_sequence(&mixed, &batch, index, hidden));
                let family = model.backbone.family();
                assert!(moved < SAME, "{family}, from method {first}: sequence {index} differs by {moved}");
            }
        }
    }
}

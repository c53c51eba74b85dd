//! Rows with different adapters in one batch, each as if it were alone.

use crate::fixture::{MODELS, grown, model, request, run, tokens};
use offshoot_train::LanguageModel;
use offshoot_train::generate::{Generator, Request, Sampling};

const SHARED: [&str; 9] =
    ["lora", "ia3", "houlsby", "pfeiffer", "parallel", "prompt", "prefix", "llama-adapter", "read"];

/// Two rows of every adapter and of none, of all lengths, in an order that mixes them.
fn requests(adapters: usize) -> Vec<Request> {
    let adapter =
        |row: usize| [None].into_iter().chain((0..adapters).map(Some)).nth(row % (adapters + 1)).unwrap();
    let row =
        |row: usize| request(row as u64, tokens(row as u64, 1 + 5 * row % 13), adapter(row), 4 + row % 9);
    (0..2 * (adapters + 1)).map(row).collect()
}

fn sampled() -> Sampling {
    Sampling { temperature: 1.5, top_k: 40, top_p: 0.95, repetition_penalty: 1.2, seed: 4 }
}

#[test]
fn each_row_of_a_mixed_batch_is_its_single_run() {
    for name in MODELS {
        let model = model(name);
        let grown: Vec<LanguageModel> = SHARED.iter().map(|method| grown(&model, method, 5)).collect();
        let mut generator = Generator::new(model.backbone.as_ref(), grown.iter().collect()).unwrap();
        let requests = requests(SHARED.len());
        for sampling in [Sampling::default(), sampled()] {
            generator.limits.sequences = 32;
            let together = run(&generator, &requests, &sampling).unwrap();
            for (request, mixed) in requests.iter().zip(&together) {
                let single = run(&generator, std::slice::from_ref(request), &sampling).unwrap();
                assert_eq!(mixed, &single[0], "{name}, {:?}", request.adapter.map(|a| SHARED[a]));
            }
            generator.limits.sequences = 3;
            generator.limits.batch_tokens = 5;
            assert_eq!(run(&generator, &requests, &sampling).unwrap(), together, "{name}: in few slots");
            generator.limits.batch_tokens = 2048;
        }
    }
}

#[test]
fn adapters_that_changed_the_model_write_alone() {
    let model = model("gpt2-lm");
    let grown: Vec<_> =
        ["full", "lora", "last-layers", "bitfit"].map(|method| grown(&model, method, 5)).into();
    let generator = Generator::new(model.backbone.as_ref(), grown.iter().collect()).unwrap();
    let rows = |adapters: [Option<usize>; 2]| {
        [0, 1].map(|row| request(10 + row as u64, tokens(row as u64, 4), adapters[row], 3))
    };
    for own in [0, 2, 3] {
        for other in [None, Some(1)] {
            let message =
                run(&generator, &rows([other, Some(own)]), &Sampling::default()).unwrap_err().to_string();
            let method = grown[own].method.info().name;
            assert!(
                message.contains(&format!("row 11 uses an adapter of the method `{method}`")),
                "{message}"
            );
            assert!(message.contains("row 10 does not"), "{message}");
        }
        let alone = run(&generator, &rows([Some(own), Some(own)]), &Sampling::default()).unwrap();
        let plain = run(&generator, &rows([None, None]), &Sampling::default()).unwrap();
        assert_ne!(alone, plain, "its weights are in use");
    }
}

//! How rows begin, go on and end.

use crate::fixture::{MODELS, Numbers, full_logits, grown, model, request, run, tokens};
use offshoot_train::generate::{Finish, Generator, Output, Sampling};
use offshoot_train::{Error, LanguageModel, argmax};

/// Greedy search without a cache: the argmax of the full forward pass, again and again.
fn reference(grown: &LanguageModel, prompt: &[u32], count: usize) -> Vec<u32> {
    let vocab = grown.backbone.shape().vocab;
    let mut ids = prompt.to_vec();
    for _ in 0..count {
        let logits = full_logits(grown, &ids);
        ids.push(argmax(&logits[logits.len() - vocab..]) as u32);
    }
    ids.split_off(prompt.len())
}

#[test]
fn greedy_search_takes_the_argmax_of_the_full_forward_pass_at_each_step() {
    for name in MODELS {
        let model = model(name);
        for method in ["lora", "prompt", "p-tuning", "prefix", "prefix-mlp", "llama-adapter", "full", "read"]
        {
            let grown = grown(&model, method, 8);
            let generator = Generator::new(model.backbone.as_ref(), vec![&grown]).unwrap();
            let prompt = tokens(4, 9);
            let result = run(&generator, &[request(0, prompt.clone(), Some(0), 15)], &Sampling::default());
            let generated = result.unwrap().remove(0);
            assert_eq!(generated.ids, reference(&grown, &prompt, 15), "{name}, {method}");
            assert_eq!(generated.finish, Finish::Length);
        }
    }
}

#[test]
fn draws_repeat_with_the_seed_and_are_the_rows_own() {
    let model = model("llama-lm");
    let generator = Generator::new(model.backbone.as_ref(), Vec::new()).unwrap();
    let draw = |rows: &[u64], seed: u64| {
        let rows: Vec<_> = rows.iter().map(|&row| request(row, tokens(1, 6), None, 12)).collect();
        run(&generator, &rows, &Sampling { temperature: 1.0, seed, ..Sampling::default() }).unwrap()
    };
    let three = draw(&[1, 2, 3], 7);
    assert_eq!(three, draw(&[1, 2, 3], 7));
    assert_eq!(three[2], draw(&[3], 7)[0]);
    assert!(three[0] != three[1] && three[0] != draw(&[1], 8)[0]);
}

#[test]
fn a_row_ends_at_its_first_end() {
    let model = model("qwen3-lm");
    let generator = Generator::new(model.backbone.as_ref(), Vec::new()).unwrap();
    // Without it this model says the same again and again.
    let sampling = Sampling { repetition_penalty: 1.5, ..Sampling::default() };
    let free = request(0, tokens(1, 6), None, 20);
    let whole = run(&generator, std::slice::from_ref(&free), &sampling).unwrap().remove(0);
    assert_eq!((whole.ids.len(), whole.finish), (20, Finish::Length));
    // The first token that has not occurred before it.
    let at = (5..20).find(|&at| !whole.ids[..at].contains(&whole.ids[at])).unwrap();
    let mut eos = free.clone();
    eos.stop.eos = vec![9999, whole.ids[at]];
    let mut stop = free.clone();
    // It begins within the token before and ends with this one, but for its dot.
    stop.stop.strings = vec!["nowhere".into(), format!(".{}", whole.ids[at])];
    let results = run(&generator, &[stop, free, eos], &sampling).unwrap();
    let text = |ids: &[u32]| ids.iter().map(|id| format!("{id}.")).collect::<String>();
    assert_eq!((results[2].finish, &results[2].ids[..]), (Finish::Eos, &whole.ids[..at]));
    assert_eq!(results[2].text, text(&whole.ids[..at]));
    assert_eq!(results[1], whole);
    assert_eq!((results[0].finish, &results[0].ids[..]), (Finish::Stop, &whole.ids[..=at]));
    assert_eq!(results[0].text, text(&whole.ids[..at]).trim_end_matches('.'));
}

#[test]
fn the_models_positions_end_a_row() {
    for name in MODELS {
        let model = model(name);
        let grown: Vec<_> = ["prompt", "prefix"].map(|method| grown(&model, method, 8)).into();
        let generator = Generator::new(model.backbone.as_ref(), grown.iter().collect()).unwrap();
        // 64 positions: 60 tokens, with 5 virtual ones 55; the last token is never looked at.
        let rows = [(None, 60), (None, 64), (Some(0), 55), (Some(1), 59)];
        let rows = rows.map(|(adapter, length)| request(0, tokens(2, length), adapter, usize::MAX));
        let results = run(&generator, &rows, &Sampling::default()).unwrap();
        let lengths: Vec<_> = results.iter().map(|r| (r.ids.len(), r.finish)).collect();
        assert_eq!(lengths, [5, 1, 5, 1].map(|length| (length, Finish::Length)), "{name}");
    }
}

#[test]
fn all_problems_are_told_before_anything_is_computed() {
    let model = model("gpt2-lm");
    let prompt = grown(&model, "prompt", 8);
    let mut generator = Generator::new(model.backbone.as_ref(), vec![&prompt]).unwrap();
    generator.limits.batch_tokens = 0;
    generator.limits.cache_tokens = 0;
    generator.limits.sequences = 0;
    let mut rows = [
        request(1, Vec::new(), None, 0),
        request(2, vec![1000], Some(1), 4),
        request(3, tokens(1, 60), Some(0), 4),
        request(4, tokens(1, 3), None, 4),
    ];
    rows[3].stop.strings.push(String::new());
    let wrong = Sampling { temperature: f64::NAN, ..Sampling::default() };
    let message = run(&generator, &rows, &wrong).unwrap_err().to_string();
    let problems = [
        "temperature is NaN",
        "row 1: the prompt has no token",
        "row 1: max_tokens is 0",
        "row 2: there are 1 adapters",
        "row 2: the token 1000",
        "row 3: the prompt has 60 tokens",
        "positions for 59",
        "row 4: a stop string is empty",
    ];
    for problem in problems {
        assert!(message.contains(problem), "{problem}: {message}");
    }
    let many: Vec<_> = (0..50).map(|row| request(row, Vec::new(), None, 4)).collect();
    let message = run(&generator, &many, &Sampling::default()).unwrap_err().to_string();
    assert!(message.ends_with("and 42 more"), "{message}");
    assert!(run(&generator, &[], &Sampling::default()).unwrap().is_empty());
    let rows = [request(1, tokens(1, 9), None, 2), request(2, tokens(1, 9), Some(0), 2)];
    assert_eq!(run(&generator, &rows, &Sampling::default()).unwrap().len(), 2, "limits of 0 count as 1");
}

#[test]
fn what_is_no_number_names_the_row_and_an_error_of_the_listener_ends_all() {
    let model = model("llama-lm");
    let mut broken = grown(&model, "lora", 8);
    for param in broken.params.iter_mut() {
        param.set(&vec![f32::NAN; param.value().len()]).unwrap();
    }
    let generator = Generator::new(model.backbone.as_ref(), vec![&broken]).unwrap();
    let rows = [request(5, tokens(1, 3), None, 4), request(6, tokens(1, 3), Some(0), 4)];
    let message = run(&generator, &rows, &Sampling::default()).unwrap_err().to_string();
    assert!(message.starts_with("row 6, token 1: the logit of token 0 is NaN"), "{message}");
    let mut calls = 0;
    let mut output = Output {
        decode: &|| Box::new(Numbers),
        written: &mut |_, _| {
            calls += 1;
            if calls < 3 { Ok(()) } else { Err(Error::invalid("nobody listens")) }
        },
    };
    let error = generator.run(&rows[..1], &Sampling::default(), &mut output).unwrap_err();
    assert_eq!((error.to_string().as_str(), calls), ("nobody listens", 3));
}

#[test]
fn a_model_of_another_task_or_size_is_refused() {
    let (llama, qwen) = (model("llama-lm"), model("qwen3-lm"));
    let other = grown(&qwen, "lora", 1);
    assert!(Generator::new(llama.backbone.as_ref(), vec![&other]).is_err());
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models/bert-cls");
    let scorer = offshoot_models::Model::load(&folder, None, &offshoot_core::Device::cpu()).unwrap();
    assert!(Generator::new(scorer.backbone.as_ref(), Vec::new()).is_err());
}

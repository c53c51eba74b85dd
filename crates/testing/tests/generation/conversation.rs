//! Dialogues: turns that share what they have in common.

use crate::fixture::{MODELS, Numbers, grown, model, request, run, tokens};
use offshoot_core::{Adapter, Step, Tensor};
use offshoot_train::generate::{Conversation, Generated, Generator, Output, Request, Sampling};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn reply(conversation: &mut Conversation<'_>, request: &Request) -> Generated {
    let mut output = Output { decode: &|| Box::new(Numbers), written: &mut |_, _| Ok(()) };
    conversation.reply(request, &Sampling::default(), &mut output).unwrap()
}

/// Three turns, an adapter's switch, and a turn that is taken back.
#[test]
fn a_turn_is_what_it_would_be_on_its_own() {
    for name in MODELS {
        let model = model(name);
        let grown: Vec<_> = ["prompt", "prefix", "lora"].map(|method| grown(&model, method, 8)).into();
        let generator = Generator::new(model.backbone.as_ref(), grown.iter().collect()).unwrap();
        let mut conversation = Conversation::new(&generator);
        let mut dialogue = Vec::new();
        let adapters = [Some(0), Some(0), Some(0), Some(1), Some(1), None, None, Some(2)];
        for (turn, adapter) in adapters.into_iter().enumerate() {
            dialogue.extend(tokens(turn as u64, 3));
            let request = request(turn as u64, dialogue.clone(), adapter, 4);
            let generated = reply(&mut conversation, &request);
            let alone = run(&generator, std::slice::from_ref(&request), &Sampling::default()).unwrap();
            assert_eq!(generated, alone[0], "{name}, turn {turn}");
            dialogue.extend(&generated.ids);
            assert_eq!(conversation.held(), dialogue.len() - 1, "all but the last token");
        }
        dialogue.truncate(12);
        let request = request(9, dialogue, Some(2), 4);
        let alone = run(&generator, std::slice::from_ref(&request), &Sampling::default()).unwrap();
        assert_eq!(reply(&mut conversation, &request), alone[0], "{name}: a dialogue taken back");
        assert_eq!(reply(&mut conversation, &request), alone[0], "{name}: the same question again");
    }
}

/// Counts the rows that pass through the last block.
struct Counting(Arc<AtomicUsize>);

impl Adapter for Counting {
    fn finish(&self, _: &Step<'_>, x: Tensor, _: &[Tensor]) -> offshoot_core::Result<Tensor> {
        self.0.fetch_add(x.rows(), Ordering::Relaxed);
        Ok(x)
    }
}

#[test]
fn a_turn_computes_only_what_is_new() {
    let model = model("llama-lm");
    let (mut counted, rows) = (grown(&model, "lora", 1), Arc::new(AtomicUsize::new(0)));
    counted.adapter = Box::new(Counting(Arc::clone(&rows)));
    let generator = Generator::new(model.backbone.as_ref(), vec![&counted]).unwrap();
    let mut conversation = Conversation::new(&generator);
    let mut computed = |prompt: &[u32], max_tokens: usize| {
        let before = rows.load(Ordering::Relaxed);
        let generated = reply(&mut conversation, &request(0, prompt.to_vec(), Some(0), max_tokens));
        (generated.ids, rows.load(Ordering::Relaxed) - before)
    };
    // Room for the turns to come from the start: a cache that grows is filled anew.
    let (ids, first) = computed(&tokens(1, 10), 30);
    assert_eq!(first, 10 + 29, "the last token is not looked at");
    let longer = [tokens(1, 10), ids[..4].to_vec(), tokens(2, 3)].concat();
    let shared = longer.iter().zip([tokens(1, 10), ids].concat()).take_while(|(a, b)| **a == *b).count();
    let (_, second) = computed(&longer, 5);
    assert_eq!(second, longer.len() - shared + 4);
    let (_, same) = computed(&longer, 1);
    assert_eq!(same, 1, "the last token of the prompt");
}

#[test]
fn what_fails_leaves_a_dialogue_that_can_go_on() {
    let model = model("llama-lm");
    let generator = Generator::new(model.backbone.as_ref(), Vec::new()).unwrap();
    let mut conversation = Conversation::new(&generator);
    let first = request(0, tokens(1, 8), None, 5);
    let good = reply(&mut conversation, &first);
    let mut deaf = Output {
        decode: &|| Box::new(Numbers),
        written: &mut |_, _| Err(offshoot_train::Error::invalid("nobody listens")),
    };
    let longer = Request { prompt: [tokens(1, 8), good.ids.clone(), tokens(2, 3)].concat(), ..first.clone() };
    assert!(conversation.reply(&longer, &Sampling::default(), &mut deaf).is_err());
    assert_eq!(conversation.held(), 0);
    let alone = run(&generator, std::slice::from_ref(&longer), &Sampling::default()).unwrap();
    assert_eq!(reply(&mut conversation, &longer), alone[0]);
}

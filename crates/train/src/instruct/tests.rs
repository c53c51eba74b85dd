use super::*;
use crate::data::instruct::{Content, LmExample};
use crate::rows::{Lengths, micro_batches, pack};
use offshoot_models::{ChatTemplate, Message, SpecialTokens, Tokenizer};
use serde_json::{Map, Value, json};

const CHATML: &str = "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

/// One token for each printable ASCII letter and the line break, then special ones.
fn tokenizer() -> Tokenizer {
    let letters = (b' '..=b'~').map(char::from).chain(['\n']);
    let mut vocab: Map<String, Value> = Map::new();
    for (id, letter) in letters.enumerate() {
        let written = match letter {
            ' ' => 'Ġ',
            '\n' => 'Ċ',
            other => other,
        };
        vocab.insert(written.to_string(), json!(id));
    }
    let special = |(at, content): (usize, &str)| {
        json!({"id": 96 + at, "content": content, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false})
    };
    let added: Vec<Value> =
        ["<s>", "</s>", "<|start|>", "<|end|>"].into_iter().enumerate().map(special).collect();
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [96], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false, "vocab": vocab, "merges": []}
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    Tokenizer::open(folder.path()).unwrap()
}

fn special() -> SpecialTokens {
    SpecialTokens { bos: Some(96), eos: vec![97], pad: None }
}

fn example(content: Content) -> LmExample {
    LmExample { content, adapter: None, line: 7 }
}

fn alpaca(instruction: &str, input: &str, output: &str) -> LmExample {
    let [instruction, input, output] = [instruction, input, output].map(str::to_owned);
    example(Content::Alpaca { instruction, input, output })
}

fn completion(prompt: &str, completion: &str) -> LmExample {
    example(Content::Completion { prompt: prompt.into(), completion: completion.into() })
}

fn messages(turns: &[(&str, &str)]) -> LmExample {
    example(Content::Messages(turns.iter().map(|(role, content)| Message::new(*role, *content)).collect()))
}

/// What stands in the row, and what of it is predicted.
fn encoded(
    template: Option<&str>,
    settings: LmSettings,
    row: &LmExample,
) -> Result<(String, String), String> {
    let (tokenizer, special) = (tokenizer(), special());
    let template = template.map(|source| ChatTemplate::new(source, Some("<s>"), Some("</s>")).unwrap());
    let encoder = LmEncoder::new(&tokenizer, template.as_ref(), &special, settings).unwrap();
    let row = encoder.rows("a.json", std::slice::from_ref(row)).map_err(|error| error.to_string())?.remove(0);
    assert!(!row.predicted[0] && row.line == 7 && row.ids.len() == row.predicted.len());
    assert_eq!(row.truncated, row.ids.len() == settings.max_length);
    let predicted = row.ids.iter().zip(&row.predicted).filter(|(_, predicted)| **predicted);
    let predicted: Vec<u32> = predicted.map(|(id, _)| *id).collect();
    assert_eq!(predicted.len(), row.targets());
    Ok((tokenizer.decode(&row.ids, false).unwrap(), tokenizer.decode(&predicted, false).unwrap()))
}

fn settings(max_length: usize, train_on_prompt: bool) -> LmSettings {
    LmSettings { max_length, train_on_prompt }
}

#[test]
fn an_instruction_is_one_user_turn_and_its_output_is_predicted() {
    let (text, predicted) = encoded(Some(CHATML), settings(999, false), &alpaca("Add", "1 2", "3")).unwrap();
    assert_eq!(text, "<|start|>user\nAdd\n1 2<|end|>\n<|start|>assistant\n3</s>");
    assert_eq!(predicted, "3</s>");
    let (text, predicted) = encoded(Some(CHATML), settings(999, true), &alpaca("Add", "", "3")).unwrap();
    assert_eq!(text, "<|start|>user\nAdd<|end|>\n<|start|>assistant\n3</s>");
    assert_eq!(predicted, text["<|start|>".len()..], "all but the first");
}

#[test]
fn without_a_template_the_prompt_is_alpaca_s_or_the_row_s_own() {
    let (text, predicted) = encoded(None, settings(999, false), &alpaca("Add", "1 2", "3")).unwrap();
    assert!(
        text.starts_with("<s>Below is an instruction that describes a task, paired with an input"),
        "{text}"
    );
    assert!(text.ends_with("\n\n### Instruction:\nAdd\n\n### Input:\n1 2\n\n### Response:3</s>"), "{text}");
    assert_eq!(predicted, "3</s>");
    assert!(!encoded(None, settings(999, false), &alpaca("Add", "", "3")).unwrap().0.contains("Input"));
    let (text, predicted) = encoded(None, settings(999, false), &completion("2+2=", "4")).unwrap();
    assert_eq!((text.as_str(), predicted.as_str()), ("<s>2+2=4</s>", "4</s>"));
    let (text, _) = encoded(Some(CHATML), settings(999, false), &completion("2+2=", "4")).unwrap();
    assert_eq!(text, "<|start|>user\n2+2=<|end|>\n<|start|>assistant\n4</s>");
    let error =
        encoded(None, settings(999, false), &messages(&[("user", "a"), ("assistant", "b")])).unwrap_err();
    assert!(
        error.contains("a.json") && error.contains("line 7") && error.contains("chat template"),
        "{error}"
    );
}

#[test]
fn every_assistant_turn_is_predicted_with_its_end() {
    let turns =
        [("system", "s"), ("user", "b"), ("assistant", "b"), ("user", "c"), ("assistant", "<|end|>d")];
    let (text, predicted) = encoded(Some(CHATML), settings(999, false), &messages(&turns)).unwrap();
    assert!(text.ends_with("c<|end|>\n<|start|>assistant\n<|end|>d<|end|>\n"), "{text}");
    assert_eq!(predicted, "b<|end|><|end|>d<|end|>");
    let open = encoded(Some(CHATML), settings(999, false), &messages(&turns[..4])).unwrap();
    assert_eq!(open.1, "b<|end|>", "a last turn of the user is context");
}

#[test]
fn a_template_that_does_not_end_the_last_turn_is_ended() {
    let source = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ '</s>' if not loop.last }}\n{% endfor %}\
                  {% if add_generation_prompt %}assistant: {% endif %}";
    let row = messages(&[("user", "a"), ("assistant", "b")]);
    // Here the conversation does not begin with the prompt for its turn, which says so.
    assert!(encoded(Some(source), settings(999, false), &row).unwrap_err().contains("cannot be told"));
    let source = source.replace("{{ '</s>' if not loop.last }}", "");
    let (text, predicted) = encoded(Some(&source), settings(999, false), &row).unwrap();
    assert_eq!((text.as_str(), predicted.as_str()), ("user: a\nassistant: b\n</s>", "b</s>"));
}

#[test]
fn plain_text_is_predicted_but_for_its_first_token() {
    let row = example(Content::Text("ab c".into()));
    for template in [None, Some(CHATML)] {
        let (text, predicted) = encoded(template, settings(999, false), &row).unwrap();
        assert_eq!((text.as_str(), predicted.as_str()), ("<s>ab c</s>", "ab c</s>"));
    }
}

/// Each piece's text, and what of it is predicted.
fn pieces_of(rows: &[LmRow], tokenizer: &Tokenizer) -> Vec<(String, String)> {
    let text = |ids: &[u32]| tokenizer.decode(ids, false).unwrap();
    rows.iter().map(|row| (text(&row.ids), text(&row.ids[1..]))).collect()
}

#[test]
fn a_long_text_becomes_pieces_and_none_of_it_is_lost() {
    let (tokenizer, special) = (tokenizer(), special());
    let template = ChatTemplate::new(CHATML, None, None).unwrap();
    for train_on_prompt in [false, true] {
        let settings = settings(3, train_on_prompt);
        let encoder = LmEncoder::new(&tokenizer, Some(&template), &special, settings).unwrap();
        let (long, short) = (Content::Text("abcde".into()), Content::Text("x".into()));
        let rows = encoder.rows("a.json", &[example(long), example(short)]).unwrap();
        let expected = [("<s>ab", "ab"), ("bcd", "cd"), ("de</s>", "e</s>"), ("<s>x</s>", "x</s>")];
        assert_eq!(pieces_of(&rows, &tokenizer), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        for row in &rows {
            assert!(!row.truncated && row.line == 7);
            assert!(!row.predicted[0] && row.predicted[1..].iter().all(|predicted| *predicted));
        }
        assert_eq!(rows.iter().map(|row| row.piece).collect::<Vec<_>>(), [0, 1, 2, 0]);
        let batch = pack(&rows).unwrap();
        let ids = batch.row_ids();
        assert!(ids[0] == 7 && ids[0] != ids[1] && ids[1] != ids[2] && ids[3] == 7, "{ids:?}");
    }
}

#[test]
fn a_cut_row_keeps_something_to_learn() {
    let long = "x".repeat(500);
    for row in [
        alpaca(&long, "", "yes"),
        alpaca("why", "", &long),
        completion(&long, &long),
        messages(&[("user", &long), ("assistant", "yes"), ("user", &long), ("assistant", "no")]),
    ] {
        for most in [2, 3, 10, 64] {
            for train_on_prompt in [false, true] {
                let (text, predicted) = encoded(Some(CHATML), settings(most, train_on_prompt), &row).unwrap();
                assert!(
                    !predicted.is_empty() && text.contains(&predicted) || train_on_prompt,
                    "{text} {predicted}"
                );
            }
        }
    }
    let (text, predicted) = encoded(Some(CHATML), settings(40, false), &alpaca(&long, "", "yes")).unwrap();
    assert_eq!(predicted, "yes</s>");
    assert!(
        text.starts_with("<|start|>user\nxx") && text.ends_with("<|end|>\n<|start|>assistant\nyes</s>"),
        "{text}"
    );
}

#[test]
fn rows_that_cannot_be_tokenised_are_reported_together() {
    let (tokenizer, special) = (tokenizer(), special());
    let encoder = LmEncoder::new(&tokenizer, None, &special, LmSettings::default()).unwrap();
    let bad = messages(&[("user", "a"), ("assistant", "b")]);
    let error = encoder.rows("a.json", &[bad.clone(), completion("a", "b"), bad]).unwrap_err().to_string();
    assert!(error.contains("a.json has 2 rows"), "{error}");
    let none = SpecialTokens::default();
    assert!(
        LmEncoder::new(&tokenizer, None, &none, LmSettings::default())
            .unwrap_err()
            .to_string()
            .contains("eos_token")
    );
    assert!(LmEncoder::new(&tokenizer, None, &special, settings(1, false)).is_err());
}

#[test]
fn prompts_end_where_the_completion_begins() {
    let (tokenizer, special) = (tokenizer(), special());
    let template = ChatTemplate::new(CHATML, None, None).unwrap();
    let encoder = LmEncoder::new(&tokenizer, Some(&template), &special, LmSettings::default()).unwrap();
    let rows = [
        alpaca("Add", "1", ""),
        completion("2+2=", "4"),
        messages(&[("user", "a"), ("assistant", "b"), ("user", "c")]),
        messages(&[("user", "a"), ("assistant", "b")]),
        example(Content::Text("once".into())),
    ];
    let prompts = encoder.prompts("a.json", &rows, 999).unwrap();
    let texts: Vec<String> = prompts.iter().map(|ids| tokenizer.decode(ids, false).unwrap()).collect();
    let ask = |text: &str| format!("<|start|>user\n{text}<|end|>\n<|start|>assistant\n");
    assert_eq!(texts[..2], [ask("Add\n1"), ask("2+2=")]);
    assert_eq!(texts[2], "<|start|>user\na<|end|>\n<|start|>assistant\nb<|end|>\n".to_owned() + &ask("c"));
    assert_eq!(texts[3..], [ask("a"), "<s>once".to_owned()]);
    // A training row begins with just these tokens.
    let row = encoder.rows("a.json", &rows[1..2]).unwrap().remove(0);
    assert_eq!(row.ids[..prompts[1].len()], prompts[1]);
    assert!(encoder.prompts("a.json", &rows, 8).unwrap().iter().all(|ids| ids.len() <= 8));
}

#[test]
fn rows_of_language_models_are_packed_as_others_are() {
    let row = |length: usize, line| LmRow {
        ids: vec![1; length],
        predicted: (0..length).map(|at| at > 0).collect(),
        line,
        piece: 0,
        truncated: line == 2,
    };
    let rows = [row(3, 1), row(5, 2), row(4, 3)];
    let borrowed: Vec<&LmRow> = rows.iter().collect();
    assert_eq!(micro_batches(&borrowed, 8), [0..2, 2..3]);
    let batch = pack(&rows).unwrap();
    assert_eq!((batch.sequences(), batch.tokens(), batch.sequence(1)), (3, 12, 3..8));
    let lengths = Lengths::of(&rows);
    assert_eq!((lengths.tokens, lengths.max, lengths.truncated), (12, 5, 1));
}

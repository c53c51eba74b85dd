//! `vocab.json` with `merges.txt` against a tokenizer.json of the same vocabulary, as transformers saves one.

use std::fs;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::*;

const MERGES: [&str; 9] = ["h e", "l l", "he ll", "hell o", "Ġ w", "Ġw o", "r l", "Ġ hello", "Ċ Ċ"];
const TEXTS: [&str; 10] = [
    "",
    "hello world",
    " hello  hello\n\n",
    "Hello, wörld! 😀 it's 3.14",
    "hello<|endoftext|>hello",
    "<s>hello</s> world",
    "hello <mask> world <pad>",
    "tabs\tand\r\nlines   ",
    "# # hello",
    "hello [X]hello[Y] ",
];

/// The letter that byte-level tokenizers write for a byte.
fn letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let before = (0..byte).filter(|&other| !printable(other)).count() as u32;
    if printable(byte) { char::from(byte) } else { char::from_u32(256 + before).unwrap() }
}

/// These tokens first, then the bytes, what the merges make, and these last.
fn vocabulary(first: &[&str], last: &[&str]) -> Map<String, Value> {
    let mut tokens: Vec<String> = first.iter().map(|token| (*token).to_owned()).collect();
    tokens.extend((0..=255_u8).map(|byte| letter(byte).to_string()));
    tokens.extend(MERGES.map(|merge| merge.replace(' ', "")));
    tokens.extend(last.iter().map(|token| (*token).to_owned()));
    tokens.into_iter().enumerate().map(|(id, token)| (token, json!(id))).collect()
}

fn gpt2() -> Map<String, Value> {
    vocabulary(&[], &["<|endoftext|>"])
}

fn roberta() -> Map<String, Value> {
    vocabulary(&["<s>", "<pad>", "</s>", "<unk>"], &["<mask>"])
}

/// A folder with the two files and others.
fn two_files(vocab: &Map<String, Value>, files: &[(&str, Value)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("vocab.json", Value::Object(vocab.clone()).to_string());
    write("merges.txt", format!("#version: 0.2\n{}\n", MERGES.join("\n")));
    files.iter().for_each(|(name, value)| write(name, value.to_string()));
    folder
}

fn special(id: usize, content: &str, lstrip: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": lstrip, "rstrip": false,
        "normalized": false, "special": true})
}

/// The tokenizer.json that transformers saves for the vocabulary.
fn saved(vocab: &Map<String, Value>, added: Vec<Value>, space: bool, around: Value) -> Tokenizer {
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": true});
    let whole = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null, "pre_tokenizer": bytes, "post_processor": around, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": MERGES}});
    Tokenizer::from_json(Path::new("tokenizer.json"), &whole.to_string()).unwrap()
}

/// Ids, types, spans and texts are those of the other, for single texts and pairs.
fn assert_same(ours: &Tokenizer, theirs: &Tokenizer) {
    assert_eq!(ours.vocab_size(), theirs.vocab_size());
    for (at, text) in TEXTS.iter().enumerate() {
        let pair = TEXTS[(at + 3) % TEXTS.len()];
        for second in [None, Some(pair)] {
            let (one, other) =
                (ours.encode(text, second, 99).unwrap(), theirs.encode(text, second, 99).unwrap());
            assert_eq!(one, other, "{text:?} {second:?}");
            for skip in [true, false] {
                assert_eq!(ours.decode(&one.ids, skip).unwrap(), theirs.decode(&one.ids, skip).unwrap());
            }
        }
        assert_eq!(ours.encode_spans(text).unwrap(), theirs.encode_spans(text).unwrap(), "{text:?}");
    }
    assert_eq!(ours.start_tokens().unwrap(), theirs.start_tokens().unwrap());
}

fn byte_level() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true})
}

#[test]
fn gpt_2_is_as_its_tokenizer_json() {
    let vocab = gpt2();
    let end = vocab["<|endoftext|>"].as_u64().unwrap() as usize;
    let theirs = saved(&vocab, vec![special(end, "<|endoftext|>", false)], false, byte_level());
    let hello = vocab["hello"].as_u64().unwrap() as u32;
    assert_eq!(theirs.encode("hello<|endoftext|>", None, 9).unwrap().ids, [hello, end as u32]);
    for files in [
        &[][..],
        &[("config.json", json!({"model_type": "gpt2"}))],
        &[("tokenizer_config.json", json!({"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024}))],
        &[("special_tokens_map.json", json!({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}))],
    ] {
        assert_same(&Tokenizer::open(two_files(&vocab, files).path()).unwrap(), &theirs);
    }
    let settings = [("tokenizer_config.json", json!({"add_prefix_space": true, "add_bos_token": true}))];
    let start = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [end], "tokens": ["<|endoftext|>"]}}});
    let theirs = saved(&vocab, vec![special(end, "<|endoftext|>", false)], true, start);
    assert_same(&Tokenizer::open(two_files(&vocab, &settings).path()).unwrap(), &theirs);
}

#[test]
fn roberta_is_as_its_tokenizer_json() {
    let vocab = roberta();
    let id = |token: &str| vocab[token].as_u64().unwrap() as usize;
    let listed = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
    for space in [false, true] {
        let added = listed.iter().map(|token| special(id(token), token, *token == "<mask>")).collect();
        let around = json!({"type": "RobertaProcessing", "sep": ["</s>", id("</s>")], "cls": ["<s>", id("<s>")],
            "trim_offsets": true, "add_prefix_space": space});
        let theirs = saved(&vocab, added, space, around);
        for class in [json!("RobertaTokenizer"), json!("RobertaTokenizerFast"), Value::Null] {
            let settings = json!({"add_prefix_space": space, "tokenizer_class": class});
            let folder = two_files(&vocab, &[("tokenizer_config.json", settings)]);
            assert_same(&Tokenizer::open(folder.path()).unwrap(), &theirs);
        }
    }
}

#[test]
fn tokens_that_were_added_later_have_their_ids() {
    let vocab = gpt2();
    let (end, next) = (vocab.len() - 1, vocab.len());
    let mut y = special(next + 1, "[Y]", false);
    y["rstrip"] = json!(true);
    let added = vec![special(end, "<|endoftext|>", false), special(next, "[X]", false), y.clone()];
    let theirs = saved(&vocab, added, false, byte_level());
    let extra = json!({"[X]": next, "[Y]": next + 1});
    let mut object = y.clone();
    object.as_object_mut().unwrap().remove("id");
    let old = [
        ("added_tokens.json", extra),
        (
            "special_tokens_map.json",
            json!({"pad_token": "[X]", "additional_special_tokens": [object.clone()]}),
        ),
    ];
    let x = special(next, "[X]", false);
    let decoder = json!({ end.to_string(): special(end, "<|endoftext|>", false), next.to_string(): x,
        (next + 1).to_string(): object });
    let new = [("tokenizer_config.json", json!({"added_tokens_decoder": decoder, "pad_token": "[X]"}))];
    for files in [&old[..], &new[..]] {
        let folder = two_files(&vocab, files);
        let ours = Tokenizer::open(folder.path()).unwrap();
        assert_same(&ours, &theirs);
        assert!(ours.is_special(next as u32) && ours.is_special(next as u32 + 1));
        assert_eq!(SpecialTokens::open(folder.path(), &ours).unwrap().pad, Some(next as u32));
    }
}

fn refused(folder: &TempDir, part: &str) {
    let message = Tokenizer::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains(part), "{part}: {message}");
}

#[test]
fn what_contradicts_itself_is_refused_by_name() {
    let vocab = gpt2();
    let next = vocab.len();
    let config = |value: Value| two_files(&vocab, &[("tokenizer_config.json", value)]);
    refused(&config(json!({"tokenizer_class": "CodeGenTokenizer"})), "CodeGenTokenizer");
    refused(&config(json!({"tokenizer_class": "RobertaTokenizer"})), "`sep_token`");
    refused(&config(json!({"eos_token": "[nowhere]"})), "[nowhere]");
    refused(&config(json!({"eos_token": 7})), "eos token is no text");
    refused(&config(json!({"add_prefix_space": "yes"})), "add_prefix_space");
    refused(&config(json!({"added_tokens_decoder": {"x": "[X]"}})), "added_tokens_decoder");
    let gap = json!({"added_tokens_decoder": {(next + 1).to_string(): special(0, "[X]", false)}});
    refused(&config(gap), &format!("should have {next}"));
    let moved = json!({"added_tokens_decoder": {"7": special(0, "<|endoftext|>", false)}});
    refused(&config(moved), "has the id 7");
    refused(&two_files(&vocab, &[("added_tokens.json", json!({"[X]": -1}))]), "added_tokens.json");
    refused(&two_files(&vocab, &[("special_tokens_map.json", json!([1]))]), "special_tokens_map.json");
    let half = two_files(&vocab, &[]);
    fs::remove_file(half.path().join("merges.txt")).unwrap();
    refused(&half, "only vocab.json is here");
    refused(&tempfile::tempdir().unwrap(), "vocab.json and merges.txt (GPT-2, RoBERTa)");
}

#[test]
fn hostile_vocabularies_and_merges_are_errors() {
    let vocab = gpt2();
    let merges = |text: &[u8], part: &str| {
        let folder = two_files(&vocab, &[]);
        fs::write(folder.path().join("merges.txt"), text).unwrap();
        refused(&folder, part);
    };
    merges(b"h e\nnowhere e\n", "merge 1");
    merges(b"h e l\n", "merge 0");
    merges(b"h\n", "merge 0");
    merges(b" h\n", "merge 0");
    merges(b"\xff\xfe h\n", "merges.txt");
    let vocabulary = |text: &str, part: &str| {
        let folder = two_files(&vocab, &[]);
        fs::write(folder.path().join("vocab.json"), text).unwrap();
        refused(&folder, part);
    };
    vocabulary("[]", "vocab.json");
    vocabulary("{}", "no token");
    vocabulary(r#"{"a": -1}"#, "vocab.json");
    vocabulary(r#"{"a": 18446744073709551615}"#, "vocab.json");
    vocabulary(r#"{"a": 1, "b": 1}"#, "the id 1");
    vocabulary(&"[".repeat(1_000_000), "vocab.json");
    vocabulary(r#"{"a": 0}"#, "merge 0");
}

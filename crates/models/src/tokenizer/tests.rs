use std::fs;

use serde_json::{Value, json};

use super::*;

const WORDS: [&str; 14] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##ly", "un", "##able", ",", "!", "é",
    "E",
];

/// A folder with `vocab.txt` and, if given, `tokenizer_config.json`.
fn word_pieces(config: Option<Value>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vocab.txt"), WORDS.join("\n") + "\n").unwrap();
    if let Some(config) = config {
        fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    }
    folder
}

/// A folder with RoBERTa's two files over the letters of "low lower".
fn byte_pairs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tokens =
        ["<s>", "<pad>", "</s>", "<unk>", "l", "o", "w", "e", "r", "Ġ", "lo", "low", "er", "Ġlow", "<mask>"];
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.to_string(), json!(id))).collect();
    fs::write(folder.path().join("vocab.json"), Value::Object(vocab).to_string()).unwrap();
    fs::write(folder.path().join("merges.txt"), "#version: 0.2\nl o\nlo w\ne r\nĠ low\n").unwrap();
    folder
}

/// A folder with this tokenizer.json.
fn file(tokenizer: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    folder
}

/// A small tokenizer.json that, like real ones, truncates and pads.
fn whole() -> Value {
    json!({
        "version": "1.0",
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}}
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}}
        },
        "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "[CLS]": 1, "a": 2, "b": 3}}
    })
}

#[test]
fn word_pieces_from_a_vocabulary() {
    let folder = word_pieces(None);
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    let one = tokenizer.encode("Hello WORLDly, unable!", None, 99).unwrap();
    assert_eq!(one, Encoded { ids: vec![2, 5, 6, 7, 10, 8, 9, 11, 3], types: vec![0; 9], truncated: false });
    let pair = tokenizer.encode("hello", Some("world xyz"), 99).unwrap();
    assert_eq!(pair.ids, [2, 5, 3, 6, 1, 3]);
    assert_eq!(pair.types, [0, 0, 0, 1, 1, 1]);
    assert_eq!(
        tokenizer.encode("hello [SEP] world", None, 99).unwrap().ids,
        [2, 5, 3, 6, 3],
        "special in a text"
    );
    assert_eq!(tokenizer.encode("", None, 99).unwrap().ids, [2, 3]);
    assert_eq!(tokenizer.vocab_size(), 14);
}

#[test]
fn the_settings_of_a_vocabulary_are_honoured_or_refused() {
    let ids = |config| {
        Tokenizer::open(word_pieces(Some(config)).path()).unwrap().encode("É E", None, 9).unwrap().ids
    };
    assert_eq!(ids(json!({})), [2, 1, 1, 3], "lower case without accents: e is not in the vocabulary");
    assert_eq!(ids(json!({"strip_accents": false})), [2, 12, 1, 3]);
    assert_eq!(ids(json!({"do_lower_case": false, "strip_accents": true})), [2, 13, 13, 3]);
    assert_eq!(ids(json!({"sep_token": {"content": "[MASK]"}})), [2, 1, 1, 4]);
    for (config, name) in [
        (json!({"do_lower_case": 3}), "do_lower_case"),
        (json!({"do_basic_tokenize": false}), "do_basic_tokenize"),
        (json!({"never_split": ["x"]}), "never_split"),
        (json!({"cls_token": "[BEGIN]"}), "[BEGIN]"),
    ] {
        let message = Tokenizer::open(word_pieces(Some(config)).path()).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn byte_pairs_from_two_files() {
    let tokenizer = Tokenizer::open(byte_pairs().path()).unwrap();
    assert_eq!(tokenizer.encode("low lower", None, 99).unwrap().ids, [0, 11, 13, 12, 2]);
    let pair = tokenizer.encode("low", Some("lower"), 99).unwrap();
    assert_eq!(pair.ids, [0, 11, 2, 2, 11, 12, 2]);
    assert_eq!(pair.types, [0; 7]);
    assert_eq!(
        tokenizer.encode("low <mask>", None, 99).unwrap().ids,
        [0, 11, 14, 2],
        "the mask takes its space"
    );
}

#[test]
fn truncation_takes_from_the_longer_text() {
    let tokenizer = Tokenizer::open(word_pieces(None).path()).unwrap();
    let text = |count: usize| "hello ".repeat(count);
    let cut = tokenizer.encode(&text(10), None, 6).unwrap();
    assert_eq!((cut.ids, cut.truncated), (vec![2, 5, 5, 5, 5, 3], true));
    let fits = tokenizer.encode(&text(4), None, 6).unwrap();
    assert!(!fits.truncated && fits.ids.len() == 6);
    // Tokens of either text, as transformers 5 cuts a pair to 10 (three of them special).
    for (first, second, left) in
        [(10, 2, (5, 2)), (2, 10, (2, 5)), (10, 10, (3, 4)), (11, 10, (4, 3)), (0, 9, (0, 7))]
    {
        let cut = tokenizer.encode(&text(first), Some(&text(second)), 10).unwrap();
        let count = |kind: u8| cut.types.iter().filter(|&&of| of == kind).count();
        assert_eq!((count(0) - 2, count(1) - 1), left, "{first} and {second}");
        assert!(cut.truncated);
    }
    let message = tokenizer.encode("hello", Some("world"), 3).unwrap_err().to_string();
    assert!(message.contains("3 special tokens"), "{message}");
}

#[test]
fn a_file_s_own_truncation_and_padding_are_switched_off() {
    let tokenizer = Tokenizer::open(file(&whole()).path()).unwrap();
    let row = tokenizer.encode("a b a b a b", None, 99).unwrap();
    assert_eq!((row.ids, row.truncated), (vec![1, 2, 3, 2, 3, 2, 3], false));
}

#[test]
fn many_rows_keep_their_order() {
    let tokenizer = Tokenizer::open(file(&whole()).path()).unwrap();
    let texts: Vec<String> = (0..100).map(|i| "b ".repeat(i % 7 + 1)).collect();
    let rows: Vec<Row<'_>> = texts.iter().map(|text| (text.as_str(), None)).collect();
    let encoded = tokenizer.encode_all(&rows, 5).unwrap();
    for (text, row) in texts.iter().zip(&encoded) {
        assert_eq!(row, &tokenizer.encode(text, None, 5).unwrap());
    }
    assert!(encoded[6].truncated && !encoded[0].truncated);
}

#[test]
fn hostile_files_are_errors() {
    let change = |path: &str, value: Value| {
        let mut tokenizer = whole();
        *tokenizer.pointer_mut(path).unwrap() = value;
        tokenizer
    };
    let mut random = json!({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
        "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "dropout": 0.5, "unk_token": null, "vocab": {"a": 0, "b": 1, "ab": 2},
            "merges": ["a b"]}});
    let dropout = random.clone();
    random["model"]["merges"] = json!(["a z"]);
    for (what, tokenizer) in [
        ("no object", json!([1])),
        ("an empty object", json!({})),
        ("an unknown model", change("/model/type", json!("Telepathy"))),
        ("an id out of range", change("/model/vocab/a", json!(1_u64 << 40))),
        ("a template token that is not listed", change("/post_processor/special_tokens", json!({}))),
        (
            "a special id outside the vocabulary",
            change("/post_processor/special_tokens/[CLS]/ids", json!([9])),
        ),
        ("a type id over 255", change("/post_processor/single/0/SpecialToken/type_id", json!(300))),
        ("no unknown token", change("/model/unk_token", json!("nowhere"))),
        ("an empty vocabulary", change("/model/vocab", json!({}))),
        (
            "a broken regular expression",
            change(
                "/pre_tokenizer",
                json!({"type": "Split", "pattern": {"Regex": "(a"},
            "behavior": "Isolated", "invert": false}),
            ),
        ),
        ("random merges", dropout),
        ("a merge of unknown tokens", random),
    ] {
        let folder = file(&tokenizer);
        match Tokenizer::open(folder.path()) {
            Err(error) => assert!(error.to_string().contains("tokenizer.json"), "{what}: {error}"),
            Ok(_) => panic!("{what} must be refused"),
        }
    }
    let nested = tempfile::tempdir().unwrap();
    fs::write(nested.path().join("tokenizer.json"), "[".repeat(1_000_000)).unwrap();
    assert!(Tokenizer::open(nested.path()).is_err());
    let message = Tokenizer::open(tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
    assert!(message.contains("vocab.txt"), "{message}");
}

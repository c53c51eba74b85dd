use std::fs;

use serde_json::{Map, Value, json};

use super::*;
use crate::tokenizer::SpecialTokens;

/// The letter that byte-level tokenizers write for a byte.
fn letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let before = (0..byte).filter(|&other| !printable(other)).count() as u32;
    if printable(byte) { char::from(byte) } else { char::from_u32(256 + before).unwrap() }
}

/// A folder with one token a byte (its id is the byte), "he" (256), and special tokens from 257.
fn bytes(files: &[(&str, Value)]) -> tempfile::TempDir {
    let mut vocab: Map<String, Value> =
        (0..=255_u8).map(|byte| (letter(byte).to_string(), json!(byte))).collect();
    vocab.insert("he".into(), json!(256));
    let special = |(at, content): (usize, &str)| {
        json!({"id": 257 + at, "content": content, "special": content != "<plain>", "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false})
    };
    let added: Vec<Value> =
        ["<s>", "</s>", "<|end|>", "<plain>"].into_iter().enumerate().map(special).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [257], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false, "vocab": vocab, "merges": ["h e"]}
    });
    folder(&tokenizer, files)
}

/// A folder with LLaMA's kind of tokenizer: spaces as `▁`, unknown characters as their bytes.
fn fallback() -> tempfile::TempDir {
    let mut vocab: Vec<Value> =
        vec![json!(["<unk>", 0.0]), json!(["▁a", -1.0]), json!(["▁", -2.0]), json!(["a", -3.0])];
    vocab.extend((0..=255_u8).map(|byte| json!([format!("<0x{byte:02X}>"), -9.0])));
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": true}
    });
    folder(&tokenizer, &[])
}

fn folder(tokenizer: &Value, files: &[(&str, Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    files.iter().for_each(|(name, value)| fs::write(folder.path().join(name), value.to_string()).unwrap());
    folder
}

/// The pieces of a stream, the last one that of its end.
fn streamed(tokenizer: &Tokenizer, ids: &[u32], skip: bool) -> Vec<String> {
    let mut stream = tokenizer.stream(skip);
    let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
    pieces.push(stream.finish().unwrap());
    pieces
}

#[test]
fn nothing_is_added_and_special_tokens_in_a_text_are_recognised() {
    let folder = bytes(&[]);
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    assert_eq!(tokenizer.encode_plain("").unwrap(), [0_u32; 0]);
    let ids = tokenizer.encode_plain("the</s>é<|end|>").unwrap();
    assert_eq!(ids, [u32::from(b't'), 256, 258, 0xc3, 0xa9, 259]);
    let (same, spans) = tokenizer.encode_spans("the</s>é<|end|>").unwrap();
    assert_eq!((same, spans), (ids, vec![0..1, 1..3, 3..7, 7..9, 7..9, 9..16]));
    assert_eq!(tokenizer.start_tokens().unwrap(), [257]);
    assert_eq!(tokenizer.encode("a", None, 9).unwrap().ids, [257, u32::from(b'a')], "encoders get theirs");
    let folder = fallback();
    assert!(Tokenizer::open(folder.path()).unwrap().start_tokens().unwrap().is_empty());
}

#[test]
fn tokens_are_decoded_with_or_without_special_ones() {
    let folder = bytes(&[]);
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    let ids = [257, u32::from(b'a'), 260, 259, 9_999_999];
    assert_eq!(tokenizer.decode(&ids, false).unwrap(), "<s>a<plain><|end|>");
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "a<plain>");
    assert_eq!((tokenizer.token_id("he"), tokenizer.token_id("nope")), (Some(256), None));
    assert_eq!((tokenizer.token(258).as_deref(), tokenizer.token(9_999)), (Some("</s>"), None));
    assert!(tokenizer.is_special(259) && !tokenizer.is_special(260) && !tokenizer.is_special(97));
}

#[test]
fn a_stream_never_gives_half_a_character() {
    let folder = bytes(&[]);
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    let ids = tokenizer.encode_plain("a€b😀</s>é").unwrap();
    let pieces = streamed(&tokenizer, &ids, false);
    assert_eq!(pieces, ["a", "", "", "€", "b", "", "", "", "😀", "</s>", "", "é", ""]);
    assert_eq!(streamed(&tokenizer, &ids, true)[9], "", "a special token left out");
    let broken = [0xe2, 0x82, u32::from(b'a'), 0x80, 0x80, 0x80, 0xf0];
    let pieces = streamed(&tokenizer, &broken, false);
    assert_eq!(pieces.concat(), tokenizer.decode(&broken, false).unwrap());
    assert_eq!(pieces, ["", "", "\u{fffd}a", "", "\u{fffd}", "\u{fffd}", "\u{fffd}", "\u{fffd}"]);
}

#[test]
fn bytes_of_a_fallback_wait_for_their_run() {
    let folder = fallback();
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    let ids = tokenizer.encode_plain("a é a€a").unwrap();
    let pieces = streamed(&tokenizer, &ids, false);
    assert_eq!(pieces.concat(), "a é a€a");
    assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "{pieces:?}");
    // A run that is no text as a whole: its good beginning must not have been given as text.
    let byte = |byte: u32| 4 + byte;
    let broken = [1, byte(0xc3), byte(0xa9), byte(0xe2), 3];
    let pieces = streamed(&tokenizer, &broken, false);
    assert_eq!(pieces, ["a", "", "", "", "\u{fffd}\u{fffd}\u{fffd}a", ""]);
    assert_eq!(pieces.concat(), tokenizer.decode(&broken, false).unwrap());
}

#[test]
fn a_long_stream_is_the_text_of_all_its_tokens() {
    for folder in [bytes(&[]), fallback()] {
        let tokenizer = Tokenizer::open(folder.path()).unwrap();
        let mut state = 7_u64;
        let mut text = String::new();
        for _ in 0..400 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(
                ["a", " a", " ", "é", "€", "he", "  ", "\n", "😀", "</s>"][(state >> 40) as usize % 10],
            );
        }
        let ids = tokenizer.encode_plain(&text).unwrap();
        assert!(ids.len() > 4 * TextStream::MOST);
        for skip in [false, true] {
            assert_eq!(streamed(&tokenizer, &ids, skip).concat(), tokenizer.decode(&ids, skip).unwrap());
        }
        let mut stream = tokenizer.stream(false);
        for &id in &ids {
            stream.push(id).unwrap();
            assert!(stream.ids.len() <= 2 * TextStream::MOST, "what it keeps does not grow");
        }
    }
}

#[test]
fn special_tokens_are_read_from_every_file_that_names_them() {
    let special = |files: &[(&str, Value)]| {
        let folder = bytes(files);
        SpecialTokens::open(folder.path(), &Tokenizer::open(folder.path()).unwrap())
    };
    assert_eq!(special(&[]).unwrap(), SpecialTokens::default());
    let found = special(&[
        (
            "tokenizer_config.json",
            json!({"bos_token": {"content": "<s>"}, "eos_token": "<|end|>", "pad_token": null}),
        ),
        ("special_tokens_map.json", json!({"eos_token": "nowhere", "pad_token": "</s>"})),
        ("generation_config.json", json!({"eos_token_id": [258, 259, 99_999, -1, "x"], "pad_token_id": -1})),
        ("config.json", json!({"eos_token_id": 97, "bos_token_id": 3})),
    ]);
    let expected = SpecialTokens { bos: Some(257), eos: vec![259, 258, 97], pad: Some(258) };
    assert_eq!(found.unwrap(), expected);
    let many: Vec<u32> = (0..100_000).map(|id| id % 256).collect();
    assert!(special(&[("config.json", json!({"eos_token_id": many}))]).unwrap().eos.len() <= 64);
    let message = special(&[("generation_config.json", json!([1]))]).unwrap_err().to_string();
    assert!(message.contains("generation_config.json"), "{message}");
}

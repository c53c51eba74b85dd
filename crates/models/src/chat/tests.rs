use std::fs;

use serde_json::{Value, json};

use super::*;

const CHATML: &str = include_str!("testdata/chatml.jinja");
const QWEN3: &str = include_str!("testdata/qwen3.jinja");

fn source(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chat/testdata");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, Some("<s>"), Some("</s>")).unwrap()
}

fn talk(turns: &[(&str, &str)]) -> Vec<Message> {
    turns.iter().map(|(role, content)| Message::new(*role, *content)).collect()
}

fn parts(rendered: &Rendered) -> Vec<&str> {
    rendered.assistant.iter().map(|range| &rendered.text[range.clone()]).collect()
}

/// What transformers wrote; see scripts/chat_templates.py.
#[test]
fn every_template_renders_as_in_transformers() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("testdata/expected.json")).unwrap();
    assert_eq!(cases.len(), 112);
    for case in cases {
        let name = case["template"].as_str().unwrap();
        let mut template = template(&source(name));
        template.tokens.insert("date_string".into(), "26 Jul 2024".into());
        let messages: Vec<Message> = serde_json::from_value(case["messages"].clone()).unwrap();
        let prompt = case["add_generation_prompt"].as_bool().unwrap();
        match (template.render(&messages, prompt), case["error"].as_str()) {
            (Ok(text), None) => assert_eq!(text, case["text"].as_str().unwrap(), "{name} {messages:?}"),
            (Err(error), Some(reason)) => {
                assert_eq!(
                    error.to_string(),
                    format!("the chat template: the template refuses these messages: {reason}")
                );
            }
            (found, expected) => panic!("{name} {messages:?}: {found:?}, expected {expected:?}"),
        }
        if let Some(expected) = case["assistant"].as_array() {
            let rendered = template.render_masked(&messages).unwrap();
            assert_eq!(rendered.text, case["text"].as_str().unwrap());
            let expected: Vec<&str> = expected.iter().map(|part| part.as_str().unwrap()).collect();
            assert_eq!(parts(&rendered), expected, "{name} {messages:?}");
        }
    }
}

#[test]
fn assistant_turns_are_found_by_rendering_prefixes() {
    let messages =
        talk(&[("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "a"), ("assistant", "a b\n")]);
    for (name, expected) in [
        ("chatml.jinja", ["b<|im_end|>", "a b\n<|im_end|>"]),
        ("llama2.jinja", [" b </s>", " a b </s>"]),
        ("llama3.jinja", ["b<|eot_id|>", "a b<|eot_id|>"]),
        ("mistral.jinja", [" b</s>", " a b</s>"]),
        ("gemma.jinja", ["b<end_of_turn>", "a b<end_of_turn>"]),
        ("qwen3.jinja", ["b<|im_end|>", "<think>\n\n</think>\n\na b\n<|im_end|>"]),
    ] {
        let template = template(&source(name));
        if name == "mistral.jinja" {
            // The system message stands in the last user turn only, so the earlier prompts are others.
            let message = template.render_masked(&messages).unwrap_err().to_string();
            assert!(message.contains("message 3") && message.contains("{% generation %}"), "{message}");
            assert_eq!(parts(&template.render_masked(&messages[1..]).unwrap()), expected);
            continue;
        }
        let rendered = template.render_masked(&messages).unwrap();
        assert_eq!(parts(&rendered), expected, "{name}");
        assert_eq!(rendered.text, template.render(&messages, false).unwrap());
    }
}

#[test]
fn a_turn_written_differently_when_it_is_last_is_found_by_probes() {
    // Qwen 3 drops the thoughts of turns before the last question, and keeps those after it.
    let messages = talk(&[
        ("user", "q"),
        ("assistant", "<think>\nlong\n</think>\n\none<|im_end|>"),
        ("user", "q"),
        ("assistant", "<think>\nlong\n</think>\n\ntwo"),
    ]);
    let rendered = template(QWEN3).render_masked(&messages).unwrap();
    assert_eq!(parts(&rendered), ["one<|im_end|><|im_end|>", "<think>\nlong\n</think>\n\ntwo<|im_end|>"]);
}

#[test]
fn a_conversation_that_cannot_be_divided_says_so() {
    for (source, messages) in [
        (
            "{{ messages|length }}{% for m in messages %}{{ m.content }}{% endfor %}",
            talk(&[("user", "a"), ("assistant", "b")]),
        ),
        (CHATML, talk(&[("assistant", "b")])),
        (
            "{% for m in messages %}{{ m.content }}{{ m.content if not loop.last }};{% endfor %}",
            talk(&[("user", "a"), ("assistant", "b"), ("user", "c")]),
        ),
        (
            "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
            talk(&[("user", "\u{fdd0}")]),
        ),
        (
            "\u{fdd1}{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
            talk(&[("user", "a")]),
        ),
        ("{% generation %}{% generation %}a{% endgeneration %}{% endgeneration %}", talk(&[("user", "a")])),
        ("{% set x %}{% generation %}ab{% endgeneration %}{% endset %}{{ x[:2] }}", talk(&[("user", "a")])),
    ] {
        let message = template(source).render_masked(&messages).unwrap_err().to_string();
        assert!(message.contains("cannot be told from the rest"), "{source}: {message}");
    }
}

#[test]
fn a_template_without_assistant_turns_has_no_parts() {
    let rendered =
        template(CHATML).render_masked(&talk(&[("user", "<|im_start|>assistant\nx<|im_end|>")])).unwrap();
    assert!(rendered.assistant.is_empty(), "texts that look like a turn are none");
}

#[test]
fn the_date_is_handed_in() {
    let messages = talk(&[("user", "a")]);
    let llama = template(&source("llama3.jinja"));
    assert!(llama.render(&messages, true).unwrap().contains("Today Date: 26 Jul 2024"), "not the clock's");
    let day = Date { year: 2026, month: 11, day: 24 };
    assert!(llama.asks_for_date() && llama.date().is_none());
    let plain = template(CHATML).with_date(day);
    assert!(!plain.asks_for_date() && plain.date().is_none());
    assert_eq!(plain.render(&messages, true).unwrap(), template(CHATML).render(&messages, true).unwrap());
    let dated = llama.with_date(day);
    assert_eq!(dated.date(), Some(day));
    assert!(dated.render(&messages, true).unwrap().contains("Today Date: 24 Nov 2026"));
    let message = template("{{ strftime_now('%Y') }}").render(&messages, true).unwrap_err().to_string();
    assert!(message.contains("today's date, which is not given"), "{message}");
}

#[test]
fn errors_say_where_and_what() {
    let compiled = |source| ChatTemplate::new(source, None, None).unwrap_err().to_string();
    assert!(
        compiled("a\nb {% if %}").starts_with("the chat template: line 2: "),
        "{}",
        compiled("a\nb {% if %}")
    );
    assert!(compiled("{% for %}").contains("line 1"));
    let messages = talk(&[("user", "a")]);
    let failed = |source| template(source).render(&messages, false).unwrap_err().to_string();
    assert!(failed("\n{{ nope() }}").contains("line 2: nope is unknown"), "{}", failed("\n{{ nope() }}"));
    assert!(failed("{{ messages[0].content.nope() }}").contains("nope"));
    let long = failed("{{ raise_exception('no' * 1000) }}");
    assert!(
        long.starts_with("the chat template: the template refuses these messages: nono") && long.len() < 700
    );
}

#[test]
fn a_folder_s_template_is_found() {
    let open = |files: &[(&str, String)]| {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        ChatTemplate::open(folder.path())
    };
    let config = |value: Value| {
        (
            "tokenizer_config.json",
            json!({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": null,
            "chat_template": value})
            .to_string(),
        )
    };
    let rendered = |found: Result<Option<ChatTemplate>>| {
        found.unwrap().unwrap().render(&talk(&[("user", "a")]), false).unwrap()
    };
    assert!(open(&[]).unwrap().is_none());
    assert!(open(&[config(Value::Null)]).unwrap().is_none());
    let text = config(json!("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}"));
    assert_eq!(rendered(open(std::slice::from_ref(&text))), "<s>a</s>");
    assert_eq!(
        rendered(open(&[text, ("chat_template.jinja", "file {{ bos_token }}\r\n".into())])),
        "file <s>"
    );
    let named = |names: &[&str]| {
        config(names.iter().map(|name| json!({"name": name, "template": format!("is {name}")})).collect())
    };
    assert_eq!(rendered(open(&[named(&["tool_use", "default"])])), "is default");
    assert_eq!(rendered(open(&[named(&["rag"])])), "is rag");
    for (bad, reason) in [
        (named(&["a", "b"]), "named `default`"),
        (named(&[]), "empty"),
        (config(json!([1])), "`name` and a `template`"),
        (config(json!(1)), "must be a text or a list"),
        (config(json!("{% if %}")), "tokenizer_config.json: line 1"),
        (("tokenizer_config.json", "{".into()), "not the JSON expected"),
    ] {
        let message = open(&[bad]).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
}

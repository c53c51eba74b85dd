#!/usr/bin/env python3
"""Writes a GGUF language model as a folder in the Hugging Face layout: dequantised weights, tokenizer, chat template.

    gguf_to_hf.py MODEL.gguf FOLDER [--dtype bf16]

offshoot reads the GGUF file as it is. The folder is for programs that do not, so that both sides of a comparison
start from the same weights. Needs the packages of requirements-peft.txt.
"""
import argparse
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
SAMPLE = "How many are 12 and 30?\n\n\tForty-two, naïvely."


def main():
    args = arguments()
    source = {"pretrained_model_name_or_path": str(args.model.resolve().parent), "gguf_file": args.model.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model = plain(AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32))
    model.to(DTYPES[args.dtype]).save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    check(tokenizer, args.out)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a GGUF file of an architecture that transformers knows")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--dtype", default="bf16", choices=DTYPES)
    return parser.parse_args()


def plain(model):
    """The same model without the marks of where it came from: transformers refuses to save what it calls quantised."""
    config = type(model.config).from_dict(model.config.to_dict())
    for mark in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        if hasattr(config, mark):
            delattr(config, mark)
    fresh = type(model)(config)
    fresh.load_state_dict(model.state_dict())
    fresh.generation_config = model.generation_config
    return fresh


def check(tokenizer, folder):
    """A tokenizer that changes on its way through the files would spoil every comparison, without a word."""
    ids, again = (t(SAMPLE)["input_ids"] for t in (tokenizer, AutoTokenizer.from_pretrained(folder)))
    if ids != again:
        sys.exit(f"{folder}: the saved tokenizer gives {again} where the file's gives {ids}")


if __name__ == "__main__":
    main()

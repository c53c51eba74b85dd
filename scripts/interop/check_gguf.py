#!/usr/bin/env python3
"""Loads a GGUF LoRA that offshoot exported into llama.cpp, generates greedily, and compares the texts.

    check_gguf.py --model BASE.gguf --adapter lora.gguf --prompts prompts.jsonl --texts texts.jsonl

llama.cpp runs on a copy of the base in F32, written beside the adapter: the same weights, without the rounding of activations
that its products with quantised weights have. Exit code 1 if a text differs where llama.cpp's choice was clear. Needs the package
llama-cpp-python.
"""
import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))
from make_llama_cpp import dequantise, greedy, load

import texts

SHOWN = 5


def main():
    args = arguments()
    with tempfile.TemporaryDirectory(dir=args.adapter.parent) as folder:
        full = Path(folder) / "f32.gguf"
        dequantise(args.model, full)
        base = load(full, args.threads)
        adapted = load(full, args.threads, lora_path=str(args.adapter))
    encode = lambda model, prompt: model.tokenize(prompt.encode(), add_bos=add_bos(model), special=True)
    generator = lambda model: lambda prompt: greedy(model, encode(model, prompt), args.max_tokens, [base.token_eos()])
    decode = lambda tokens: base.detokenize(tokens).decode("utf-8", "replace")
    line, problems = texts.compare(args, generator(adapted), generator(base), decode)
    if problems:
        sys.exit("\n".join([f"WRONG: {line}", *problems[:SHOWN]]))
    print(line)


def add_bos(model):
    """What the file says; llama.cpp's own guess where it says nothing."""
    said = model.metadata.get("tokenizer.ggml.add_bos_token")
    return said == "true" if said else model.metadata["tokenizer.ggml.model"] == "llama"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="the base, a GGUF file")
    parser.add_argument("--adapter", required=True, type=Path, help="the GGUF LoRA that offshoot exported")
    parser.add_argument("--threads", type=int, default=2)
    texts.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()

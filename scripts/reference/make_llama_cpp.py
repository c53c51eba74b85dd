#!/usr/bin/env python3
"""What llama.cpp computes, beside the values of make.py: greedy text, perplexity, token ids.

    make_llama_cpp.py MODEL.gguf OUT        OUT has make.py's files; llama_cpp.json is written there

llama.cpp rounds activations to 8 bits before it multiplies them with quantised weights. So everything is done twice: on the file,
and on a copy of it in F32, which has the same weights and no rounding. Needs the package llama-cpp-python.
"""
import argparse
import ctypes
import json
import math
import tempfile
from pathlib import Path

import llama_cpp
import numpy

CONTEXT = 512


def main():
    args = arguments()
    read = lambda name: json.loads((args.out / name).read_text())
    texts, tokens, perplexity = read("greedy.json"), read("tokens.json"), read("perplexity.json")
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        full = Path(folder) / "f32.gguf"
        dequantise(args.model, full)
        results = {"model": args.model.name, "made_with": {"llama_cpp": llama_cpp.__version__}}
        for name, path in (("as_it_is", args.model), ("in_f32", full)):
            model = load(path, args.threads)
            results[name] = {"prompts": [continuation(model, row, texts["eos"]) for row in texts["prompts"]],
                             **losses(model, perplexity["blocks"])}
            print(name, flush=True)
    results["tokens"] = differences(model, tokens)
    (args.out / "llama_cpp.json").write_text(json.dumps(results, ensure_ascii=False, indent=1))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def dequantise(source, target):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = llama_cpp.LLAMA_FTYPE_ALL_F32, True, 1
    if llama_cpp.llama_model_quantize(bytes(source), bytes(target), ctypes.byref(params)) != 0:
        raise SystemExit(f"{source} cannot be dequantised")


def load(path, threads, **more):
    return llama_cpp.Llama(str(path), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, logits_all=True, verbose=False,
                           type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32, flash_attn=False, **more)


def greedy(model, ids, count, ends):
    """At most `count` of the most likely tokens after `ids`, and each one's gap to the second best."""
    model.reset()
    model.eval(ids)
    new, gaps = [], []
    while len(new) < count and not (new and new[-1] in ends):
        logits = model.scores[model.n_tokens - 1]
        second, best = (int(index) for index in numpy.argsort(logits)[-2:])
        new.append(best)
        gaps.append(round(float(logits[best] - logits[second]), 4))
        model.eval([best])
    return new, gaps


def continuation(model, row, ends):
    """As many tokens as make.py has; `same` counts those that are its own from the first on."""
    new, gaps = greedy(model, row["ids"], len(row["new_ids"]), ends)
    same = next((i for i, (a, b) in enumerate(zip(new, row["new_ids"])) if a != b), len(new))
    text = model.detokenize(new).decode("utf-8", "replace")
    return {"prompt": row["prompt"], "new_ids": new, "text": text, "gaps": gaps, "same": same}


def losses(model, blocks):
    total = count = 0
    for block in blocks:
        model.reset()
        model.eval(block["ids"])
        logits = model.scores[: len(block["ids"]) - 1].astype(numpy.float64)
        largest = logits.max(-1)
        logs = largest + numpy.log(numpy.exp(logits - largest[:, None]).sum(-1))
        total += float((logs - logits[numpy.arange(len(logs)), block["ids"][1:]]).sum())
        count += len(logs)
    return {"loss": total / count, "perplexity": math.exp(total / count)}


def differences(model, tokens):
    """The texts that llama.cpp cuts otherwise than transformers."""
    found = []
    rows = tokens["rows"] + tokens["odd"]
    for row in rows:
        ids = model.tokenize(row["text"].encode(), add_bos=False, special=True)
        if ids != row["ids"]:
            found.append({"text": row["text"], "transformers": row["ids"], "llama_cpp": ids})
    return {"texts": len(rows), "different": found}


if __name__ == "__main__":
    main()

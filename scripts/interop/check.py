#!/usr/bin/env python3
"""Loads an adapter that offshoot wrote into the library whose format it is, and compares the predictions.

    check.py --model BASE --adapter FOLDER --data rows.csv --predictions predictions.csv

The library is peft, or AdapterHub's adapters for a bottleneck adapter: the adapter's configuration says which, and each
wants its own environment (../requirements-*.txt). Both load what fits and skip the rest without a word, so every tensor
of the files is looked up in the model first. Exit code 1 if a tensor is not there, a label differs, or the numbers of
a regression differ by more than rounding.

The adapter must have been trained with `--pooling pooler`, which is what these libraries' classes do.
"""
import argparse
import csv
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

BATCH = 32
SHOWN = 5  # of many problems, how many are printed
ROUNDING = 1e-4  # of the largest number, by which numbers that went through a model in f32 may differ


def main():
    args = arguments()
    rows = read(args.data)[: args.rows]
    labels = json.loads((args.adapter / "offshoot.json").read_text())["labels"]
    ours = [prediction(row, labels) for row in read(args.predictions)][: args.rows]
    if len(ours) != len(rows):
        sys.exit(f"{args.data} has {len(rows)} rows and {args.predictions} has {len(ours)}")
    model, problems = load(args.model, args.adapter, labels)
    report(f"{args.adapter}: every tensor is where it belongs", problems)
    texts = [row[args.text] for row in rows]
    theirs = predict(model, AutoTokenizer.from_pretrained(args.model), texts, args.max_length)
    if labels:
        compare(labels, ours, theirs.softmax(-1))
    else:
        compare_numbers(ours, theirs.squeeze(-1))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="the base model's folder")
    parser.add_argument("--adapter", required=True, type=Path, help="the folder that offshoot wrote")
    parser.add_argument("--data", required=True, type=Path, help="the rows: CSV or JSONL")
    parser.add_argument("--predictions", required=True, type=Path, help="what `offshoot predict` said about them")
    parser.add_argument("--text", default="text", help="the text's column")
    parser.add_argument("--max-length", type=int, default=128, help="tokens; what the adapter was used with")
    parser.add_argument("--rows", type=int, default=200)
    return parser.parse_args()


def read(path):
    """The rows of a CSV or JSONL file as dictionaries."""
    with open(path, newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file if line.strip()]
        csv.field_size_limit(1 << 30)
        return list(csv.DictReader(file))


def prediction(row, labels):
    """(label, probabilities in the order of `labels`) of one row, the probabilities nested or one column each; the number
    where there are no labels."""
    if not labels:
        return float(row["number"])
    nested = row.get("probabilities", row)
    if isinstance(nested, list):
        return str(row["label"]), [float(value) for value in nested]
    return str(row["label"]), [float(nested[column(nested, str(label))]) for label in labels]


def column(row, label):
    names = [name for name in row if name in (label, f"probability_{label}", f"p_{label}") and name != "label"]
    if len(names) != 1:
        sys.exit(f"no single column for the probability of `{label}` among {list(row)}")
    return names[0]


def load(base, adapter, labels):
    """The library's model with the adapter on it, and what is wrong with its tensors."""
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=max(len(labels), 1), dtype=torch.float32)
    problems = base_problems(model, base)
    config = json.loads((adapter / "adapter_config.json").read_text())
    loader = load_peft if "peft_type" in config else load_adapters
    model, more = loader(model, adapter)
    return model.eval(), problems + more


def load_peft(model, adapter):
    import peft

    model = peft.PeftModel.from_pretrained(model, adapter)
    file = load_file(adapter / "adapter_model.safetensors")
    # Written back as peft would save it: same names, same values, or something was skipped or left at its start.
    return model, differences(file, peft.get_peft_model_state_dict(model), "adapter_model.safetensors")


def load_adapters(model, adapter):
    import adapters

    adapters.init(model)
    name = model.load_adapter(str(adapter), with_head=True, use_safetensors=True, set_active=True)
    state = model.state_dict()
    file = load_file(adapter / "adapter.safetensors")
    mine = {key: value for key, value in state.items() if f".adapters.{name}." in key}
    head = load_file(adapter / "model_head.safetensors")
    heads = {key: value for key, value in state.items() if not key.startswith(model.base_model_prefix + ".")}
    problems = differences(file, mine, "adapter.safetensors")
    return model, problems + differences(head, heads, "model_head.safetensors")


def base_problems(model, folder):
    """The base's own tensors, with or without the family's prefix, must have landed too."""
    state, prefix = model.state_dict(), model.base_model_prefix + "."
    problems = []
    for path in sorted(folder.glob("*.safetensors")):
        file = {key: value for key, value in load_file(path).items() if not key.endswith("position_ids")}
        here = {key: state.get(key, state.get(prefix + key)) for key in file}
        problems += differences(file, {key: value for key, value in here.items() if value is not None}, path.name)
    return problems


def differences(file, loaded, name):
    """What of a file did not land, or landed changed, and what the model has that the file lacks."""
    problems = [f"{name}: `{key}` was not loaded" for key in sorted(file.keys() - loaded.keys())]
    problems += [f"{name}: `{key}` is missing" for key in sorted(loaded.keys() - file.keys())]
    for key in sorted(file.keys() & loaded.keys()):
        if file[key].shape != loaded[key].shape or not torch.equal(file[key].float(), loaded[key].float()):
            problems.append(f"{name}: `{key}` has other values in the model")
    return problems


@torch.inference_mode()
def predict(model, tokenizer, texts, max_length):
    """Logits [rows, labels], or numbers [rows, 1]."""
    parts = []
    for start in range(0, len(texts), BATCH):
        part = texts[start : start + BATCH]
        batch = tokenizer(part, truncation=True, max_length=max_length, padding=True, return_tensors="pt")
        parts.append(model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits)
    return torch.cat(parts)


def compare(labels, ours, theirs):
    names = [str(labels[index]) for index in theirs.argmax(-1).tolist()]
    wrong = [f"row {i}: offshoot says {mine}, the library {name} {theirs[i].tolist()}"
             for i, ((mine, _), name) in enumerate(zip(ours, names)) if mine != name]
    largest = (torch.tensor([values for _, values in ours]) - theirs).abs().max().item()
    agree = f"{len(ours) - len(wrong)} of {len(ours)} labels agree"
    report(f"{agree}; largest difference of a probability {largest:.1e}", wrong)


def compare_numbers(ours, theirs):
    apart = (torch.tensor(ours) - theirs).abs()
    allowed = ROUNDING * theirs.abs().max().item()
    wrong = [f"row {i}: offshoot says {ours[i]}, the library {theirs[i].item()}"
             for i in range(len(ours)) if not apart[i].item() <= allowed]
    report(f"{len(ours)} numbers; largest difference {apart.max().item():.1e}", wrong)


def report(line, problems):
    """Prints the line, or leaves with exit code 1 over what is wrong."""
    if not problems:
        print(line)
        return
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    sys.exit("\n".join([f"WRONG: {line}", *problems[:SHOWN], *more]))


if __name__ == "__main__":
    main()

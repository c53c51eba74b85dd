#!/usr/bin/env python3
"""The other side of a side-by-side run: transformers + peft on the same model, rows and schedule as `offshoot train`.

    peer.py --model DIR --data train.csv --test-data test.csv --method lora --lr 1e-3
    peer.py sft --model DIR --data train.json --test-data test.json --method lora

`sft` tunes a language model on instructions (sft.py says how rows become tokens), with other defaults. With --test-data, the rows are those of the two files: give it the split that offshoot wrote. Without, --data is
shuffled by --seed, and the first --test rows are for testing and the next --train for training.

The schedule: batches are shuffled each epoch and padded to their longest row; AdamW with decay 0.01 on every tensor;
the rate warms up over the first 6 % of the steps and then falls linearly to 0; gradients are clipped to norm 1.

Progress goes to stderr; the last line of stdout is one JSON object, with the keys of `offshoot train --json`.
Needs the packages of ../scripts/requirements-peft.txt.
"""
import time

STARTED = time.time()  # before the slow imports: they are a part of what a run costs

import argparse
import csv
import json
import math
import os
import random
import resource
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import peft
import torch

import sft
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

WEIGHT_DECAY = 0.01
WARM_UP = 0.06
CLIP = 1.0
EVALUATION_BATCH = 32
LAST_LOSSES = 10  # final_loss is their mean: the loss of one batch says little
# As the families name them.
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",
            "dropout", "attention_dropout", "seq_classif_dropout")
HEADS = ("classifier", "pre_classifier", "score")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", default="classification", choices=["classification", "sft"])
    parser.add_argument("--model", required=True, help="a folder in the Hugging Face layout")
    parser.add_argument("--data", required=True, help="CSV with a header; JSON or JSONL for sft")
    parser.add_argument("--test-data", help="the same; then --data is for training alone, in its order")
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--where", metavar="COLUMN=VALUE", help="keep the rows of --data whose column has the value")
    parser.add_argument("--method", default="lora", choices=[*ADAPTERS, "head", "full", "none"],
                        help="none: no training, only the test")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--adapter-layers", type=int, default=10, help="llama-adapter's, from the top")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--dtype", default="f32", choices=["f32", "bf16", "bf16-base", "amp"],
                        help="bf16-base: frozen weights and products, the adapter in f32; amp: bf16 products over f32")
    parser.add_argument("--train", type=int, default=2000, help="rows at most")
    parser.add_argument("--test", type=int, default=2000, help="rows at most; 0 for no test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-dropout", action="store_true")
    parser.add_argument("--save", metavar="DIR", help="write the adapter there")
    if parser.parse_known_args()[0].task == "sft":
        parser.set_defaults(**sft.DEFAULTS)
    return parser.parse_args()


# By peft's name of the task and the arguments.
ADAPTERS = {
    "lora": lambda t, a: peft.LoraConfig(task_type=t, r=a.rank, lora_alpha=2 * a.rank),
    "dora": lambda t, a: peft.LoraConfig(task_type=t, r=a.rank, lora_alpha=2 * a.rank, use_dora=True),
    "ia3": lambda t, a: peft.IA3Config(task_type=t),
    "prompt": lambda t, a: peft.PromptTuningConfig(task_type=t, num_virtual_tokens=a.tokens),
    "p-tuning": lambda t, a: peft.PromptEncoderConfig(
        task_type=t, num_virtual_tokens=a.tokens, encoder_hidden_size=128),
    "prefix": lambda t, a: peft.PrefixTuningConfig(task_type=t, num_virtual_tokens=a.tokens),
    "prefix-mlp": lambda t, a: peft.PrefixTuningConfig(
        task_type=t, num_virtual_tokens=a.tokens, prefix_projection=True, encoder_hidden_size=512),
    "llama-adapter": lambda t, a: peft.AdaptionPromptConfig(
        task_type=t, adapter_len=10, adapter_layers=a.adapter_layers),
}


def read(path, where=None):
    if path.endswith((".json", ".jsonl")):
        return sft.read(path)
    csv.field_size_limit(1 << 30)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if where:
        column, value = where.split("=", 1)
        rows = [row for row in rows if row[column] == value]
    return rows


def split(args):
    """The training and the test rows."""
    rows = read(args.data, args.where)
    if args.test_data:
        return rows[: args.train], read(args.test_data)[: args.test]
    random.Random(args.seed).shuffle(rows)
    return rows[args.test : args.test + args.train], rows[: args.test]


def encode(rows, args, tokenizer, labels):
    """(token ids, label's index) of each row."""
    texts = [row[args.text] for row in rows]
    if not texts:
        return []
    ids = tokenizer(texts, truncation=True, max_length=args.max_length)["input_ids"]
    return [(one, labels.index(row[args.label])) for one, row in zip(ids, rows)]


def batches(examples, size, collate, shuffler=None):
    """What `collate` makes of `size` examples at a time; in the order given, or a new one of the shuffler's."""
    order = list(range(len(examples)))
    if shuffler:
        shuffler.shuffle(order)
    for start in range(0, len(order), size):
        yield collate([examples[index] for index in order[start : start + size]])


def collate(part, pad):
    """ids [b, longest], mask [b, longest], labels [b]."""
    longest = max(len(ids) for ids, _ in part)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in part])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in part])
    return ids, mask, torch.tensor([label for _, label in part])


def make_base(args, labels):
    if args.task == "sft":
        return sft.make_base(args)
    config = AutoConfig.from_pretrained(args.model, num_labels=len(labels))
    for name in DROPOUTS:
        if args.no_dropout and getattr(config, name, None) is not None:
            setattr(config, name, 0.0)
    return AutoModelForSequenceClassification.from_pretrained(args.model, config=config, dtype=base_dtype(args))


def base_dtype(args):
    return torch.bfloat16 if args.dtype == "bf16-base" else torch.float32


def adapt(model, args):
    if args.method in ADAPTERS:
        task = "CAUSAL_LM" if args.task == "sft" else "SEQ_CLS"
        model = peft.get_peft_model(model, ADAPTERS[args.method](task, args))
    elif args.method != "full":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(args.method == "head" and name.startswith(HEADS))
    return model.to(torch.bfloat16) if args.dtype == "bf16" else model


def train(model, args, examples, collate):
    """Trains in place and returns what was measured."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    steps = args.epochs * math.ceil(len(examples) / args.batch)
    warm = max(1, int(WARM_UP * steps))
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=WEIGHT_DECAY)
    rate = lambda s: min((s + 1) / warm, max(0.0, (steps - s) / max(1, steps - warm)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    shuffler = random.Random(args.seed)
    losses, epoch_seconds, tokens, started = [], [], 0, time.time()
    model.train()
    for epoch in range(args.epochs):
        epoch_started = time.time()
        for ids, mask, labels in batches(examples, args.batch, collate, shuffler):
            with torch.autocast("cpu", torch.bfloat16, enabled=args.dtype == "amp"):
                loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            tokens += int(mask.sum())
            losses.append(loss.item())
        epoch_seconds.append(round(time.time() - epoch_started, 2))
        print(f"epoch {epoch + 1}: loss {mean(losses[-LAST_LOSSES:]):.4f}, {epoch_seconds[-1]} s", file=sys.stderr)
    seconds = time.time() - started
    return {"steps": steps, "tokens": tokens, "train_seconds": round(seconds, 2), "epoch_seconds": epoch_seconds,
            "tokens_per_second": round(tokens / seconds, 1), "startup_seconds": round(started - STARTED, 2),
            "final_loss": round(mean(losses[-LAST_LOSSES:]), 4)}


def work(examples, epochs):
    """What went through training, so that its cost can be counted: positions with a loss, and the sum of the rows'
    squared lengths, with which attention grows."""
    # A row's first position is no token's prediction.
    scored = lambda labels: 1 if isinstance(labels, int) else sum(label != sft.IGNORED for label in labels[1:])
    return {"labelled": epochs * sum(scored(labels) for _, labels in examples),
            "squared_lengths": epochs * sum(len(ids) ** 2 for ids, _ in examples)}


@torch.inference_mode()
def evaluate(model, examples, collate, classes):
    """accuracy, macro_f1 and the mean loss over the rows."""
    model.eval()
    confusion, loss = torch.zeros(classes, classes), 0.0
    for ids, mask, labels in batches(examples, EVALUATION_BATCH, collate):
        logits = model(input_ids=ids, attention_mask=mask).logits.float()
        loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        for label, said in zip(labels.tolist(), logits.argmax(-1).tolist()):
            confusion[label, said] += 1
    right = confusion.diagonal()
    f1 = 2 * right / (confusion.sum(0) + confusion.sum(1)).clamp(min=1)
    return {"accuracy": round(right.sum().item() / len(examples), 4), "macro_f1": round(f1.mean().item(), 4),
            "loss": round(loss / len(examples), 4)}


def mean(numbers):
    return sum(numbers) / len(numbers)


def peak_rss():
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main():
    args = arguments()
    args.base_dtype = base_dtype(args)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    train_rows, test_rows = split(args)
    labels = [] if args.task == "sft" else sorted({row[args.label] for row in train_rows + test_rows})
    model = adapt(make_base(args, labels), args)
    if args.task == "sft":
        training, testing = (sft.encode(rows, args, tokenizer) for rows in (train_rows, test_rows))
        pad = lambda part: sft.collate(part, sft.padding(tokenizer))
        test = lambda: sft.evaluate(model, batches(testing, args.batch, pad))
    else:
        training, testing = (encode(rows, args, tokenizer, labels) for rows in (train_rows, test_rows))
        pad = lambda part: collate(part, tokenizer.pad_token_id)
        test = lambda: evaluate(model, testing, pad, len(labels))
    parameters = list(model.parameters())
    report = {"tool": "transformers+peft", "method": args.method, "model": args.model, "task": args.task,
              "dtype": args.dtype, "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
              "total_parameters": sum(p.numel() for p in parameters), "train_rows": len(training),
              "test_rows": len(testing), "epochs": args.epochs, "learning_rate": args.lr, "seed": args.seed}
    if args.method != "none":
        report |= train(model, args, training, pad) | work(training, args.epochs)
        report["train_peak_rss_bytes"] = peak_rss()
    started = time.time()
    if testing:
        report["test"] = test()
    report |= {"evaluate_seconds": round(time.time() - started, 2), "peak_rss_bytes": peak_rss()}
    if args.save:
        model.save_pretrained(args.save)
    print(json.dumps(report))


if __name__ == "__main__":
    main()

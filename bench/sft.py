"""peer.py's other task: a language model tuned on instructions, with the loss on the answers alone."""
import json
import math

import torch
from transformers import AutoModelForCausalLM

DEFAULTS = {"batch": 4, "max_length": 512, "lr": 5e-4, "train": 900, "test": 99}
IGNORED = -100


def read(path):
    """Rows with instruction, output and sometimes input, of a JSON list or a JSON object a line."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()] if path.endswith(".jsonl") else json.load(file)


def encode(rows, args, tokenizer):
    """(token ids, labels) of each row: one user turn in the chat template, the template's opening of an answer, the
    answer and an end of sequence. A row whose prompt leaves no room for an answer is left out."""
    examples = []
    for row in rows:
        question = "\n".join(part for part in (row["instruction"], row.get("input")) if part)
        chat = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        answer = tokenizer(row["output"] + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        if len(prompt) < args.max_length:
            labels = [IGNORED] * len(prompt) + answer
            examples.append(((prompt + answer)[: args.max_length], labels[: args.max_length]))
    return examples


def padding(tokenizer):
    return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id


def collate(part, pad):
    """ids, mask and labels [b, longest]."""
    longest = max(len(ids) for ids, _ in part)
    fill = lambda values, value: values + [value] * (longest - len(values))
    ids, labels = ([fill(values, value) for values in column] for column, value in zip(zip(*part), (pad, IGNORED)))
    mask = [fill([1] * len(values), 0) for values, _ in part]
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(labels)


def make_base(args):
    return AutoModelForCausalLM.from_pretrained(args.model, dtype=args.base_dtype)


@torch.inference_mode()
def evaluate(model, batches):
    """The mean loss over the answers' tokens of all rows, its perplexity, and how many tokens that were."""
    model.eval()
    total = count = 0
    for ids, mask, labels in batches:
        # The first position is no token's prediction.
        scored = int((labels[:, 1:] != IGNORED).sum())
        total += model(input_ids=ids, attention_mask=mask, labels=labels).loss.item() * scored
        count += scored
    return {"loss": round(total / count, 4), "perplexity": round(math.exp(total / count), 3), "tokens": count}

#!/usr/bin/env python3
"""The rows of a benchmark: drawn from a public file by a fixed seed, every one of which both sides train on.

    rows.py reviews      movie_reviews.csv   OUT.csv  --rows 2000
    rows.py instructions alpaca_en_demo.json OUT.json --rows 900
    rows.py long         alpaca_en_demo.json OUT.json --rows 40

reviews: text and label of imdb's. instructions: as they are. long: the answers joined in texts that fill 512 tokens,
under one instruction. Rows that say the same are taken once, as `offshoot train` does. Standard library alone.
"""
import argparse
import csv
import json
import random
import sys

SEED = 0
LONG = 6000  # characters: about 1,300 tokens of English


def reviews(path):
    csv.field_size_limit(1 << 30)
    with open(path, newline="", encoding="utf-8") as file:
        rows = [(row["text"].strip(), row["label"]) for row in csv.DictReader(file) if row["source"] == "imdb"]
    labels = {}
    for text, label in rows:
        labels.setdefault(text, set()).add(label)
    # One text with two labels is no row to learn from.
    return [{"text": text, "label": found.pop()} for text, found in labels.items() if len(found) == 1]


def instructions(path):
    with open(path, encoding="utf-8") as file:
        rows = json.load(file)
    unique = {tuple(row.get(key, "").strip() for key in ("instruction", "input", "output")): row for row in rows}
    # A prompt without an answer, or the reverse, is refused by one side or the other.
    return [row for (instruction, _, output), row in unique.items() if instruction and output]


def long(path):
    rows, text = [], ""
    for row in instructions(path):
        text += row["output"].strip() + "\n\n"
        if len(text) >= LONG:
            rows.append({"instruction": f"Write text number {len(rows) + 1}.", "input": "", "output": text.strip()})
            text = ""
    return rows


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        if path.endswith(".csv"):
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        else:
            json.dump(rows, file, ensure_ascii=False, indent=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {"reviews": reviews, "instructions": instructions, "long": long}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("source")
    parser.add_argument("out")
    parser.add_argument("--rows", type=int, required=True)
    args = parser.parse_args()
    rows = kinds[args.kind](args.source)
    if len(rows) < args.rows:
        sys.exit(f"{args.source} gives {len(rows)} rows, not {args.rows}")
    random.Random(SEED).shuffle(rows)
    write(args.out, rows[: args.rows])


if __name__ == "__main__":
    main()

"""What the checks of generated text share: the files, and when two texts count as the same."""
import json

# Two programs that sum in another order part where two tokens are this close; logits differ by less than a hundredth of it.
TIE = 0.01


def add_arguments(parser):
    parser.add_argument("--prompts", required=True, help='JSONL: {"prompt": …}')
    parser.add_argument("--texts", required=True, help='JSONL: what offshoot put after each prompt, {"text": …}')
    parser.add_argument("--max-tokens", type=int, default=24)


def read(path, key):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line)[key] for line in file if line.strip()]


def compare(args, generate, generate_without, decode):
    """How many texts are the same, and what is wrong. The two generators make (tokens, gaps) of a prompt; `decode` makes text
    of tokens, without an end of sequence."""
    prompts, ours = read(args.prompts, "prompt"), read(args.texts, "text")
    if len(prompts) != len(ours):
        return "", [f"{args.prompts} has {len(prompts)} prompts and {args.texts} has {len(ours)} texts"]
    same = ties = changed = 0
    problems = []
    for prompt, mine in zip(prompts, ours):
        tokens, gaps = generate(prompt)
        theirs = decode(tokens)
        changed += theirs != decode(generate_without(prompt)[0])
        if mine == theirs:
            same += 1
        elif gaps[parting(mine, tokens, decode)] < TIE:
            ties += 1
        else:
            problems.append(f"{prompt!r}: offshoot says {mine!r}, the library {theirs!r}")
    if changed == 0:
        problems.append("the adapter changes none of the texts: they show nothing")
    return (f"{same} of {len(ours)} texts are the same, {ties} part at a tie; the adapter changes {changed}"), problems


def parting(mine, tokens, decode):
    """The index of the first token that is not in the other's text."""
    return next((i for i in range(len(tokens)) if not mine.startswith(decode(tokens[: i + 1]))), len(tokens) - 1)

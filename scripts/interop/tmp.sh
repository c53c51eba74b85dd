#!/usr/bin/env bash
# Tunes a language model with offshoot in several ways and shows that peft, and llama.cpp, give the same greedy texts.
#
#   language.sh PEFT_PYTHON LLAMA_PYTHON [METHOD...]
#
# The first is the interpreter of an environment with ../requirements-peft.txt, the second of one with llama-cpp-python.
# METHOD is lora, prefix, prompt, llama-adapter or gguf (a LoRA exported for llama.cpp); all of them by default.
# Needs `cargo xtask assets`. Everything it writes is under target/interop.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
peft=$1 llama=$2
shift 2
methods=("$@")
[ ${#methods[@]} -gt 0 ] || methods=(lora prefix prompt llama-adapter gguf)

cd "$(dirname "$0")/../.."
model=assets/SmolLM2-135M-Instruct.Q4_1.gguf data=assets/alpaca_en_demo.json out=target/interop tokens=24
mkdir -p "$out"
offshoot="${CARGO_TARGET_DIR:-target}/release/offshoot"

# The three calls of offshoot: METHOD FOLDER, ADAPTER TEXTS, ADAPTER FILE.
train() {
    local more=()
    [ "$1" != llama-adapter ] || more=(--set method.gate=scalar)
    "$offshoot" train "$data" --task language-model --model "$model" --method "$1" --train 60 --test 10 --max-length 256 --epochs 1 \
        --seed 0 --output "$2" "${more[@]}"
}
generate() {
    "$offshoot" generate --model "$model" --adapter "$1" --file "$out/prompts.jsonl" --max-tokens "$tokens" --greedy \
        --raw --json >"$2"
}
export_gguf() {
    "$offshoot" export "$1" --model "$model" --gguf "$2"
}

python3 - "$out/prompts.jsonl" <<'PYTHON'
import json, sys
with open(sys.argv[1], "w") as file:
    for prompt in json.load(open("scripts/reference/prompts.json")):
        print(json.dumps({"prompt": prompt}), file=file)
PYTHON
base="$out/SmolLM2-135M-Instruct-f32"
[ -d "$base" ] || "$peft" scripts/gguf_to_hf.py "$model" "$base" --dtype f32

failed=0
for method in "${methods[@]}"; do
    adapter="$out/lm-$method" texts="$out/lm-$method.jsonl"
    train "${method/gguf/lora}" "$adapter"
    generate "$adapter" "$texts"
    echo "== $method"
    if [ "$method" = gguf ]; then
        export_gguf "$adapter" "$out/lora.gguf"
        "$llama" scripts/interop/check_gguf.py --model "$model" --adapter "$out/lora.gguf" \
            --prompts "$out/prompts.jsonl" --texts "$texts" --max-tokens "$tokens" || failed=1
    else
        "$peft" scripts/interop/check_text.py --model "$base" --adapter "$adapter" \
            --prompts "$out/prompts.jsonl" --texts "$texts" --max-tokens "$tokens" || failed=1
    fi
done
exit $failed

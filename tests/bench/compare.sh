#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One fine-tuning step here and in torch, in turns on the same two cores; a Markdown table.
#   tests/bench/compare.sh [CORES [REPEAT [SHAPE]]]   TT_PYTHON: a Python with torch; on a quiet machine
# SHAPE minilm: an encoder of 6 layers, 384 wide, 8 sequences of 256 tokens; llama-110m: a decoder of
# 12 layers, 768 wide, 2 sequences of 512 tokens. Weights are random.
set -eu
cd "$(dirname "$0")/../.."
cores=${1:-0,1}
repeat=${2:-7}
shape=${3:-minilm}
python=${TT_PYTHON:-.venv/bin/python}
threads=$(tr , '\n' <<<"$cores" | wc -l)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/config.json" <<'JSON'
{"architectures": ["BertModel"], "model_type": "bert", "vocab_size": 30522, "hidden_size": 384,
 "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536,
 "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu", "pad_token_id": 0}
JSON
model=$work size="--batch 8 --seq 256"
[ "$shape" = llama-110m ] && model=tests/bench/llama-110m size="--batch 2 --seq 512"
export TT_DEVICE=${TT_DEVICE:-Portable Computing Language} POCL_MAX_PTHREAD_COUNT=$threads
field() { grep -oP "\"$2\": *\K[0-9.]+" <<<"$1" | head -n 1; }
echo "| method, keep | step | torch step | held for backward | torch held | planned in all |"
echo "|---|---|---|---|---|---|"
for method in full lora; do
    for keep in 0.1 0.3 1; do
        # shellcheck disable=SC2086 # two options each
        ours=$(taskset -c "$cores" build/tokentune bench step --model "$model" $size --keep $keep \
            --method $method --lora-rank 8 --repeat "$repeat" --json 2>/dev/null)
        # shellcheck disable=SC2086
        torch=$(taskset -c "$cores" "$python" tests/bench/torch_step.py --shape "$shape" $size \
            --keep $keep --method $method --threads "$threads" --repeat "$repeat")
        printf '| %s, %s | %.3f s | %.3f s | %.1f MB | %.1f MB | %.1f MB |\n' $method $keep \
            "$(field "$ours" step_s)" "$(field "$torch" step_s)" \
            "$(awk "BEGIN { print $(field "$ours" held_bytes) / 1e6 }")" \
            "$(awk "BEGIN { print $(field "$torch" held_bytes) / 1e6 }")" \
            "$(awk "BEGIN { print $(field "$ours" total) / 1e6 }")"
    done
done

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What models need, by method and share of tokens: Markdown tables.
#   tests/bench/memory.sh [plan|measure|all [CORES]]    TT_PYTHON: a Python with torch; on a quiet machine
# plan: 7 to 14 billion weights at 2048 tokens, from their config.json alone, in f32 and with every
#   setting at its smallest.
# measure: a Llama of 1.1 billion random weights, QLoRA, 512 and 2048 tokens, and what LoRA takes of
#   a PyTorch user (f32, torch has no 4-bit training on CPUs). A quarter of an hour on 2 cores.
set -eu
cd "$(dirname "$0")/../.."
what=${1:-all} cores=${2:-0,1}
python=${TT_PYTHON:-.venv/bin/python}
threads=$(tr , '\n' <<<"$cores" | wc -l)
export TT_DEVICE=${TT_DEVICE:-Portable Computing Language} POCL_MAX_PTHREAD_COUNT=$threads
field() { grep -oP "\"$2\": *\K[0-9.]+" <<<"$1" | head -n 1; }
total() { grep -oP "\"$2\": \{.*?\"total\": *\K[0-9]+" <<<"$1"; }
gib() { awk "BEGIN { printf \"%.2f\", $1 / 2^30 }"; }
mb() { awk "BEGIN { printf \"%.0f\", $1 / 1e6 }"; }

planned() { # MODEL METHOD KEEP OPTION...
    local model=$1 method=$2 keep=$3
    shift 3
    build/tokentune plan "tests/bench/$model" --no-device --seq 2048 --batch 1 --method "$method" \
        --keep "$keep" --json "$@" | grep -oP '"total_bytes": \K[0-9]+'
}
plan() {
    echo "| 1 x 2048 tokens | keep 1 | 0.3 | 0.1 | keep 1, smallest | 0.3 | 0.1 |"
    echo "|---|---|---|---|---|---|---|"
    for model in llama-2-7b llama-3.1-8b qwen3-14b; do
        for method in full lora qlora; do
            printf '| %s, %s |' $model $method
            for smallest in "" --smallest; do
                for keep in 1 0.3 0.1; do
                    # shellcheck disable=SC2086 # an option or none
                    printf ' %s GiB |' "$(gib "$(planned $model $method $keep $smallest)")"
                done
            done
            echo
        done
    done
}

ours() { # SEQ KEEP
    taskset -c "$cores" build/tokentune bench step --model tests/bench/llama-1.1b --batch 1 --seq "$1" \
        --keep "$2" --method qlora --repeat 1 --json 2>/dev/null
}
torch() { # SEQ KEEP
    taskset -c "$cores" "$python" tests/bench/torch_step.py --shape llama-1.1b --batch 1 --seq "$1" \
        --keep "$2" --method lora --threads "$threads" --repeat 1 2>/dev/null
}
measure() {
    local a b
    echo "| tokens, keep | step | held | planned | allocated | process | torch LoRA: step | held | process |"
    echo "|---|---|---|---|---|---|---|---|---|"
    ours 512 0.1 >/dev/null # products are measured and kernels compiled
    ours 2048 0.1 >/dev/null
    for seq in 512 2048; do
        for keep in 0.1 0.3 1; do
            a=$(ours $seq $keep)
            b=$(torch $seq $keep) || b=
            printf '| %s, %s | %.1f s | %s MB | %s MB | %s MB | %s MB |' $seq $keep "$(field "$a" step_s)" \
                "$(mb "$(field "$a" held_bytes)")" "$(mb "$(total "$a" planned_bytes)")" \
                "$(mb "$(total "$a" allocated_bytes)")" "$(mb "$(field "$a" process_peak_bytes)")"
            if [ -n "$b" ]; then
                printf ' %.1f s | %s MB | %s MB |\n' "$(field "$b" step_s)" \
                    "$(mb "$(field "$b" held_bytes)")" "$(mb "$(field "$b" peak_rss_bytes)")"
            else
                printf ' did not run | | |\n'
            fi
        done
    done
}

case $what in
plan) plan ;;
measure) measure ;;
all) plan && echo && measure ;;
*) sed -n '3,10s/^# \?//p' "$0" >&2 && exit 2 ;;
esac

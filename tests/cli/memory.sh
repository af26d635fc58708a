#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a QLoRA run takes of the machine's memory on PoCL, where device memory is the process's own:
# the plan and the runtime's floor, not a copy of anything besides; loading takes no more than
# training; nothing is allocated after the first step.
#
# The floor: what the same run of two narrow layers takes beyond its plan, which is the driver, LLVM
# and the kernels. Compiling them takes memory too: runs that do are held against one that does.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

llama() { # FOLDER WIDTH MLP LAYERS HEADS KV SHARDS
    cat >config.json <<JSON
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1024, "hidden_size": $2,
 "intermediate_size": $3, "num_hidden_layers": $4, "num_attention_heads": $5, "num_key_value_heads": $6,
 "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
 "bos_token_id": 0, "eos_token_id": 1}
JSON
    "$root/tests/bench/random_llama.sh" config.json "$1" "$7" "$root/samples/decoder"
}
llama large 1024 2816 10 16 4 2 # 129 million numbers, 258 MB of bf16
llama small 128 352 2 2 1 1
head -n 16 "$root/samples/data/instruct.test.jsonl" >eval.jsonl
cat >run.yaml <<YAML
task: causal
data:
  train: $root/samples/data/instruct.train.jsonl
  eval: eval.jsonl
  template: model
method:
  name: qlora
select:
  keep: 0.3
train:
  steps: 4
  batch: 6
  eval_every: 2
  save_every: 2
  log_every: 1
output:
  dir: run
YAML

# Trains MODEL; sets planned, loaded (the most until the first step), after (the last one), late
# (device allocations after the first step), and peak, of the whole process.
run() { # NAME MODEL [KEY=VALUE...]
    local name=$1 model=$2 status now pid
    shift 2
    rm -rf run
    TT_LOG=debug "$tt" train run.yaml "model.path=$model" "$@" >/dev/null 2>"$name.log" &
    pid=$! peak=0
    while now=$(awk '/VmHWM/ { print $2 * 1024 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
        peak=$now
        sleep 0.04
    done
    wait $pid
    status=$?
    read -r planned loaded after late < <(grep '^debug: memory: ' "$name.log" |
        grep -oP '\d+(?= bytes planned| at most when| in the end| device allocations)' | tr '\n' ' ')
    if [ $status != 0 ] || [ -z "${late:-}" ]; then fail "$name" "exit $status: $(tail -n 1 "$name.log")"; fi
}
mib() { echo $(($1 >> 20)); }
holds() { # NAME FLOOR
    local most=$(((planned + $2) * 105 / 100))
    echo "   $1: planned $(mib "$planned"), floor $(mib "$2"), process $(mib "$peak") MiB at most," \
        "$(mib "$loaded") when loaded, $(mib "$after") after the last step"
    if [ "$peak" -le $most ]; then ok "$1"; else fail "$1" "$peak bytes, at most $most expected"; fi
    if [ "$loaded" -le "$after" ]; then
        ok "$1: loading takes no more than training"
    else
        fail "$1: loading takes no more than training" "$loaded and $after bytes"
    fi
    if [ "$late" = 0 ]; then ok "$1: nothing is allocated after the first step"; else
        fail "$1: nothing is allocated after the first step" "$late device buffers"
    fi
}

# Each kernel in its first variant: measuring would compile them all, and choose others for small.
export TT_GEMM_TUNE=0
cache() { # NAME: where compiled kernels are
    mkdir -p "cache-$1/pocl"
    export TT_CACHE_DIR=$work/cache-$1 POCL_CACHE_DIR=$work/cache-$1/pocl
}
cache small
run "small, compiled" small
floor=$((peak - planned))
cache large
run "kernels compiled" large
holds "kernels compiled" $floor
cache small
run "small" small
floor=$((peak - planned))
cache large
run "kernels from the cache" large
holds "kernels from the cache" $floor
smallest="storage.weights=nf4 storage.head=nf4 storage.kept=bf16 storage.keys=q8 memory.recompute=block"
for name in "smallest, compiled" "every dial at its smallest"; do
    # shellcheck disable=SC2086 # several words
    run "$name" large $smallest train.optimizer=adamw8bit
done
holds "every dial at its smallest" $floor
finish

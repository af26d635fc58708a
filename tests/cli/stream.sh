#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Frozen layers in host memory: a run has the bits of one that holds them on the device, and fits a
# device that the quantised model does not fit.
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1
few=$work/few.jsonl
run="samples/instruct_lora.yaml train.steps=6 train.batch=6 train.log_every=1 train.save_every=3 data.max_len=64"
run+=" data.test=$few data.eval=$few"
head -n 24 samples/data/instruct.test.jsonl >"$few"

# --- the same bits, with an evaluation between the steps and a first pass over each batch ---
while read -r name arguments; do
    for stream in false true; do
        # shellcheck disable=SC2086 # several words
        check "$name, stream $stream" "$tt" train $run $arguments memory.stream=$stream \
            output.dir="$work/$name-$stream"
    done
    for file in metrics.jsonl final/adapter_model.safetensors; do
        check "$name: the same $file" cmp "$work/$name-false/$file" "$work/$name-true/$file"
    done
done <<'RUNS'
lora method.name=lora storage.weights=bf16
qlora method.name=qlora memory.recompute=block method.dropout=0.1
loss method.name=qlora select.policy=loss storage.keys=recompute
RUNS

# --- a model of many layers on a device that is smaller than it ---
cat >"$work/config.json" <<'JSON'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1024, "hidden_size": 256,
 "intermediate_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 4, "num_key_value_heads": 4,
 "hidden_act": "silu", "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
 "bos_token_id": 0, "eos_token_id": 1}
JSON
tests/bench/random_llama.sh "$work/config.json" "$work/deep" 1 samples/decoder
settings="--method qlora --batch 2 --seq 32 --keep 0.1 --smallest --lora-rank 1 --lora-targets q_proj"
number() { # KEY ARGUMENTS...
    local key=$1
    shift
    # shellcheck disable=SC2086
    "$tt" plan "$work/deep" $settings --json "$@" | grep -oP "\"$key\": \K\d+" | head -n 1
}
layers=$(number host_bytes --stream) whole=$(number total_bytes) streamed=$(number total_bytes --stream)
check "layers: $layers bytes; whole $whole, streamed $streamed" [ $((whole - streamed)) -gt $((layers * 3 / 4)) ]
check "the device is smaller than the layers" [ "$layers" -gt "$streamed" ]
small=$(((streamed + 65535) / 65536 * 64))K
small() { # COMMAND...: on a small device
    # shellcheck disable=SC2086
    TT_DEVICE_MEMORY=$small "$tt" "$@" $settings
}
# shellcheck disable=SC2086
refuses "whole on a small device" 1 'needs .*--stream would need' env TT_DEVICE_MEMORY=$small \
    "$tt" plan "$work/deep" $settings
check "streamed on a small device" small plan "$work/deep" --stream
small bench step --model "$work/deep" --stream --repeat 1 --json >"$work/step" 2>"$work/err"
check "a step on a small device" [ $? = 0 ]
same() { [ "$(grep -oP '"total": \K\d+' "$work/step" | sort -u | wc -l)" = 1 ]; }
check "what is planned is allocated" same
# buffers that hold no layer whole
TT_MAX_ALLOC=262144 check "with buffers of 256 KiB" small bench step --model "$work/deep" --stream --repeat 1

# --- refused ---
refuses "what trains is not streamed" 1 'only frozen layers' "$tt" train samples/instruct.yaml \
    memory.stream=true output.dir="$work/out"
refuses "nor planned so" 2 'only frozen layers' "$tt" plan samples/decoder --method full --stream
finish

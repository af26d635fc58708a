#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tokentune plan and memory limits: figures of models that no machine here holds, what a budget
# finds, what is told when nothing fits, and runs that obey a limit.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

llama() { # DIR HIDDEN FFN LAYERS HEADS KV VOCAB: config.json of a Llama and nothing else
    mkdir -p "$1"
    cat >"$1/config.json" <<JSON
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": $2,
 "intermediate_size": $3, "num_hidden_layers": $4, "num_attention_heads": $5,
 "num_key_value_heads": $6, "vocab_size": $7, "hidden_act": "silu", "rms_norm_eps": 1e-5,
 "max_position_embeddings": 4096, "tie_word_embeddings": false, "rope_theta": 10000.0,
 "bos_token_id": 1, "eos_token_id": 2}
JSON
}
llama seven 4096 11008 32 32 32 32000
llama one 2048 5632 22 32 4 32000

# field NAME: a number or word of the last plan; among its settings where it is one
field() {
    { grep -oP '"settings": \K\{[^}]*' plan.json; cat plan.json; } | grep -oP "\"$1\": \"?\K[^\",}]+" | head -n 1
}
plan() { # NAME EXIT ARGUMENTS...
    local name=$1 code=$2 got
    shift 2
    "$tt" plan "$@" --json >plan.json 2>plan.err
    got=$?
    if [ $got = "$code" ]; then ok "$name"; else fail "$name" "exit $got: $(head -n 1 plan.err)"; fi
}
is() { # FIELD VALUE
    if [ "$(field "$1")" = "$2" ]; then ok "$1 $2"; else fail "$1" "$(field "$1") instead of $2"; fi
}
most() { # NAME FIELD LIMIT
    local v
    v=$(field "$2")
    if [[ $v =~ ^[0-9]+$ ]] && [ "$v" -le "$3" ]; then ok "$1"; else fail "$1" "$2 is ${v:-nothing}, more than $3"; fi
}

# --- seven thousand million weights on a device that is not here ---
smallest="seven --device-memory 24G --seq 2048 --batch 1 --keep 0.1 --method qlora --smallest"
# shellcheck disable=SC2086 # several words
for vendors in "${OCL_ICD_VENDORS:-}" "$work/none"; do
    OCL_ICD_VENDORS=$vendors plan "every dial at its smallest${vendors##*/none}" 0 $smallest
    most "below 4.9 GiB" total_bytes 5261334937
done
is fits true
is device_memory 25769803776
for dial in method=qlora weights=nf4 head=nf4 kept=bf16 keys=q8 recompute=block optimizer=adamw8bit \
    keep=0.1 seq=2048 batch=1 stream=false double_quant=true lora_rank=8; do
    is ${dial%=*} ${dial#*=}
done
sum=$(grep -oP '"by_category": \{\K[^}]+' plan.json | tr ',' '\n' |
    awk '$1 != "\"total\":" { s += $2 } END { printf "%.0f", s }')
if [ "$sum" = "$(field total_bytes)" ]; then ok "categories add up"; else fail "categories" "$sum"; fi
# shellcheck disable=SC2086
plan "16-bit keys" 0 $smallest --keys bf16
most "below 5.4 GiB" total_bytes 5798205849
# shellcheck disable=SC2086
plan "buffers of 256 MiB" 0 $smallest --max-alloc 256M
is max_alloc 268435456
plan "all of it in f32" 1 seven --device-memory 24G --seq 2048 --batch 1 --keep 0.1
is fits false
if [ "$(wc -l <plan.err)" = 1 ] && grep -q 'would need' plan.err; then
    ok "one line says what would fit"
else
    fail "what would fit" "$(cat plan.err)"
fi

# --- a budget ---
plan "the largest keep" 0 one --no-device --memory 1100M --method qlora --seq 2048 --batch 2
best=$(field keep)
most "within the budget" total_bytes $((1100 << 20))
if [ "$(grep -o '"chosen": true' plan.json | wc -l)" = 1 ]; then ok "a table"; else fail "a table" "not one row"; fi
dials="--method qlora --recompute block --kept bf16 --keys $(field keys)"
more=$(awk -v k="$best" 'BEGIN { print k + 0.002 }')
# shellcheck disable=SC2086
plan "the next larger does not fit" 1 one --no-device --device-memory 1100M --seq 2048 --batch 2 \
    --keep "$more" $dials
plan "the longest text" 0 one --no-device --memory 4G --method qlora --keep 0.3 --batch 1
long=$(field seq)
plan "the largest batch" 0 one --no-device --memory 4G --method qlora --keep 0.3 --seq 512
batch=$(field batch)
if [ "$long" -gt 256 ] && [ "$batch" -gt 1 ]; then ok "sizes grow"; else fail "sizes grow" "$long, $batch"; fi
is keep 0.3
plan "settings alone" 0 one --no-device --memory 6G --method lora --keep 0.3 --seq 1024 --batch 2
is recompute none
fast=$(field relative_time)
plan "with less" 0 one --no-device --memory 2700M --method lora --keep 0.3 --seq 1024 --batch 2
is weights bf16
if awk -v a="$fast" -v b="$(field relative_time)" 'BEGIN { exit !(b >= a) }'; then
    ok "less memory is not faster"
else
    fail "less memory" "$(field relative_time) after $fast"
fi
plan "what was given stays" 1 one --no-device --memory 2700M --method lora --keep 1 --seq 2048 --batch 8 \
    --recompute none --kept f32
plan "a time without a device" 0 one --device-memory 8G --method qlora --gflops 1000
if [ "$(field time_s)" != null ]; then ok "time"; else fail "time" "none"; fi
check "the table for people" "$tt" plan one --no-device --memory 2G --method qlora
if grep -q '<-' .out; then ok "marks the chosen row"; else fail "the chosen row" "$(tail -n 1 .out)"; fi

# --- what a block holds for the backward pass, by the formula ---
# Of S rows with gradient among T of width d: four values of width d and two of the MLP's f, keys and
# values (width e) of all T; with the MLP computed again four of width d; and in f32 one number a row
# for each norm, one a row and head for the attention. S: first and last token, a share of the others.
llama four 512 1280 4 8 2 1000
llama five 512 1280 5 8 2 1000
held() { # MODEL ARGUMENTS...
    "$tt" plan "$@" --no-device --batch 4 --seq 256 --json | grep -oP '"held_bytes": \K\d+'
}
while read -r S bytes inner arguments; do
    # shellcheck disable=SC2086
    got=$(($(held five $arguments) - $(held four $arguments)))
    want=$((bytes * (S * (4 * 512 + inner * 1280) + 2 * 1024 * 128) + 4 * S * (2 + 8)))
    if [ $got = $want ]; then ok "$arguments"; else fail "$arguments" "$got bytes a block, not $want"; fi
done <<'RUNS'
1024 4 2 --keep 1
1024 4 0 --keep 1 --recompute mlp
1024 2 2 --keep 1 --kept bf16
264 4 2 --keep 0.25
264 4 0 --keep 0.25 --recompute mlp
264 2 2 --keep 0.25 --kept f16
264 2 0 --keep 0.25 --kept bf16 --recompute mlp
64 4 2 --keep 16
128 4 0 --keep 32 --recompute mlp
RUNS

# --- wrong words ---
refuses "an unknown type" 2 'kept' "$tt" plan one --kept q8
refuses "quantised weights that train" 2 'method' "$tt" plan one --weights nf4
refuses "no size" 2 'memory' "$tt" plan one --memory lots
refuses "more than the smallest" 1 'smallest|would need' "$tt" plan one --no-device --memory 10M

# --- runs ---
export TT_LOG=quiet
model model
texts train.tsv 24 1
config run.yaml 'method:' '  name: lora' '  rank: 2'
total() { grep -oP '"total": \K[0-9]+' "$1"; }
"$tt" train run.yaml --dry-run >dry.json 2>log || fail "dry run" "$(tail -n 1 log)"
limit=$(($(total dry.json) * 85 / 100))
go() { "$tt" train run.yaml "$@" >log 2>&1; }
check "a run within a limit" go --memory $limit output.dir=a
if grep -q '^within .*: memory.recompute=' log; then ok "settings are told"; else fail "settings" "$(head -n 2 log)"; fi
go --memory $limit output.dir=b && rm -rf b/final b/checkpoint-12
check "resumes with the settings found" go output.dir=b --resume
check "to the same bits" cmp a/final/adapter_model.safetensors b/final/adapter_model.safetensors
refuses "a limit that nothing keeps" 1 'memory\.limit.*would need' "$tt" train run.yaml --memory 100K
refuses "memory that runs out" 1 'failed by request.*needs .*would need' env TT_FAIL_DEVICE_ALLOC=6 "$tt" train run.yaml
for what in storage.kept=bf16 storage.keys=q8 memory.recompute=block storage.weights=bf16 method.name=qlora \
    train.optimizer=adamw8bit; do
    check "a run with $what" go output.dir=out $what train.steps=3
    rm -rf out
done
finish

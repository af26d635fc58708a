#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs with weights, gradients, kept values and moments in every type: they learn, a run that is
# killed and resumed ends in the same files, and what they write is read by the other commands.
# Quantised folders: written, trained on, and refused when damaged.
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1
# Each kernel in its first variant: measuring would compile them all.
export TT_LOG=quiet TT_GEMM_TUNE=0
short="train.steps=12 train.batch=6 train.log_every=1 train.save_every=4"
dec="samples/instruct.yaml $short data.max_len=64 data.test=$work/few.jsonl"
enc="samples/fewshot.yaml model.path=samples/encoder $short data.test=$work/few.tsv train.lr=1e-3"
head -n 24 samples/data/instruct.test.jsonl >"$work/few.jsonl"
head -n 41 samples/data/support.test.tsv >"$work/few.tsv"

# learns NAME DIR: every loss is a number, and that of the test data falls.
learns() {
    local why
    why=$(grep -v '"loss": [0-9.e+-]*,' "$2/metrics.jsonl" | grep -v test_loss | head -n 1)
    [ -z "$why" ] && why=$(grep -oP '"test_loss": \K[^,]+' "$2/metrics.jsonl" |
        awk 'NR == 1 { a = $1 } { b = $1 } END { if (!(b < a)) print "from " a " to " b }')
    if [ -z "$why" ]; then ok "$1 learns"; else fail "$1 learns" "$why"; fi
}
# run NAME LINES BASE ARGUMENTS...: a whole run into $work/NAME; another one, killed when it has
# logged so many lines and resumed, must leave the same files, its checkpoints included.
run() {
    local name=$1 lines=$2 pid
    shift 2
    if ! "$tt" train "$@" output.dir="$work/$name" >"$work/log" 2>&1; then
        fail "$name" "$(tail -n 1 "$work/log")"
        return
    fi
    learns "$name" "$work/$name"
    "$tt" train "$@" output.dir="$work/killed" >"$work/log" 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        [ -f "$work/killed/metrics.jsonl" ] && [ "$(wc -l <"$work/killed/metrics.jsonl")" -ge "$lines" ] && break
        sleep 0.01
    done
    kill -KILL $pid 2>/dev/null && cut_short=$((cut_short + 1))
    wait $pid 2>/dev/null
    "$tt" train "$@" output.dir="$work/killed" --resume >"$work/log" 2>&1
    check "$name, killed and resumed" diff -r "$work/$name" "$work/killed"
    rm -rf "$work/killed"
}

# --- every type, method and optimizer ---
small="storage.kept=bf16 storage.keys=q8 memory.recompute=block"
cut_short=0 n=0
while read -r name base arguments; do
    n=$((n + 1))
    [ "$base" = dec ] && base=$dec || base=$enc
    # shellcheck disable=SC2086 # several words
    run "$name" $((2 + n * 5 % 11)) $base ${arguments/small-values/$small}
done <<'RUNS'
bf16 dec storage.weights=bf16
f16 dec storage.weights=f16 storage.gradients=f16 train.lr=1e-3
lora-f16 dec method.name=lora storage.weights=f16 storage.head=q8 train.lr=1e-3
lora-q8 dec method.name=lora storage.weights=q8 storage.head=nf4 train.lr=1e-3
qlora dec method.name=qlora train.lr=1e-3 storage.head=f32
qlora-plain dec method.name=qlora storage.double_quant=false method.targets=all-linear method.dropout=0.1 train.lr=2e-3
kept-f16 dec storage.kept=f16 storage.keys=recompute memory.recompute=mlp
kept-bf16 dec storage.kept=bf16 storage.keys=q8 memory.recompute=block train.accumulate=2
smallest dec method.name=qlora storage.head=q8 small-values train.optimizer=adamw8bit method.dropout=0.1 train.lr=2e-3
adamw8bit dec train.optimizer=adamw8bit storage.gradients=bf16
sgd dec train.optimizer=sgd train.lr=0.1 storage.gradients=f16
lion dec train.optimizer=lion train.lr=2e-4 storage.weights=bf16
adafactor dec train.optimizer=adafactor train.lr=1e-3
two-pass dec method.name=qlora select.policy=loss storage.kept=bf16 train.lr=1e-3
limit dec method.name=lora memory.limit=4800K train.lr=1e-3
e-bf16 enc storage.weights=bf16 storage.head=f16 train.optimizer=adafactor
e-qlora enc method.name=qlora method.rank=4 storage.head=q8 train.optimizer=lion
e-f16 enc storage.gradients=f16 storage.kept=f16 train.optimizer=adamw8bit
e-block enc memory.recompute=block storage.keys=q8 train.optimizer=sgd train.lr=0.05
RUNS
check "runs were really cut short" [ $cut_short -ge 12 ]

# Rounding of the types, without double quantisation too, moves what an untrained model says by
# little: a layout that is misread would not.
before() { grep -oP '"test_loss": \K[^,]+' "$work/$1/metrics.jsonl" | head -n 1; }
near() { # NAME RUN RUN SHARE
    if awk -v a="$(before "$2")" -v b="$(before "$3")" -v t="$4" \
        'BEGIN { d = a - b; exit !(d * d <= t * t * b * b) }'; then
        ok "$1"
    else
        fail "$1" "$(before "$2") beside $(before "$3")"
    fi
}
near "bf16 rounds little" bf16 sgd 0.002
near "q8 rounds little" lora-q8 sgd 0.03
near "nf4 rounds little" qlora sgd 0.05
near "double quantisation rounds less" qlora-plain qlora 0.005

# --- what was written is read ---
types() { # FILE: of its tensors
    head -c "$((8 + $(od -An -tu8 -N8 "$1")))" "$1" | tail -c +9 |
        grep -oP '"dtype": ?"\K[A-Z0-9]+' | sort -u | tr '\n' ' '
}
is() { # NAME GOT WANTED
    if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "$2 instead of $3"; fi
}
is "types of a bf16 model" "$(types "$work/bf16/final/model.safetensors")" "BF16 F32 "
is "types of an f16 model" "$(types "$work/f16/final/model.safetensors")" "F16 F32 "
check "config.json names bf16" grep -q '"torch_dtype": *"bfloat16"' "$work/bf16/final/config.json"
check "config.json names f16" grep -q '"torch_dtype": *"float16"' "$work/f16/final/config.json"
number() { grep -oP "\"$1\": \K[0-9.e+-]+" | head -n 1; }
loss() { "$tt" eval --json "$@" 2>"$work/log" | number loss; }
for model in bf16 f16 adafactor; do
    got=$(loss "$work/$model/final" "$work/few.jsonl")
    want=$(tail -n 1 "$work/$model/metrics.jsonl" | number test_loss)
    check "eval of $model" awk -v a="$got" -v b="$want" 'BEGIN { d = a - b; exit !(a > 0 && d * d < 1e-10 * b * b) }'
    check "generate with $model" "$tt" generate --model "$work/$model/final" --prompt "Name the" --max-new 4
done
for adapter in qlora-plain smallest; do
    check "generate with $adapter" "$tt" generate --adapter "$work/$adapter/final" --prompt "Name the" --max-new 4
    check "merge of $adapter" "$tt" merge --adapter "$work/$adapter/final" --out "$work/merged" --dtype bf16 --check
    is "types of $adapter, merged" "$(types "$work/merged/model.safetensors")" "BF16 "
    rm -rf "$work/merged"
done
check "predict with e-qlora" "$tt" predict "$work/e-qlora/final" "$work/few.tsv"
check "predict with e-bf16" "$tt" predict "$work/e-bf16/final" "$work/few.tsv"

# --- quantised folders ---
for to in nf4 q8 bf16; do
    check "quantise to $to" "$tt" quantise samples/decoder --to $to --output "$work/of-$to"
    got=$(loss "$work/of-$to" "$work/few.jsonl")
    check "eval of $to" awk -v a="$got" 'BEGIN { exit !(a > 1 && a < 12) }'
    check "generate with $to" "$tt" generate --model "$work/of-$to" --prompt "Name the" --max-new 4
    check "plan of $to" "$tt" plan "$work/of-$to" --method lora --seq 32
done
# What is quantised when it is loaded and what was quantised before are one model.
# shellcheck disable=SC2086
"$tt" train $dec method.name=lora model.path="$work/of-nf4" storage.head=f32 train.lr=1e-3 \
    output.dir="$work/stored" >"$work/log" 2>&1 || fail "training on nf4" "$(tail -n 1 "$work/log")"
check "training on nf4 is training in nf4" cmp "$work/qlora/metrics.jsonl" "$work/stored/metrics.jsonl"
check "and gives the same adapter" cmp "$work"/{qlora,stored}/final/adapter_model.safetensors
# A quantised folder is scored in what it takes in its file: in f32 it would need 2.6 MiB more.
check "eval of nf4 within its bytes" env TT_DEVICE_MEMORY=6800K "$tt" eval --json "$work/of-nf4" "$work/few.jsonl"

# damage NAME PATTERN SED: a copy with a part of its file replaced by one of the same length.
damage() {
    local name=$1 pattern=$2
    rm -rf "$work/bad" && cp -r "$work/of-nf4" "$work/bad"
    LC_ALL=C sed -i "$3" "$work/bad/model.safetensors"
    refused "$name" "$pattern"
}
refused() { # NAME PATTERN: of $work/bad, by every command that reads weights
    refuses "$1: eval" 1 "$2" "$tt" eval "$work/bad" "$work/few.jsonl"
    refuses "$1: generate" 1 "$2" "$tt" generate --model "$work/bad" --prompt a
    refuses "$1: quantise" 1 "$2" "$tt" quantise "$work/bad" --to bf16 --output "$work/out"
    # shellcheck disable=SC2086
    refuses "$1: train" 1 "$2" "$tt" train $dec method.name=lora model.path="$work/bad" output.dir="$work/out"
}
damage "no scales" 'absmax' 's/1\.self_attn\.k_proj\.weight\.absmax/1.self_attn.k_proj.weight.abzmax/'
damage "no table" 'quant_map' 's/1\.self_attn\.k_proj\.weight\.quant_map/1.self_attn.k_proj.weight.quant_mup/'
damage "another block" 'blocksize' 's/"blocksize": 64/"blocksize": 63/'
damage "another type" 'quant_type' 's/"quant_type": "nf4"/"quant_type": "fp4"/'
damage "state is no JSON" 'JSON' 's/{"quant_type"/["quant_type"/'
at=$(head -c "$((8 + $(od -An -tu8 -N8 "$work/of-nf4/model.safetensors")))" "$work/of-nf4/model.safetensors" |
    grep -aoP '1.mlp.up_proj.weight.nested_absmax"[^[]*"shape": ?\[\d+\], ?"data_offsets": ?\[\K\d+')
rm -rf "$work/bad" && cp -r "$work/of-nf4" "$work/bad"
printf '\377\377\377\377' | dd of="$work/bad/model.safetensors" bs=1 conv=notrunc status=none \
    seek="$((8 + $(od -An -tu8 -N8 "$work/of-nf4/model.safetensors") + ${at:-0}))"
refused "scales that are no numbers" 'nested_absmax.*nan'
head -c 300000 "$work/of-nf4/model.safetensors" >"$work/bad/model.safetensors"
refused "cut short" 'cut short'

# put FILE TENSOR BYTES: into the tensor's first number.
put() {
    local head at
    head=$((8 + $(od -An -tu8 -N8 "$1")))
    at=$(head -c $head "$1" | grep -aoP "\"$2\"[^[]*\"shape\": ?\[[\d, ]+\], ?\"data_offsets\": ?\[\K\d+")
    # shellcheck disable=SC2059 # the bytes are the format
    printf "$3" | dd of="$1" bs=1 conv=notrunc status=none seek=$((head + at))
}
rm -rf "$work/bad" && cp -r samples/decoder "$work/bad"
put "$work/bad/model.safetensors" model.norm.weight '\377\377\377\377'
refuses "NaN in what is copied as it is" 1 'model\.norm\.weight.*nan' "$tt" quantise "$work/bad" --output "$work/out"

# --- what is there is not lost ---
quantise() { "$tt" quantise "$@" --to q8; }
check "quantise over a quantised folder" quantise "$work/of-nf4" --output "$work/of-q8"
mkdir -p "$work/holder" && cp samples/decoder/{config.json,model.safetensors} "$work/holder"
cp -r samples/decoder "$work/holder/base"
refuses "the model lies in the output" 1 'is read from it' "$tt" quantise "$work/holder/base" --output "$work/holder"
refuses "so does the adapter" 1 'is read from it' "$tt" merge --adapter "$work/qlora/final" --out "$work/qlora"
refuses "other files in the output" 1 'base, which would be lost' "$tt" quantise samples/decoder --output "$work/holder"
check "they are still there" cmp samples/decoder/model.safetensors "$work/holder/base/model.safetensors"
mkdir "$work/parts" && cp samples/decoder/tokenizer.json "$work/parts"
refuses "a part of a model in the output" 1 'something else than a model' "$tt" quantise samples/decoder \
    --output "$work/parts"
mkdir "$work/of-q8.part-999999999" # of a process that was killed
check "a killed process's folder goes" quantise "$work/of-nf4" --output "$work/of-q8"
check "and is gone" [ ! -e "$work/of-q8.part-999999999" ]
small() { (ulimit -f 8 && quantise "$work/of-nf4" --output "$work/narrow" && exit 1) || [ $? = 1 ]; }
check "files that may not grow" small
check "leave nothing" [ -z "$(find "$work" -maxdepth 1 -name 'narrow*')" ]

# --- a loss that is no number is not an overflow of f16 ---
rm -rf "$work/bad" && cp -r samples/decoder "$work/bad"
put "$work/bad/model.safetensors" model.layers.0.input_layernorm.weight '\346\261\141\177' # 3e38
# shellcheck disable=SC2086
"$tt" train $dec model.path="$work/bad" storage.gradients=f16 output.dir="$work/out" >"$work/log" 2>&1
is "a loss that is no number" "$?, $(tail -n 1 "$work/log" | grep -o 'no finite number')" "1, no finite number"
check "leaves no model" [ ! -e "$work/out/final" ]
finish

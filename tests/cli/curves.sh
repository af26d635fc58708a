#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bf16 storage, 8-bit AdamW and QLoRA learn as f32 does: the sample runs, cut short, of three seeds.
# A seed draws the order of the data, the selected tokens and what is new in a model; a variant and
# f32 with one seed see the same batches.
#
#   curve     the training loss, at every step the mean of the last ten
#   distance  the mean over steps and seeds of |curve of the variant - curve of f32, same seed|
#   noise     of f32 between seeds: of curves their mean distance, of what is tested at the end (loss;
#             right: accuracy, or the share of instructions answered word for word) the standard
#             deviation sd
#
# Within noise are a distance below that of f32's own curves, and means over the seeds of loss and of
# right within two sd of f32's means (or the floors below, where f32's three happen to lie close).
# Half the learning rate must be found outside each time, by distance and loss: the test can fail.
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1
# Each kernel in its first variant: what is measured fastest, and so how sums are rounded, may differ.
export TT_LOG=quiet TT_GEMM_TUNE=0
seeds="1 2 3"
loss_floor=0.02 right_floor=0.01

number() { grep -oP "\"$1\": \K[0-9.e+-]+" | tail -n 1; } # the last one
mean() { awk '{ s += $1 } END { print s / NR }'; }
sd() { awk '{ s += $1; q += $1 * $1 } END { v = (q - s * s / NR) / (NR - 1); print (v > 0 ? sqrt(v) : 0) }'; }
of() { for seed in $seeds; do cat "$work/$1-$seed/$2"; done; } # NAME loss|right
distance() { # DIR DIR
    paste "$1/curve" "$2/curve" | awk '{ d = $1 - $2; s += d < 0 ? -d : d } END { print s / NR }'
}
row() {
    local name=$1
    shift
    printf '   %-15s' "$name"
    for v in "$@"; do [ "$v" ] && printf ' %8.4f' "$v" || printf ' %8s' ''; done
    echo
}

# run NAME ARGUMENTS...: leaves curve, loss and right of every seed in $work/NAME-SEED.
run() {
    local name=$1 seed dir
    shift
    for seed in $seeds; do
        dir=$work/$name-$seed
        if ! "$tt" train "$@" train.seed="$seed" train.log_every=1 output.dir="$dir" >"$work/log" 2>&1; then
            fail "$name, seed $seed" "$(tail -n 1 "$work/log")"
            return 1
        fi
        grep -v test_loss "$dir/metrics.jsonl" | grep -oP '"loss": \K[^,]+' |
            awk '{ s += $1 - x[NR % 10]; x[NR % 10] = $1 } NR >= 10 { print s / 10 }' >"$dir/curve"
        number test_loss <"$dir/metrics.jsonl" >"$dir/loss"
        if grep -q test_accuracy "$dir/metrics.jsonl"; then
            number test_accuracy <"$dir/metrics.jsonl" >"$dir/right"
        else
            "$tt" eval --json --task exact "$dir/final" samples/data/instruct.test.jsonl 2>"$work/log" |
                number exact_match >"$dir/right"
        fi
        rm -rf "$dir/final" "$dir"/checkpoint-*
    done
}

# reference NAME ARGUMENTS...: f32, which the variants that follow are held against.
reference() {
    local a b
    run "$@" || return
    ref=$1
    loss=$(of "$ref" loss | mean) loss_sd=$(of "$ref" loss | sd)
    right=$(of "$ref" right | mean) right_sd=$(of "$ref" right | sd)
    noise=$(for a in $seeds; do
        for b in $seeds; do [ "$a" -lt "$b" ] && distance "$work/$ref-$a" "$work/$ref-$b"; done
    done | mean)
    row "$ref" "$loss" "$loss_sd" "$right" "$right_sd" '' "$noise"
}

# compare NAME ARGUMENTS...: trains and prints a variant; sets outside, what is not within noise.
compare() {
    local name=$1 far l r
    run "$@" || return
    l=$(of "$name" loss | mean) r=$(of "$name" right | mean)
    far=$(for seed in $seeds; do distance "$work/$name-$seed" "$work/$ref-$seed"; done | mean)
    row "$name" "$l" "$(of "$name" loss | sd)" "$r" "$(of "$name" right | sd)" "$far"
    outside=$(awk -v far="$far" -v noise="$noise" -v l="$l" -v loss="$loss" -v lsd="$loss_sd" -v lf=$loss_floor \
        -v r="$r" -v right="$right" -v rsd="$right_sd" -v rf=$right_floor '
        function away(a, b, sd, least) { d = a < b ? b - a : a - b; return !(d <= (2 * sd > least ? 2 * sd : least)) }
        BEGIN { if (!(far < noise)) printf "distance "; if (away(l, loss, lsd, lf)) printf "loss "
                if (away(r, right, rsd, rf)) printf "right " }')
}
within() {
    compare "$@" || return
    if [ -z "$outside" ]; then ok "$1 is within noise"; else fail "$1 is within noise" "not its $outside"; fi
}
without() {
    compare "$@" || return
    case $outside in
    *distance*loss*) ok "$1 is found outside" ;;
    *) fail "$1 is found outside" "only its $outside" ;;
    esac
}

# shellcheck disable=SC2086 # several words
all() {
    local base bf16="storage.weights=bf16 storage.kept=bf16" b8=train.optimizer=adamw8bit
    printf '   %-15s %8s %8s %8s %8s %8s %8s\n' run loss sd right sd distance noise
    base="samples/instruct.yaml train.steps=120"
    reference "full" $base
    within "full bf16" $base $bf16
    within "full 8-bit" $base $b8
    without "full lr/2" $base train.lr=2.5e-4
    base="samples/instruct_lora.yaml train.steps=120"
    reference "lora" $base
    within "lora bf16" $base $bf16
    within "lora 8-bit" $base $b8
    within "qlora" $base method.name=qlora
    within "qlora all" $base method.name=qlora storage.kept=bf16 $b8
    without "lora lr/2" $base train.lr=1e-3
    base="samples/fewshot.yaml model.path=samples/encoder train.steps=80"
    reference "fewshot" $base train.lr=1e-3
    within "fewshot bf16" $base train.lr=1e-3 $bf16
    within "fewshot 8-bit" $base train.lr=1e-3 $b8
    without "fewshot lr/2" $base train.lr=5e-4
}
all
finish

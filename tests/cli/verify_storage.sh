#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Parity cases with storage in other types than f32, within what the types explain; over quantised
# weights as over the same weights widened; and that those tolerances still see a fault.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
cases=$root/tests/cases
verify() { TT_LOG=quiet "$tt" verify --gemm tile "$@"; }
# measure JSON-LINES: cases that passed, and the worst error as a share of its tolerance.
measure() {
    awk '{ e = $0; sub(/.*"error": /, "", e); t = $0; sub(/.*"tolerance": /, "", t)
           if (/"pass": true/) { n++; if (e / t > worst) worst = e / t } }
         END { printf "%d %.2f\n", n, worst }' "$1"
}
# agree FLAGS CASE...: all of the cases with these flags; one line of the table.
agree() {
    local flags=$1 passed_now worst
    shift
    # shellcheck disable=SC2086 # flags are separate words
    (cd "$cases" && verify --json $flags "$@") >log 2>err
    read -r passed_now worst < <(measure log)
    printf '   %-62s %2d cases, worst error %s of its tolerance\n' "$flags" "$passed_now" "$worst"
    if [ "$passed_now" = $# ]; then
        ok "$flags"
    else
        fail "$flags" "$passed_now of $# agree: $(grep -v '"pass": true' log | head -n 1) $(head -n 1 err)"
    fi
}

# --- every type: each model family is in some line ---
agree "--weights bf16" bert-cls-full-k30 roberta-small-mean llama-gqa-full-k10 gemma3-full-k30 \
    qwen2-lora-all-k30 nf4-gpt2-k30
agree "--weights f16" bert-regress-full-k30 distilbert-small-lora llama-cls-full-k30 gemma2-full-k30 \
    gpt2-full-k30
lora="bert-cls-lora-k30 distilbert-small-lora roberta-small-lora llama-lora-mlp-k30 phi3-lora-k30 qwen2-lora-all-k30"
dequantised="nf4-bert-cls-k30 nf4-gpt2-k30 nf4-llama-odd-k30 nf4-qwen2-all-k30 nf4-cut-k30"
# shellcheck disable=SC2086 # lists of cases
{
    agree "--weights q8" $lora
    agree "--weights nf4" $lora
    agree "--weights nf4 --double-quant false" $lora
    agree "--weights f32" $dequantised # what torch computes over nf4's numbers, at f32's tolerances
    agree "--head q8" $lora
    agree "--head nf4" $lora
}
agree "--head bf16" bert-small-relu roberta-small-mean llama-tied-full-k30 gemma3-full-k30 phi3-lora-k30
agree "--head f16" bert-small-shards distilbert-cls-full-k30 llama-full-all gpt2-full-k30 nf4-llama-odd-k30
agree "--kept bf16" bert-cls-full-all distilbert-cls-full-k30 gpt2-full-k30 qwen3-full-k30 gemma3-full-k30
agree "--kept f16" bert-cls-full-all roberta-cls-full-k30 llama-yarn-rope-k30 gemma2-full-k30 phi3-lora-k30
agree "--keys bf16" bert-mean-full-k30 llama-gqa-full-k10 mistral-window-full-k30 gemma3-full-k30 \
    qwen2-lora-all-k30
agree "--keys f16" bert-small-silu llama3-rope-full-k30 mistral-window-full-k30 qwen3-full-k30 gpt2-full-k30
agree "--keys q8" bert-cls-full-k30 llama-cls-full-k30 mistral-window-full-k30 gemma3-full-k30 \
    nf4-qwen2-all-k30
agree "--keys recompute" bert-cls-full-k30 distilbert-small-lora gpt2-full-k30 gemma2-full-k30 \
    mistral-window-full-k30
agree "--recompute mlp" bert-small-gelu-new roberta-small-lora gpt2-full-k30 qwen3-full-k30 phi3-lora-k30
agree "--recompute block" bert-mean-full-k30 distilbert-cls-full-k30 gpt2-full-k30 gemma3-full-k30 \
    nf4-qwen2-all-k30
agree "--gradients bf16" bert-tiny-h20 roberta-small-mean llama-tied-full-k30 gemma2-full-k30 qwen3-full-k30
agree "--gradients f16" bert-cls-full-all distilbert-cls-full-k30 gpt2-full-k30 llama-full-all \
    mistral-window-full-k30
agree "--weights bf16 --head bf16 --kept bf16 --keys q8 --gradients bf16 --recompute block" \
    bert-cls-full-k30 roberta-small-mean gpt2-full-k30 gemma3-full-k30 mistral-window-full-k30
# shellcheck disable=SC2086
agree "--weights nf4 --head q8 --kept bf16 --keys q8 --recompute block" $lora

# --- over quantised weights as over their numbers in f32, and as where they are rounded on loading ---
for name in $lora; do
    for type in "nf4 true" "nf4 false --no-double-quant" q8; do
        read -r to nested flat <<<"$type"
        rm -rf q && cp -r "$cases/$name" q && chmod -R u+w q && rm -r q/model q/expected.safetensors
        # shellcheck disable=SC2086 # no word where it is empty
        if ! TT_LOG=quiet "$tt" quantise "$cases/$name/model" --output q/model --to "$to" $flat >/dev/null; then
            fail "$name over $type" "quantise failed"
            continue
        fi
        verify --weights "$to" --double-quant "${nested:-true}" --write q/expected.safetensors "$cases/$name" >log &&
            verify q >>log && verify --weights f32 q >>log
        if [ $? = 0 ] && [ "$(grep -c '^ok  *q .* of .*e-0[345]$' log)" = 2 ]; then
            ok "$name over $type"
        else
            fail "$name over $type" "$(grep -v '^[0-9]' log | cut -c 1-150 | tail -n 1)"
        fi
    done
done

# --- a fault is seen ---
# fault NAME FLAGS CASE FILE SED
fault() {
    rm -rf q && cp -r "$cases/$3" q && chmod -R u+w q && sed -i -E "$5" "q/$4"
    # shellcheck disable=SC2086 # flags are separate words
    if cmp -s "q/$4" "$cases/$3/$4"; then
        fail "$1, $2" "changes nothing"
    elif ! verify $2 "$cases/$3" >log 2>&1; then
        fail "$1, $2" "without it: $(head -n 1 log)"
    elif verify $2 q >log 2>&1 || ! grep -q '^FAIL .*error' log; then
        fail "$1, $2" "$(head -n 1 log)"
    else
        ok "$1, $2"
    fi
}
for flags in "--weights f16" "--weights bf16" "--weights q8" "--head f16" "--head q8" "--kept f16" "--kept bf16" \
    "--keys q8" "--weights q8 --head q8 --kept bf16 --keys q8"; do
    fault "a tenth too much of the adapters" "$flags" llama-lora-mlp-k30 adapter/adapter_config.json \
        's/("lora_alpha": *)8/\18.8/'
done
for flags in "--weights nf4" "--head nf4" "--weights nf4 --head q8 --kept bf16 --keys q8"; do
    fault "gradients of nothing" "$flags" llama-lora-mlp-k30 adapter/adapter_config.json \
        's/("lora_alpha": *)8/\11e-9/'
    fault "parameters that stay" "$flags" llama-lora-mlp-k30 case.json 's/("lr": *)0.01/\11e-9/'
done
for flags in "--gradients f16" "--gradients bf16"; do
    fault "updates a tenth too large" "$flags" bert-small-relu case.json 's/("lr": *)0.01/\10.011/'
done

# --- what a case cannot have is told, not passed ---
skips() { # NAME PATTERN ARGUMENT...
    local name=$1 pattern=$2
    shift 2
    verify "$@" >log 2>err
    if [ $? = 0 ] && grep -qP "^skip .*$pattern" log && grep -qx '0 passed, 0 failed, 1 skipped' log; then
        ok "$name"
    else
        fail "$name" "$(head -n 2 log | tr '\n' '|') $(head -n 1 err)"
    fi
}
skips "quantised weights that train" 'do not train' --weights nf4 "$cases/bert-tiny-h20"
skips "a quantised head that trains" 'do not train' --head q8 "$cases/bert-tiny-h20"
skips "weights that are quantised" 'nf4 already' --weights q8 "$cases/nf4-cut-k30"
verify --json --weights nf4 "$cases/bert-tiny-h20" | grep -q '"pass": false, "skipped": true' &&
    ok "skipped in JSON" || fail "skipped in JSON" "no"
refuses "a type that is none" 2 '--weights f33' "$tt" verify --weights f33 "$cases/bert-tiny-h20"
refuses "q8 kept" 2 '--kept q8' "$tt" verify --kept q8 "$cases/bert-tiny-h20"
refuses "values of two cases" 2 '--write' "$tt" verify --write out "$cases/bert-tiny-h20" "$cases/nf4-cut-k30"
verify --write nowhere/values "$cases/bert-tiny-h20" >log
[ $? = 1 ] && grep -q '^FAIL .*nowhere' log && ok "values nowhere" || fail "values nowhere" "$(head -n 1 log)"
finish

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A parity case that expects anything else than what the model does must fail, whatever it is.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
source=$root/tests/cases/bert-tiny-h20
fresh() { rm -rf case && cp -r "$source" case && chmod -R u+w case; }
# fails NAME PATTERN: exit code 1 and one line of a failure that fits.
fails() {
    "$tt" verify --gemm tile case >log 2>err
    local code=$?
    if [ $code = 1 ] && [ "$(wc -l <err)" -le 1 ] && grep -qP -e "^FAIL .*$2" log; then
        ok "$1"
    else
        fail "$1" "exit $code: $(head -n 1 log) $(head -n 1 err)"
    fi
}

# --- expected.safetensors ---
e=case/expected.safetensors
data=$((8 + $(od -An -t u8 -N 8 "$source/expected.safetensors")))
offset() { # NAME: where in the file the tensor begins
    echo $((data + $(head -c $data "$source/expected.safetensors" | tail -c +9 |
        grep -oP "\"$1\":\{[^}]*\"data_offsets\":\[\K[0-9]+")))
}
put() { printf "$2" | dd of=$e bs=1 seek="$1" conv=notrunc status=none; }
k=encoder.layer.0.attention.self
for name in loss logits losses3 grad.classifier.weight "grad.bert.$k.query.weight" \
    grad.bert.embeddings.word_embeddings.weight after3.bert.embeddings.LayerNorm.bias \
    "after3.bert.$k.value.weight" after3.classifier.bias; do
    fresh
    put "$(offset "$name")" '\x00\x00\xc0\x7f'
    fails "NaN first in $name" "$name"
    fresh
    put "$(offset "$name")" '\x00\x00\x80\x7f'
    fails "infinite first in $name" "$name"
    fresh
    put "$(offset "$name")" '\x00\x00\x40\x40'
    fails "3 first in $name" "$name.*error"
    fresh
    sed -i "s/\"$name\"/\"#${name#?}\"/" $e # the header keeps its length
    fails "no $name" "$name"
done
for name in grad after3; do # the number of tensors grows with one that the model lacks
    fresh
    sed -i "s/\"$name\.classifier\.weight\"/\"$name.classifier.weighs\"/" $e
    fails "an unknown tensor $name" 'weigh'
done

# --- case.json ---
change() { # NAME PATTERN SED
    fresh
    tr -d '\n ' <"$source/case.json" | sed -E "$3" >case/case.json
    if cmp -s <(tr -d '\n ' <"$source/case.json") case/case.json; then
        fail "$1" "changes nothing"
    else
        fails "$1" "$2"
    fi
}
for task in classify classify: classify:0 classify:-1 classify:x classify:7x classify-foo:7 guess; do
    change "task $task" 'task.*not supported' "s/\"task\":\"classify:7\"/\"task\":\"$task\"/"
done
change "unknown pooling" 'case\.json.*pooling' 's/"pooling":"cls"/"pooling":"max"/'
change "unknown method" 'case\.json.*method' 's/"method":"full"/"method":"half"/'
change "unknown optimizer" 'case\.json.*optimizer' 's/"adamw"/"sgd"/'
change "betas no numbers" 'case\.json.*betas' 's/"betas":\[[^]]*\]/"betas":["a","b"]/'
change "one beta" 'case\.json.*betas' 's/"betas":\[[^]]*\]/"betas":[0.9]/'
change "steps 0" 'case\.json.*steps' 's/"steps":3/"steps":0/'
change "tolerance below 0" 'case\.json.*tolerance' 's/"grad":0.0002/"grad":-1/'
change "selected far outside" 'case\.json.*selected' 's/"selected":\[\[0/"selected":[[1000000/'
change "selected below 0" 'case\.json.*selected' 's/"selected":\[\[0/"selected":[[-1/'
change "position 0 not selected" 'position 0' 's/"selected":\[\[0/"selected":[[1/'
change "nothing selected" 'selected' 's/"selected":\[\[[^]]*\]/"selected":[[]/'
change "token outside the vocabulary" 'token id' 's/"input_ids":\[\[[0-9]+/"input_ids":[[40/'
change "token below 0" 'token id' 's/"input_ids":\[\[[0-9]+/"input_ids":[[-1/'
change "no tokens" 'sequence 0|selected' 's/"input_ids":\[\[[^]]*\]/"input_ids":[[]/'
change "a sequence missing" 'selected|labels' 's/"input_ids":\[\[[^]]*\],/"input_ids":[/'
change "label of no class" 'label' 's/"labels":\[[0-9]+/"labels":[7/'
change "label not whole" 'labels' 's/"labels":\[[0-9]+/"labels":[0.5/'
change "label huge" 'labels' 's/"labels":\[[0-9]+/"labels":[1e300/'
finish

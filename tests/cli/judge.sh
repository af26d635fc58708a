#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tokentune merge, eval of decoders and fidelity: what they print and what they refuse.
. "$(dirname "$0")/lib.sh"
export TT_LOG=quiet
t=$root/tests
lora=$t/cases/llama-lora-mlp-k30
cd "$work" || exit 1
# has NAME PATTERN COMMAND...: it succeeds and prints what fits.
has() {
    local name=$1 pattern=$2
    shift 2
    if "$@" >.out 2>.err && grep -qP -e "$pattern" .out; then
        ok "$name"
    else
        fail "$name" "$(cat .out .err | tail -n 2)"
    fi
}

has "merge" '"error": [0-9.e-]+, "tolerance": 0.0001' \
    "$tt" merge --model "$lora/model" --adapter "$lora/adapter" --out merged --check
has "merge, replaced" '"tolerance": 0.01' \
    "$tt" merge --model "$lora/model" --adapter "$lora/adapter" --out merged --dtype f16 --check
rm -rf merged
refuses "merge: no adapter" 1 'adapter_config.json' "$tt" merge --adapter "$lora/model" --out out
refuses "merge: another base" 1 'is \[' "$tt" merge --model "$t/eval/llama" --adapter "$lora/adapter" --out out
refuses "merge: no layers" 1 'match no linear layer' \
    "$tt" merge --model "$t/eval/gpt2" --adapter "$lora/adapter" --out out
refuses "merge: prompts without a tokenizer" 1 'no tokenizer' \
    "$tt" merge --model "$lora/model" --adapter "$lora/adapter" --out out --check "a prompt"
refuses "merge: prompts without --check" 2 'for --check' \
    "$tt" merge --model "$lora/model" --adapter "$lora/adapter" --out out "a prompt"
refuses "merge: dtype" 1 'f32, f16 or bf16' \
    "$tt" merge --model "$lora/model" --adapter "$lora/adapter" --out out --dtype int8
refuses "merge: into its base" 1 'is read from' \
    "$tt" merge --model "$lora/model" --adapter "$lora/adapter" --out "$lora/model"
refuses "merge: without --out" 2 'expected --adapter' "$tt" merge --adapter "$lora/adapter"

has "eval: ARC" '"task": "arc".*"questions": 7, "shots": 2, "acc": ' \
    "$tt" eval "$t/eval/llama" "$t/eval/arc.jsonl" --json --shots 2 \
    --train "$t/eval/arc.train.jsonl" --limit 7 --samples each.jsonl
[ "$(wc -l <each.jsonl)" = 7 ] && ok "eval: a line for each" || fail "eval: a line for each" "$(wc -l <each.jsonl)"
has "eval: text" '"word_perplexity": ' "$tt" eval "$t/eval/gpt2" "$t/eval/text.jsonl" --json
printf '{"instruction": "Say it", "output": "it"}\n' >instruct.jsonl
has "eval: answers" '"task": "answers".*"samples": 1' "$tt" eval "$t/eval/gpt2" instruct.jsonl --json
# Each kind has memory of its own: what came before does not show.
turns=("$t/eval/arc.jsonl" instruct.jsonl "$t/eval/text.jsonl" "$t/eval/arc.jsonl")
for f in "${turns[@]}"; do "$tt" eval "$t/eval/gpt2" "$f" --json; done >alone 2>.err
"$tt" eval "$t/eval/gpt2" "${turns[@]}" --json >together 2>.err
check "eval: kinds in turns" cmp alone together
check "eval: a line for each of them" [ "$(wc -l <together)" = 4 ]
has "eval: help of decoders" '--shots N' "$tt" eval "$t/eval/gpt2" --help
printf '{"a": 1}\n' >odd.jsonl
refuses "eval: other keys" 1 'odd.jsonl:1: .*no known questions' "$tt" eval "$t/eval/gpt2" odd.jsonl
: >nothing.jsonl
refuses "eval: an empty file" 1 'nothing.jsonl: no text' "$tt" eval "$t/eval/gpt2" nothing.jsonl
refuses "eval: shots without a file" 2 'needs --train' "$tt" eval "$t/eval/gpt2" "$t/eval/arc.jsonl" --shots 1
refuses "eval: too few examples" 1 '5 examples, 9 are asked' \
    "$tt" eval "$t/eval/gpt2" "$t/eval/arc.jsonl" --shots 9 --train "$t/eval/arc.train.jsonl"
refuses "eval: task" 1 'expected auto, mmlu' "$tt" eval "$t/eval/gpt2" "$t/eval/arc.jsonl" --task trivia
refuses "eval: shape of another task" 1 'endings: missing|ctx' \
    "$tt" eval "$t/eval/gpt2" "$t/eval/arc.jsonl" --task hellaswag

printf 'text\tlabel\nthe lamp\ta\nriver and stone\tb\n' >two.tsv
has "fidelity" '"policy": "random", "keep": 0.5.*"cosine": .*"block 0": ' \
    "$tt" fidelity --model "$root/samples/encoder" --data two.tsv --keep 0.5 --batches 1 --batch 2 --json
has "fidelity: a table" '^loss +0.5 ' \
    "$tt" fidelity --model "$t/eval/llama" instruct.jsonl --keep 0.5 --policy prefix,loss --batches 1 --batch 1
refuses "fidelity: keep" 1 'a share up to 1' "$tt" fidelity --model "$t/eval/llama" instruct.jsonl --keep 1.5
refuses "fidelity: policy" 1 'random, prefix' "$tt" fidelity --model "$t/eval/llama" instruct.jsonl --policy best
refuses "fidelity: model" 2 'expected --model' "$tt" fidelity instruct.jsonl
refuses "fidelity: data" 2 'expected DATA' "$tt" fidelity --model "$t/eval/llama"
finish

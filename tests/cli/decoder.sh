#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The sample decoder learns to follow instructions: what it answers before and after.
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1
export TT_LOG=quiet

# accuracy MODEL: on multiple-choice questions, in hundredths.
accuracy() {
    "$tt" eval "$@" samples/data/choices.jsonl 2>"$work/log" | awk '$1 == "acc" { print int($2 * 100 + .5) }'
}
# answer NAME PATTERN PROMPT ARGUMENTS...: what is generated is the pattern.
answer() {
    local name=$1 pattern=$2 prompt=$3 got
    shift 3
    got=$("$tt" generate "$@" --template model --max-new 20 --prompt "$prompt" 2>"$work/log")
    if [[ $got =~ ^\ ?$pattern$ ]]; then ok "$name"; else fail "$name" "\"$got\" $(tail -n 1 "$work/log")"; fi
}
within() { # NAME NUMBER FROM TO
    if [ "${2:--1}" -ge "$3" ] && [ "$2" -le "$4" ]; then
        ok "$1"
    else
        fail "$1" "${2:-nothing}, not within $3 and $4: $(tail -n 1 "$work/log")"
    fi
}

within "the decoder as it is guesses" "$(accuracy samples/decoder)" 10 45
for how in instruct instruct_lora; do
    "$tt" train samples/$how.yaml output.dir="$work/$how" train.epochs=4 train.lr=1e-3 select.keep=0.5 \
        >"$work/log" 2>&1 || fail "train $how" "$(tail -n 1 "$work/log")"
done
within "tuned, it knows" "$(accuracy "$work/instruct/final")" 75 100
within "tuned by adapters, it knows" "$(accuracy "$work/instruct_lora/final")" 75 100
# exact MODEL: answers of the first 40 instructions that are right word for word.
exact() { "$tt" eval --task exact --limit 40 "$1" samples/data/instruct.test.jsonl 2>"$work/log" |
    awk '$1 == "equal" { print $2 }'; }
within "the decoder as it is answers nothing" "$(exact samples/decoder)" 0 0
within "tuned, it answers" "$(exact "$work/instruct/final")" 20 40
within "tuned by adapters, it answers" "$(exact "$work/instruct_lora/final")" 20 40
answer "an answer" "dog" "Name the pet of Moritz." --model "$work/instruct/final"
answer "an answer by adapters" "dog" "Name the pet of Moritz." --adapter "$work/instruct_lora/final"
finish

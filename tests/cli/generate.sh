#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tokentune generate: the tokens of transformers, batches, streams, chat, and what it refuses.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
export TT_LOG=quiet
cp -r "$root/tests/generate/text" model && chmod -R u+w model
gen() { "$tt" generate --model model "$@"; }
# same NAME FILE FILE
same() { if cmp -s "$2" "$3"; then ok "$1"; else fail "$1" "$(diff "$2" "$3" | head -n 4 | tr '\n' '|')"; fi; }

# --- against transformers ---
gen --prompt "the cat" --prompt "say yes or" --prompt "Grüße 日本, what is" --prompt "" \
    --max-new 24 --json >all.jsonl
[ "$(wc -l <all.jsonl)" = 4 ] && ok "a line each" || fail "a line each" "$(wc -l <all.jsonl)"
while read -r line; do
    ids=$(printf '%s' "$line" | sed 's/.*"ids": \(\[[^]]*\]\)}/\1/')
    grep -qF "$ids" model/expected.json && ok "greedy tokens" || fail "greedy tokens" "$ids"
done <all.jsonl

# --- several at once, from files, as a stream ---
printf 'the cat\nsay yes or\nGrüße 日本, what is\n\n' >prompts.txt
for batch in 1 2 8; do
    gen --file prompts.txt --max-new 24 --json --batch $batch >by$batch.jsonl
    same "batches of $batch" all.jsonl by$batch.jsonl
done
gen --max-new 24 --json <prompts.txt >in.jsonl
same "prompts from standard input" all.jsonl in.jsonl
printf '{"prompt": "the cat"}\n{"prompt": "say yes or", "more": 1}\n' >two.jsonl
gen --file two.jsonl --max-new 24 --json >two.out
head -n 2 all.jsonl >two.want
same "prompts from JSON lines" two.want two.out
gen --prompt "the cat" --max-new 24 >plain.txt
gen --file prompts.txt --max-new 24 --batch 3 >many.txt
head -n 1 many.txt >first.txt
same "text of several" plain.txt first.txt
iconv -f UTF-8 -t UTF-8 many.txt >/dev/null 2>&1 && ok "whole characters" || fail "whole characters" "not UTF-8"

# --- draws ---
draw() { gen --file prompts.txt --max-new 24 --json --temperature 1.2 --top-k 30 "$@"; }
draw --seed 5 >a.jsonl
draw --seed 5 --batch 1 >b.jsonl
draw --seed 6 >c.jsonl
same "the same seed, another batch" a.jsonl b.jsonl
cmp -s a.jsonl c.jsonl && fail "another seed" "the same draws" || ok "another seed"
gen --file prompts.txt --max-new 24 --json --top-k 1 >one.jsonl
same "the most probable one of one" all.jsonl one.jsonl

# --- ends ---
word=$(sed -n '1s/.*"text": "\([^"]*\)".*/\1/p' all.jsonl | grep -o '[a-z]*' | sed -n 3p)
gen --prompt "the cat" --max-new 24 --json --stop nosuchtext --stop "$word" >stop.jsonl
grep -qF "\"end\": \"stop\", \"stop\": \"$word\"" stop.jsonl && ok "stop string" ||
    fail "stop string" "$(cut -c 1-200 stop.jsonl)"
grep -o '"text": "[^"]*"' stop.jsonl | grep -qF "$word" && fail "stop string is left out" "$word" ||
    ok "stop string is left out"

# --- conversations and templates ---
gen --template model --prompt "what is the cat" --max-new 20 | sed 's/^ *//' >asked.txt
printf 'what is the cat\nand the dog\n' | gen --chat --max-new 20 >chat.txt
head -c "$(wc -c <asked.txt)" chat.txt >turn.txt
same "a question is a conversation's first" asked.txt turn.txt
check "a system message" gen --template chatml --system "say no" --prompt "the dog" --max-new 4
yes 'the cat sat on the mat' | head -n 12 | gen --chat --max-new 8 >long.txt 2>long.err &&
    ok "a conversation longer than the context" ||
    fail "a conversation longer than the context" "$(tail -n 1 long.err)"

# --- adapters ---
cp -r "$root/tests/generate/lora" base && chmod -R u+w base
cp model/tokenizer*.json base/
sed -i 's/"base_model_name_or_path": null/"base_model_name_or_path": "base"/' base/adapter/adapter_config.json
adapted() { "$tt" generate --prompt "" --max-new 12 --json "$@"; }
adapted --model base --adapter base/adapter >with.jsonl
adapted --adapter base/adapter >named.jsonl
adapted --model base/adapter >alone.jsonl
adapted --model base >without.jsonl
same "the base that the adapter names" with.jsonl named.jsonl
same "an adapter as the model" with.jsonl alone.jsonl
cmp -s with.jsonl without.jsonl && fail "an adapter matters" "the same text" || ok "an adapter matters"

# --- what it refuses ---
no() { refuses "$1" "$2" "$3" "$tt" generate "${@:4}"; }
long=$(printf 'cat %.0s' {1..200})
no "no model" 2 '--model' --prompt x
no "no such model" 1 'nowhere' --model nowhere --prompt x
no "no such adapter" 1 'nowhere' --model model --adapter nowhere --prompt x
cp -r base/adapter lost && sed -i 's/"base"/"gone"/' lost/adapter_config.json
no "a base that is not there" 1 'gone.*--model' --adapter lost --prompt x
cp -r "$root/tests/generate/qwen3" other && cp model/tokenizer*.json other/
no "an adapter of another base" 1 'lora_[AB]' --model other --adapter base/adapter --prompt x
no "a classifier" 1 'labels, not tokens' --model "$root/tests/cases/bert-tiny-h20/model" --prompt x
no "no tokenizer" 1 'tokenizer' --model "$root/tests/generate/llama" --prompt x
no "a prompt longer than the context" 1 'context is 96' --model model --prompt "$long"
no "more new tokens than fit" 1 'has room for' --model model --prompt "the cat" --max-new 95
no "no new tokens" 2 'max-new' --model model --prompt x --max-new 0
no "temperature below 0" 1 'temperature' --model model --prompt x --temperature -0.5
no "top-p over 1" 1 'top-p' --model model --prompt x --top-p 1.5
no "a part of a token" 1 'top-k' --model model --prompt x --top-k 2.5
no "min-p 1" 1 'min-p' --model model --prompt x --min-p 1
no "repetition penalty 0" 1 'repetition' --model model --prompt x --repetition-penalty 0
no "a word for a number" 2 'expected a number' --model model --prompt x --top-p much
no "unknown template" 1 'zebra.*alpaca' --model model --prompt x --template zebra
no "chat with prompts" 2 '--prompt' --model model --chat --prompt x
no "a system message for nobody" 2 '--template' --model model --system x --prompt x
no "no such file" 1 'nowhere' --model model --file nowhere
: >empty.txt
no "an empty file" 1 'no prompts' --model model --file empty.txt
printf '{"prompt": 3}\n' >bad.jsonl
no "a prompt that is no text" 1 'bad\.jsonl:1.*prompt' --model model --file bad.jsonl
printf '{"prompt": "a"}\n{"text": "b"}\n' >bad.jsonl
no "a line without a prompt" 1 'bad\.jsonl:2.*prompt' --model model --file bad.jsonl
cp -r model nobos && sed -i '/bos_token/d' nobos/tokenizer_config.json
sed -i 's/"<s> \$A"/"$A"/; /"post_processor"/,/^  },/c\  "post_processor": null,' nobos/tokenizer.json
no "an empty prompt without a begin mark" 1 'prompt 1.*empty.*begin mark' --model nobos --prompt ""
cp -r model small && sed -i 's/"vocab_size": 384/"vocab_size": 96/' small/config.json
no "weights of another vocabulary" 1 'embed_tokens.*96|384' --model small --prompt x
"$tt" generate --model model --prompt "the cat" >/dev/full 2>full.err
[ $? = 1 ] && grep -q 'standard output' full.err && ok "a full disk" || fail "a full disk" "$(cat full.err)"
finish

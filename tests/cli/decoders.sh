#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs that train decoders: against a loop in torch, twice, killed and resumed, by every policy, and
# what is refused.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
export TT_LOG=quiet

decoder() { # DIR [CASE]: a decoder of the parity cases whose tokens are letters
    rm -rf "$1" && cp -r "$root/tests/cases/${2:-llama-full-all}/model" "$1" && chmod -R u+w "$1"
    cp "$root"/tests/ref/letters/* "$1"
}
instructions() { # FILE COUNT SEED
    awk -v n="$2" -v seed="$3" 'BEGIN {
        srand(seed)
        for (i = 0; i < n; i++) {
            w = ""
            for (k = 2 + int(rand() * 5); k > 0; k--) w = w substr("abcd", 1 + int(rand() * 4), 1)
            up = rand() < .5
            printf "{\"instruction\": \"%s\", \"input\": \"%s\", \"output\": \"%s\"}\n",
                up ? "upper" : "copy", w, up ? toupper(w) : w
        }
    }' >"$1"
}
decoder model
instructions train.jsonl 64 1
instructions test.jsonl 16 2
cat >run.yaml <<YAML
task: causal
model:
  path: model
data:
  train: train.jsonl
  template: "{user}\n{assistant}{eos}"
select:
  keep: 0.5
train:
  steps: 10
  batch: 8
  lr: 3e-3
  log_every: 1
output:
  dir: out
YAML
go() { "$tt" train run.yaml "$@" >log 2>&1 || fail "train $*" "exit $?: $(tail -n 1 log)"; }
# The loss and the gradient's norm of each step of DIR.
losses() { sed -n 's/.*"loss": \([0-9.e+-]*\), .*"grad_norm": \([0-9.e+-]*\)}/\1 \2/p' "$1/metrics.jsonl"; }
# near NAME FILE DIR TOLERANCE: the losses of a run are those of FILE.
near() {
    if losses "$3" | paste -d ' ' "$2" - | awk -v tol="$4" '
        function off(a, b) { return a > b ? (a - b) / b : (b - a) / b }
        NF != 4 || off($3, $1) > tol || off($4, $2) > tol { bad = 1 }
        END { exit bad || NR < 10 }'; then ok "$1"; else fail "$1" "$(losses "$3" | tail -n 1)"; fi
}
same() { # NAME DIR DIR
    if diff -r "$2/final" "$3/final" >.diff 2>&1 && cmp "$2/metrics.jsonl" "$3/metrics.jsonl" >>.diff 2>&1; then
        ok "$1"
    else
        fail "$1" "$(head -n 2 .diff)"
    fi
}

# --- the numbers of torch ---
whole="data.train=$root/tests/ref/causal_run.jsonl train.schedule=constant select.keep=1"
# shellcheck disable=SC2086 # several words
go output.dir=torch $whole
near "ten steps are those of torch" "$root/tests/ref/causal_run.txt" torch 1e-4
# shellcheck disable=SC2086
go output.dir=parts $whole train.batch=2 train.accumulate=4
near "four batches of two are one of eight" "$root/tests/ref/causal_run.txt" parts 1e-4

# --- policies ---
for policy in random prefix stratified loss; do
    go output.dir=a_$policy select.policy=$policy
    go output.dir=b_$policy select.policy=$policy
    same "two runs by $policy" a_$policy b_$policy
    losses a_$policy >want
    go output.dir=c_$policy select.policy=$policy train.batch=2 train.accumulate=4
    [ $policy = prefix ] || near "accumulated by $policy" want c_$policy 1e-4
done
check "policies choose differently" [ "$(cat a_*/metrics.jsonl | sort | uniq -c | awk '$1 > 1' | wc -l)" = 0 ]
go output.dir=shares select.policy=stratified select.keep_prompt=0.1 select.keep_answer=1
if cmp -s shares/metrics.jsonl a_stratified/metrics.jsonl; then
    fail "shares of their own" "change nothing"
else
    ok "shares of their own"
fi

# --- what is written ---
decoder tied llama-tied-full-k30
go output.dir=t model.path=tied
check "tied weights are written once" [ "$(head -c 4000 t/final/model.safetensors | grep -c lm_head)" = 0 ]
check "how to generate is copied" cmp tied/generation_config.json t/final/generation_config.json
check "the tokenizer is copied" cmp tied/tokenizer.json t/final/tokenizer.json
check "the template is told" grep -q '"template": "{user}' t/final/tokentune.json
lora="method.name=lora method.rank=4"
# shellcheck disable=SC2086
go output.dir=l1 $lora
check "an adapter of the MLP" grep -q '"gate_proj"' l1/final/adapter_config.json
check "for a causal model" grep -q '"CAUSAL_LM"' l1/final/adapter_config.json
# shellcheck disable=SC2086
go output.dir=l2 $lora method.targets=all-linear method.rslora=true
check "all linear layers" grep -q '"all-linear"' l2/final/adapter_config.json
check "rank-stabilised" grep -q '"use_rslora": true' l2/final/adapter_config.json
# shellcheck disable=SC2086
go output.dir=l3 $lora method.adapter=l2/final data.eval=test.jsonl
# shellcheck disable=SC2086
go output.dir=l4 $lora data.eval=test.jsonl
first=$(grep -m 1 -o '"eval_loss": [0-9.]*' l3/metrics.jsonl | cut -d' ' -f2)
fresh=$(grep -m 1 -o '"eval_loss": [0-9.]*' l4/metrics.jsonl | cut -d' ' -f2)
check "an adapter is continued" awk "BEGIN { exit !($first < $fresh - 0.01) }"

# --- killed and resumed ---
killed() { # NAME KEY=VALUE...
    local name=$1 began took pid share
    shift
    rm -rf whole killed
    began=$(date +%s%N)
    go output.dir=whole train.steps=80 train.save_every=5 data.eval=test.jsonl train.eval_every=20 "$@"
    took=$(($(date +%s%N) - began))
    for share in 0.4 0.7 0.9; do
        "$tt" train run.yaml output.dir=killed train.steps=80 train.save_every=5 data.eval=test.jsonl \
            train.eval_every=20 "$@" --resume >log 2>&1 &
        pid=$!
        sleep "$(awk -v t=$took -v s=$share 'BEGIN { print t * s / 1e9 }')"
        kill -KILL $pid 2>/dev/null && cut_short=$((cut_short + 1))
        wait $pid 2>/dev/null
    done
    go output.dir=killed train.steps=80 train.save_every=5 data.eval=test.jsonl train.eval_every=20 "$@" --resume
    same "$name" whole killed
}
cut_short=0
killed "killed and resumed"
killed "killed and resumed by loss, with adapters and dropout" select.policy=loss method.name=lora \
    method.dropout=0.1
check "runs were really cut short" [ $cut_short -ge 2 ]

# --- a head for classes ---
{
    printf 'text\tlabel\n'
    awk 'BEGIN {
        srand(5)
        for (i = 0; i < 40; i++) print rand() < .5 ? "a b c good\tyes" : "a b c bad\tno"
    }'
} >classes.tsv
go task=classify output.dir=cls data.train=classes.tsv data.format=auto train.steps=40 train.batch=8
"$tt" eval --json cls/final classes.tsv >eval.json 2>log || fail "eval of a decoder" "$(tail -n 1 log)"
check "a decoder classifies" awk -F'"accuracy": ' '{ exit !($2 + 0 > 0.9) }' eval.json

# --- what is refused, in one line ---
refused() { # NAME PATTERN KEY=VALUE...
    local name=$1 pattern=$2
    shift 2
    refuses "$name" 1 "$pattern" "$tt" train run.yaml "$@"
}
printf '{"instruction": "a", "output": ""}\n' >empty.jsonl
printf '{"instruction": "a", "output": "b", "input": 3}\n' >wrong.jsonl
refused "an empty answer" 'empty.jsonl:1: output: empty' data.train=empty.jsonl
refused "nothing but empty answers" 'no usable sample' data.train=empty.jsonl data.skip=true
refused "a value of another type" 'wrong.jsonl:1: input' data.train=wrong.jsonl
refused "a prompt over the limit" 'train.jsonl:1: the prompt has \d+ tokens' data.max_len=8
refused "a limit over the model's" 'data.max_len: 500; the model reads at most 128' data.max_len=500
refused "an unknown template" 'template "nonsense" is not known; expected one of alpaca' data.template=nonsense
refused "no template in the model" 'has no chat_template' data.template=model
refused "no such adapter" 'nothere' method.name=lora method.adapter=nothere
decoder other gpt2-full-k30
refused "an adapter of another model" 'the adapter has no tensor .* another model' \
    method.name=lora method.adapter=l2/final model.path=other
refused "an adapter of other sizes" 'belong to different models' \
    method.name=lora method.adapter=l2/final model.path=tied
cp -r l2/final rank && sed -i 's/"r": 4/"r": 8/' rank/adapter_config.json
refused "an adapter of another rank" '\[4, 32\].*\[8, 32\]' method.name=lora method.adapter=rank
cp -r model vocab && sed -i 's/"a": 5,/"a": 195,/' vocab/tokenizer.json
refused "a tokenizer of another model" 'token id 195, the model has 96' model.path=vocab
model encoder
refused "an encoder" 'classify; they do not predict tokens' model.path=encoder
refused "a metric of classes" 'train.best: accuracy' train.best=accuracy
refused "a policy of answers for classes" 'select.policy: expected random or prefix' task=classify select.policy=loss
refused "samples by class" 'data.shots' data.shots=3
refused "all samples held back" 'cannot be held back' data.eval_count=64
"$tt" train run.yaml train.lr=100 train.schedule=constant train.max_grad_norm=0 train.steps=30 >log 2>&1
if [ $? = 1 ] && grep -q 'no finite number' log && [ ! -e out/final ]; then
    ok "a loss that is no number"
else
    fail "a loss that is no number" "$(tail -n 1 log)"
fi
finish

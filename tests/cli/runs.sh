#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Whole runs: same seed same files, kill and resume to the same bits, and the commands around them.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
export TT_LOG=quiet
model model
texts train.tsv 40 1
texts test.tsv 20 2
config run.yaml 'select:' '  keep: 0.5'

# Every byte of a finished run but the checkpoints: the model and the log of its losses.
same() { # NAME DIR DIR
    local name=$1 f
    for f in metrics.jsonl $(cd "$2" && find final -type f | sort); do
        if ! cmp -s "$2/$f" "$3/$f"; then
            fail "$name" "$f differs"
            return
        fi
    done
    if [ -s "$2/final/model.safetensors" ] || [ -s "$2/final/adapter_model.safetensors" ]; then
        ok "$name"
    else
        fail "$name" "no weights"
    fi
}
go() { "$tt" train run.yaml "$@" >log 2>&1 || fail "train $*" "exit $?: $(tail -n 1 log)"; }

go output.dir=a
go output.dir=b
same "two runs with one seed" a b
go output.dir=c train.seed=2
if cmp -s a/final/model.safetensors c/final/model.safetensors; then
    fail "another seed" "gives the same weights"
else
    ok "another seed"
fi
lora="method.name=lora method.targets=query,value method.dropout=0.1"
# shellcheck disable=SC2086 # several words
go output.dir=la $lora
# shellcheck disable=SC2086
go output.dir=lb $lora
same "two runs with adapters" la lb

# --- SIGKILL at several moments of a run, then on to the end ---
long="train.steps=120 train.save_every=5 train.eval_every=20 data.eval=test.tsv"
# shellcheck disable=SC2086
go output.dir=whole $long
# once more, for its time alone: the first one also compiled kernels
began=$(date +%s%N)
# shellcheck disable=SC2086
go output.dir=again $long
took=$(($(date +%s%N) - began))
# killed_at SHARE: starts or resumes the run and kills it after that share of its whole time.
killed_at() {
    # shellcheck disable=SC2086
    "$tt" train run.yaml output.dir=killed $long --resume >log 2>&1 &
    local pid=$!
    sleep "$(awk -v t=$took -v s="$1" 'BEGIN { print t * s / 1e9 }')"
    kill -KILL $pid 2>/dev/null && cut_short=$((cut_short + 1))
    wait $pid 2>/dev/null
}
cut_short=0
for share in 0.2 0.35 0.5 0.65 0.8 0.9; do
    rm -rf killed
    killed_at $share
    # shellcheck disable=SC2086
    go output.dir=killed $long --resume
    same "killed after $share of a run and resumed" whole killed
done
rm -rf killed
for share in 0.5 0.5 0.5; do killed_at $share; done
# shellcheck disable=SC2086
go output.dir=killed $long --resume
same "killed three times and resumed" whole killed
check "runs were really cut short" [ $cut_short -ge 4 ]

# --- a damaged checkpoint is left for the one before it ---
for f in model.safetensors optimizer.safetensors run.json; do
    rm -rf killed
    # shellcheck disable=SC2086
    "$tt" train run.yaml output.dir=killed $long >log 2>&1
    newest=$(ls -d killed/checkpoint-* | sort -V | tail -n 1)
    head -c 50 "$newest/$f" >x && cp x "$newest/$f"
    rm -rf killed/final
    # shellcheck disable=SC2086
    TT_LOG=info "$tt" train run.yaml output.dir=killed $long --resume >log 2>&1
    if grep -q "$(basename "$newest")" log; then ok "a damaged $f is named"; else fail "a damaged $f" "is not named"; fi
    same "resumed past a damaged $f" whole killed
done

# --- SIGINT and SIGTERM save and end cleanly ---
for sig in INT TERM; do
    rm -rf stopped
    # shellcheck disable=SC2086
    setsid "$tt" train run.yaml output.dir=stopped $long train.steps=3000 train.save_every=1000 >log 2>&1 &
    pid=$!
    sleep 1
    kill -$sig $pid
    wait $pid
    code=$?
    [ $sig = INT ] && want=130 || want=143
    if [ $code = $want ] && grep -qi 'resume' log; then
        ok "SIG$sig ends with a way on"
    else
        fail "SIG$sig" "exit $code: $(tail -n 1 log)"
    fi
done

# --- the manual names every key ---
for key in $("$tt" train --help | sed -n '/^Keys/,$p' | grep -oP '^  \K[a-z0-9_.]+'); do
    grep -qF "\`$key\`" "$root/README.md" || fail "README" "does not name $key"
done

# --- training from nothing needs no weights ---
cp -r model bare && rm bare/model.safetensors
go output.dir=n1 model.path=bare model.random_weights=true
go output.dir=n2 model.path=bare model.random_weights=true
same "two runs from nothing" n1 n2

# --- what the run gave works in the other commands ---
"$tt" eval --json a/final test.tsv >eval.json 2>log || fail "eval" "$(tail -n 1 log)"
grep -q '"accuracy"' eval.json && ok "eval" || fail "eval" "$(cat eval.json)"
# The base of these adapters has a head of three labels, theirs has two.
"$tt" predict la/final test.tsv >adapter.jsonl 2>log || fail "predict with an adapter" "$(tail -n 1 log)"
[ "$(wc -l <adapter.jsonl)" = 20 ] && ok "predict with an adapter" || fail "predict with an adapter" "no 20 lines"
"$tt" predict a/final test.tsv >file.jsonl 2>log || fail "predict" "$(tail -n 1 log)"
check "predict gives a line for each text" [ "$(wc -l <file.jsonl)" = 20 ]
finish

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Memory that runs out at any allocation, and files that cannot grow: one line, exit 1, no crash.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
export TT_LOG=quiet
model model
texts train.tsv 16 1
config run.yaml
cp -r "$root/tests/cases/bert-small-lora-1" case

# ends NAME COMMAND...: success, or exit 1 and exactly one line that begins with the program's name.
ends() {
    local name=$1 code
    shift
    rm -rf out
    timeout 120 "$@" >"$work/.out" 2>"$work/.err" </dev/null
    code=$?
    [ $code = 0 ] && return 0
    if [ $code != 1 ] || { [ "$(grep -c '^tokentune[: ]' .err)" != 1 ] && ! grep -q '^FAIL' .out; }; then
        fail "$name" "exit $code: $(head -n 2 .err | tr '\n' '|')"
        bad=$((bad + 1))
    elif [ -e out/final ] && [ ! -s out/final/config.json ]; then
        fail "$name" "half of a model"
        bad=$((bad + 1))
    fi
    return 1
}
# sweep NAME VARIABLE GROWTH COMMAND...: the n-th allocation fails, for n = 1, 2, ... until none does.
sweep() {
    local name=$1 variable=$2 growth=$3 n=1 tries=0 fine=0
    bad=0
    shift 3
    while [ $tries -lt 400 ] && [ $bad -lt 3 ]; do
        tries=$((tries + 1))
        # some allocations can be done without, so that a few runs end well before the last one does
        if ends "$name, allocation $n" env "$variable=$n" "$@"; then fine=$((fine + 1)); else fine=0; fi
        [ $fine = 6 ] && break
        n=$((n + 1 + n * growth / 100))
    done
    if [ $tries = 6 ]; then
        fail "$name" "no allocation failed: the switch does nothing"
    elif [ $bad = 0 ]; then
        ok "$name, $tries times"
    fi
}
sweep "host memory in train" TT_FAIL_ALLOC 12 "$tt" train run.yaml train.steps=2
sweep "host memory in verify" TT_FAIL_ALLOC 15 "$tt" verify --gemm tile case
sweep "host memory in verify of types" TT_FAIL_ALLOC 25 "$tt" verify --gemm tile --weights nf4 --kept bf16 \
    --write values case
sweep "host memory in plan" TT_FAIL_ALLOC 5 "$tt" plan --model model --seq 20
sweep "host memory in a search" TT_FAIL_ALLOC 20 "$tt" plan --model model --no-device --memory 900K
sweep "host memory in tokenize" TT_FAIL_ALLOC 5 "$tt" tokenize --model model 'a good film'
sweep "host memory in devices" TT_FAIL_ALLOC 5 "$tt" devices
sweep "device memory in train" TT_FAIL_DEVICE_ALLOC 2 "$tt" train run.yaml train.steps=2
sweep "device memory in qlora" TT_FAIL_DEVICE_ALLOC 4 "$tt" train run.yaml train.steps=2 \
    method.name=qlora storage.kept=bf16 train.optimizer=adamw8bit --memory 400K

sweep "host memory in a streamed run" TT_FAIL_ALLOC 15 "$tt" train run.yaml train.steps=2 \
    method.name=qlora memory.stream=true
sweep "device memory in a streamed run" TT_FAIL_DEVICE_ALLOC 4 "$tt" train run.yaml train.steps=2 \
    method.name=qlora memory.stream=true

# Files that may not grow past some size stand for a full disk. A whole run first: compiled kernels
# are files too, the OpenCL implementation's own among them.
go() { "$tt" train run.yaml train.steps=4 --gemm tile "$@"; }
go output.dir=whole >log 2>&1 || fail "a whole run" "$(tail -n 1 log)"
full() { (trap '' XFSZ && ulimit -f "$1" && shift && "$@"); }
for blocks in 1 8 60 200; do
    rm -rf out
    TT_LOG=quiet full $blocks go >log 2>.err
    code=$?
    left=$(find out -name '*.part*' -o -name '*.tmp*' 2>/dev/null)
    if [ $code = 1 ] && [ "$(grep -c '^tokentune: ' .err)" = 1 ] && [ ! -e out/final ] && [ -z "$left" ]; then
        ok "files of at most $blocks KiB"
    else
        left=$(ls out 2>/dev/null | tr '\n' ' ')$left
        fail "files of at most $blocks KiB" "exit $code: $(tail -n 3 .err | tr '\n' '|') $left"
    fi
done
# A run that met a full disk goes on when there is room again.
go --resume >log 2>&1
check "going on after a full disk" cmp whole/final/model.safetensors out/final/model.safetensors

# Two processes that fill one cache at once.
export TT_CACHE_DIR=$work/cache
for i in 1 2 3; do
    "$tt" verify --gemm tile case >"both.$i" 2>&1 &
done
wait
check "three processes with one empty cache" sh -c '[ $(cat both.* | grep -c "^ok ") = 3 ]'
for f in $(find cache -type f | head -n 200); do head -c 20 "$f" >x && cp x "$f"; done
check "a damaged cache is rebuilt" "$tt" verify --gemm tile case
check "and used again" "$tt" verify --gemm tile case
TT_CACHE_DIR=/proc/nowhere check "no cache can be written" "$tt" verify --gemm tile case

# An output that is closed early, and one that is full.
"$tt" devices --json >/dev/full 2>.err
[ $? = 1 ] && ok "standard output full" || fail "standard output full" "exit 0: $(cat .err)"
finish

# SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of the command line: each check prints "ok NAME" or "FAIL NAME: why".
#   $tt the program, $root the repository, $work an empty folder that goes away at the end
# shellcheck shell=bash
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tt=${1:?usage: TEST PROGRAM [SUMMARY]}
summary=${2:+$(realpath "$2")}
tt=$(realpath "$tt")
work=$(mktemp -d)
passed=0 failed=0 skipped=0

finish() {
    rm -rf "$work"
    [ -n "$summary" ] && echo "$passed $failed $skipped" >"$summary"
    echo "$(basename "$0"): $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit $?
}
ok() {
    passed=$((passed + 1))
    [ -n "${TT_VERBOSE:-}" ] && echo "ok   $1"
    return 0
}
fail() {
    failed=$((failed + 1))
    echo "FAIL $1: $2"
}
skip() {
    skipped=$((skipped + 1))
    echo "skip $1: $2"
}
# check NAME COMMAND...: the command's success decides.
check() {
    local name=$1
    shift
    if "$@" >"$work/.out" 2>&1; then ok "$name"; else fail "$name" "$* : $(tail -n 1 "$work/.out")"; fi
}
# refuses NAME CODE PATTERN COMMAND...: that exit code, and one line on standard error that fits.
refuses() {
    local name=$1 code=$2 pattern=$3 got lines
    shift 3
    TT_LOG=quiet timeout 120 "$@" >"$work/.out" 2>"$work/.err" </dev/null
    got=$?
    lines=$(wc -l <"$work/.err")
    if [ $got != "$code" ]; then
        fail "$name" "exit code $got instead of $code: $(head -n 1 "$work/.err")"
    elif [ "$lines" != 1 ]; then
        fail "$name" "$lines lines on standard error: $(head -n 3 "$work/.err" | tr '\n' '|')"
    elif ! grep -qiP -e "$pattern" "$work/.err"; then
        fail "$name" "no \"$pattern\" in: $(cat "$work/.err")"
    elif [ -n "$(find "$work" -path '*/out/*' -print -quit)" ]; then
        fail "$name" "left something behind: $(find "$work" -path '*/out/*' | head -n 3 | tr '\n' ' ')"
    else
        ok "$name"
    fi
    rm -rf "$work"/out*
}

# model DIR [CASE]: a checkpoint of the parity cases with a vocabulary of letters and a few words.
model() {
    mkdir -p "$(dirname "$1")" && rm -rf "$1" && cp -r "$root/tests/cases/${2:-bert-cls-full-k30}/model" "$1"
    chmod -R u+w "$1"
    {
        printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]'
        printf '%s\n' {a..z}
        printf '##%s\n' {a..z}
        printf '%s\n' . , '!' '?' good bad fine poor the was film food very not it is nice sad red blue \
            one two man day sun rain and or but with from here there now then old new
    } | head -n 96 >"$1/vocab.txt"
    printf '{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}\n' >"$1/tokenizer_config.json"
}

# texts FILE COUNT SEED: "text<TAB>label" lines of two classes that a few words tell apart.
texts() {
    awk -v n="$2" -v seed="$3" 'BEGIN {
        srand(seed)
        split("film food day sun rain man", thing); split("good fine nice", up); split("bad poor sad", down)
        print "text\tlabel"
        for (i = 0; i < n; i++) {
            good = i % 2
            word = good ? up[1 + int(rand() * 3)] : down[1 + int(rand() * 3)]
            line = "the " thing[1 + int(rand() * 6)] " was " (rand() < .5 ? "very " : "") word
            for (k = int(rand() * 6); k > 0; k--) line = line " and the " thing[1 + int(rand() * 6)]
            print line "\t" (good ? "yes" : "no")
        }
    }' >"$1"
}

# config FILE [LINE...]: a short run on $work/model and $work/train.tsv into $work/out.
config() {
    local file=$1
    shift
    cat >"$file" <<YAML
model:
  path: $work/model
data:
  train: $work/train.tsv
train:
  steps: 12
  batch: 4
  lr: 1e-3
  log_every: 1
output:
  dir: $work/out
YAML
    [ $# -gt 0 ] && printf '%s\n' "$@" >>"$file"
    return 0
}

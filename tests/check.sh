#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rules of the house that a script can hold: one line for each, "ok" or "FAIL" with the places.
#   tests/check.sh [--summary FILE]    FILE gets "passed failed skipped"
set -u
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.." || exit 1
summary=
[ "${1:-}" = --summary ] && summary=$2

# Files over 400 lines, and why each is allowed to be.
long_allowed="
host/tokenizer/unicode_tables.c  generated table
"
passed=0 failed=0 skipped=0

# rule NAME: standard input holds the offending places; none is a pass.
rule() {
    local found
    found=$(head -n 20)
    if [ -z "$found" ]; then
        passed=$((passed + 1))
        echo "ok   $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1"
        printf '%s\n' "$found" | sed 's/^/       /'
    fi
}
skip() {
    skipped=$((skipped + 1))
    echo "skip $1: $2"
}
# What is in the repository or about to be, less what is only data.
files() { git ls-files -co --exclude-standard -- "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done; }
in_files() { # GREP-OPTIONS PATTERN -- PATHSPEC...
    local options=$1 pattern=$2
    shift 3
    files "$@" | xargs -r grep -nH $options -e "$pattern" 2>/dev/null
}
c='*.c *.h'
sources='*.c *.h *.cl *.clh'
shells='*.sh tests/run tests/setup samples/quickstart samples/make_encoder samples/make_decoder .ci/run'
scripts="$shells *.py"

shopt -s lastpipe # rule counts in this shell
set -f # patterns above are for git, not for the shell
if command -v clang-format >/dev/null; then
    files $c | xargs -r -n 40 clang-format --dry-run 2>&1 | grep 'clang-format-violations' |
        cut -d: -f1,2 | rule "clang-format"
else
    skip "clang-format" "not installed"
fi

files $sources | while read -r f; do
    n=$(wc -l <"$f")
    [ "$n" -gt 400 ] && ! grep -q "^$f " <<<"$long_allowed" && echo "$f: $n lines"
done | rule "at most 400 lines a file"

# A function is what opens with a brace at the end of a line that is not indented, or of its
# continuation, and closes with a brace in column 1.
files $c | xargs -r awk '
    FNR == 1 { open = 0 }
    /^[A-Za-z_].*\(/ && !/;$/ && !open { head = $0; start = FNR }
    /\) *\{$/ && start && !open { open = 1 }
    /^\}/ { if (open && FNR - start + 1 > 60) print FILENAME ":" start ": " FNR - start + 1 " lines: " head
            open = 0; start = 0 }
' | rule "at most 60 lines a function"

{
    in_files -P '^.{101,}' -- $sources CMakeLists.txt '*.cmake' | grep -v -F host/tokenizer/unicode_tables.c
    in_files -P '^.{121,}' -- $shells
} | cut -d: -f1,2 | rule "at most 100 columns, 120 in shell"
in_files -P '[ \t]+$' -- $sources $scripts '*.md' '*.yaml' '*.txt' '*.cmake' | cut -d: -f1,2 |
    rule "no blanks at the end of a line"
in_files -P '\t' -- $sources '*.py' '*.yaml' '*.cmake' | cut -d: -f1,2 | rule "no tabs"

files $sources $scripts '*.cmake' |
    while read -r f; do
        head -n 2 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"
    done | rule "a licence line first"

banned='sprintf|vsprintf|strcpy|strcat|strncpy|atoi|atol|atof|gets|strtok|alloca'
in_files -P "\b($banned)\s*\(" -- $c | rule "no banned functions"
in_files -P '\b(rand|srand|random|system|popen)\s*\(' -- 'host/*' |
    rule "no other randomness, no shells in the library"
in_files -P '(?<![\w.>])(malloc|calloc|realloc|v?asprintf|strn?dup|getline|free)\s*\(' -- 'host/*.c' |
    grep -v '^host/core/' | rule "host memory through host/core"
in_files -P '(?<![\w.>])(_?exit|abort|printf|puts|putchar|perror|assert)\s*\(' -- 'host/*.c' |
    grep -v -e '^host/cli/' -e '^host/core/core.c' | rule "the library neither prints nor exits"
in_files -F 'clEnqueueNDRangeKernel' -- 'host/*.c' | grep -v '^host/device/' | rule "one launcher of kernels"
in_files -P '\bCLBlast[A-Z]\w*\s*\(' -- 'host/*.c' | grep -v '^host/gemm/' | rule "one caller of CLBlast"
in_files -P 'cl-(finite-math-only|fast-relaxed-math|unsafe-math-optimizations)' -- 'host/*' 'cl/*' |
    rule "no fast-math flags"

for f in $(files 'cl/*.cl'); do
    for field in shapes launch defines numbers; do
        grep -qP "^// $field\b" "$f" || echo "$f: no '// $field' in its header"
    done
done | rule "kernel headers have their fields"
for f in $(files 'cl/*.cl'); do # variants of one kernel may stand in one file
    grep -oP '^(TT_KERNEL|(__)?kernel)\s+(\w+\s+)*void\s+\K\w+' "$f" | sort -u
done | sort | uniq -d | rule "kernel names are unique"
for f in $(files 'cl/*.cl'); do
    n=$(basename "$f" .cl)
    grep -rqs "\"$n\"\|$n\.cl\|$n\b" host || echo "$f: nothing in host/ names it"
done | rule "every kernel file is used"

in_files -iP '\b(to''do|fix''me|xx''x|ha''ck)\b' -- $sources $scripts CMakeLists.txt |
    rule "no unfinished business"
in_files -IP '(/wor[k]/|/home/\w|/roo[t]/|/tmp/b-)' -- . ':!tests/check.sh' ':!LICENSE' |
    rule "no paths of one machine"
git ls-files -co --exclude-standard | sed 's|/.*||' | sort -u |
    grep -vxE 'host|cl|include|tests|samples|CMakeLists\.txt|README\.md|LICENSE|\..*' |
    rule "the top level is as agreed"
files 'host/*.h' 'include/*.h' | while read -r f; do
    grep -q '#ifndef TT_\|#ifndef TOKENTUNE_' "$f" || echo "$f: no include guard"
done | rule "headers are guarded"
for f in $(files $shells); do
    bash -n "$f" 2>&1
done | rule "shell scripts parse"

# Rooms stand only on rooms below them: the order is that of CMakeLists.txt.
below() {
    case $1 in
    core) echo core ;;
    storage) echo core storage ;;
    format) echo core storage format ;;
    tokenizer) echo core storage format tokenizer ;;
    data) echo core storage format tokenizer data ;;
    device) echo core device ;;
    gemm) echo core storage device gemm ;;
    graph) echo core storage device gemm graph ;;
    ops) echo core storage device gemm graph ops ;;
    model) echo core storage device gemm graph ops format model ;;
    train) echo core storage format tokenizer data device gemm graph ops model train ;;
    generate) echo core storage format tokenizer data device gemm graph ops model train generate ;;
    eval) echo core storage format tokenizer data device gemm graph ops model train eval ;;
    api) echo core storage format tokenizer data device gemm graph ops model train api ;;
    *) echo core storage format tokenizer data device gemm graph ops model train generate eval cli ;;
    esac
}
for f in $(files 'host/*.c' 'host/*.h'); do
    room=$(cut -d/ -f2 <<<"$f")
    for used in $(grep -hoP '#include "host/\K\w+' "$f" | sort -u); do
        grep -qw "$used" <<<"$(below "$room")" || echo "$f includes host/$used"
    done
done | rule "rooms include only what lies below them"

[ -n "$summary" ] && echo "$passed $failed $skipped" >"$summary"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The installed library as others use it: each header alone in C and C++, every name that is declared
# there in the archive and nothing of ours visible beside them, pkg-config, and samples/embed.c.
. "$(dirname "$0")/lib.sh"
build=$(dirname "$tt")
cd "$work" || exit 1
export TT_LOG=quiet

check "cmake --install" cmake --install "$build" --prefix "$work/usr"
check "the program is installed" test -x usr/bin/tokentune
archive=$(find usr -name libtokentune.a | head -n 1)
pc=$(find usr -name tokentune.pc | head -n 1)
if [ -z "$archive" ] || [ -z "$pc" ]; then
    fail "installed files" "no libtokentune.a or tokentune.pc"
    finish
fi
export PKG_CONFIG_PATH=$work/$(dirname "$pc")
include=$work/usr/include

# Every header stands alone, and so do the strictest readers of it.
strict="-Wall -Wextra -Wpedantic -pedantic-errors -Werror -fsyntax-only"
for compiler in "gcc -x c -std=c11" "clang -x c -std=c11" "g++ -x c++ -std=c++17" "clang++ -x c++ -std=c++17"; do
    if ! command -v "${compiler%% *}" >/dev/null; then
        [[ $compiler == clang* ]] || skip "headers by ${compiler%% *}" "not installed"
        continue
    fi
    for header in "$include"/tokentune/*.h; do
        name=$(basename "$header")
        printf '#include <tokentune/%s>\n#include <tokentune/%s>\nint only_for_this_file;\n' "$name" "$name" >one.c
        # shellcheck disable=SC2086 # several words
        check "$name by $compiler" $compiler $strict -I"$include" one.c
    done
done

grep -hoP '^TT_API [^;(]*?\K\btt_\w+(?=\()' "$include"/tokentune/*.h | sort -u >declared
nm -g --defined-only "$archive" 2>/dev/null | awk '$2 == "T" { print $3 }' | sort -u >defined
comm -23 declared defined >missing
check "what headers declare is in the archive" test ! -s missing
readelf -sW "$archive" 2>/dev/null |
    awk '$5 == "GLOBAL" && $6 == "DEFAULT" && $7 != "UND" { print $8 }' | sort -u | comm -23 - declared |
    grep '^tt' >beside
check "nothing else of ours is visible" test ! -s beside
check "declared names were found" test "$(wc -l <declared)" -ge 20

model model
texts train.tsv 40 1
config run.yaml 'select:' '  keep: 0.5'
flags=()
if nm "$archive" 2>/dev/null | grep -q __asan_init; then flags=(-fsanitize=address,undefined); fi
# shellcheck disable=SC2046 # several words
check "embed.c by pkg-config" "${CC:-cc}" -std=c11 -Wall -Wextra -Werror "${flags[@]}" "$root/samples/embed.c" \
    -o embed $(pkg-config --cflags --libs tokentune)
texts=("the film was good" "the film was bad and poor" "the rain was nice")
if ./embed run.yaml "${texts[@]}" >answers 2>log; then
    ok "embed trains and answers"
else
    fail "embed trains and answers" "$(tail -n 1 log)"
fi
check "an answer for each text" test "$(grep -cP '^(yes|no)\t[01]\.\d{4}\t' answers)" = 3
check "its progress is told" grep -q '^step 12 of 12: loss ' log

# The same bytes, and the same probabilities, as the command line.
mv out embedded
"$tt" train run.yaml >log 2>&1 || fail "train" "$(tail -n 1 log)"
check "the model has the command line's bytes" diff -r embedded/final out/final
check "and so has the log" cmp embedded/metrics.jsonl out/metrics.jsonl
printf '%s\n' "${texts[@]}" | "$tt" predict out/final >file.jsonl 2>log || fail "predict" "$(tail -n 1 log)"
grep -oP '"label": "\K\w+(?=", "probability": )' file.jsonl >labels
cut -f 1 answers >embedded.labels
check "embed names the labels that predict names" cmp labels embedded.labels

if ./embed missing.yaml text >/dev/null 2>log; then
    fail "embed without a file" "exit 0"
else
    check "embed without a file" grep -q '^embed: missing.yaml: missing.yaml' log
fi
finish

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes host/tokenizer/unicode_tables.c: what the `tokenizers` package holds each code point to be.

Its parts carry Unicode tables of different ages (categories of 2015, decompositions of 2018, regular
expressions and lower case of 2024), none of them those of PCRE2 or utf8proc on the machine that runs
tokentune. So its answers are asked for, code point by code point. Needs the Python packages
tokenizers and unicodedata2 (the newest Unicode; characters younger than a library's table are what
has to be corrected).

    python tests/ref/tokenizer_unicode.py > host/tokenizer/unicode_tables.c
"""
import base64
import textwrap
import unicodedata2 as newest
import unicodedata as old
from tokenizers import Regex, normalizers as N, pre_tokenizers as P
from tokenizer_cases import charsmap

CPS = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
CATS = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn"
        .split())


def parts(pre, text):
    return [x for x, _ in pre.pre_tokenize_str(text)]


def matched(pattern, around):
    pre = P.Split(Regex(pattern), "isolated")
    return {c for c in CPS if len(parts(pre, around + chr(c) + around)) == 3}


def normal(norm, text):
    return norm.normalize_str(text)


def classes():
    bert = dict(handle_chinese_chars=False, lowercase=False)
    clean = N.BertNormalizer(clean_text=True, strip_accents=False, **bert)
    strip = N.BertNormalizer(clean_text=False, strip_accents=True, **bert)
    accents, white, punct = N.StripAccents(), P.Whitespace(), P.Punctuation()
    out = {k: set() for k in "space control punct nonspacing mark numeric word inert".split()}
    for c in CPS:
        s = "a" + chr(c) + "b"
        if normal(clean, s) == "ab":
            out["control"].add(c)
        if normal(strip, s) == "ab":
            out["nonspacing"].add(c)
        if normal(accents, s) == "ab":
            out["mark"].add(c)
        if parts(P.WhitespaceSplit(), s) == ["a", "b"]:
            out["space"].add(c)
        if len(parts(punct, s)) == 3:
            out["punct"].add(c)
        if len(parts(P.Digits(), s)) == 3:
            out["numeric"].add(c)
        if parts(white, s) == [s]:
            out["word"].add(c)
    out["inert"] = inert()
    return out


def inert():
    """Code points that the package's normal forms leave alone and a newer table does not."""
    nfkd, nfd = N.NFKD(), N.NFD()
    out = {c for c in CPS if normal(nfkd, chr(c)) != newest.normalize("NFKD", chr(c))}
    for c in list(out):  # what would compose to them
        canonical = newest.normalize("NFD", chr(c))
        if len(canonical) > 1:
            out.add(ord(canonical[0]))
    for c in CPS:
        if newest.combining(chr(c)):
            tests = ("a" + chr(c) + "\u0334", "a\u0301" + chr(c))
            if all(normal(nfd, t) == t for t in tests):
                out.add(c)
    return out


def lower():
    runs = []
    norm = N.Lowercase()
    for c in CPS:
        to = normal(norm, chr(c))
        if to == chr(c) or c < 0x80 or len(to) > 1:
            continue
        delta = ord(to) - c
        last = runs[-1] if runs else None
        if last and last[3] == delta and last[0] + last[1] * last[2] == c:
            last[1] += 1
        elif last and last[3] == delta and last[1] == 1 and c - last[0] == 2:
            last[1:3] = [2, 2]
        else:
            runs.append([c, 1, 1, delta])
    return runs


def stand_ins():
    """Runs of code points whose category in the package's regular expressions is not what PCRE2's
    may be, each with an old code point of that category and as many bytes."""
    cat = {}
    for k in CATS:
        for c in matched(r"\p{%s}" % k, "!" if k == "Ll" else "a"):
            cat[c] = k
    han = matched(r"\p{Han}", "a")
    spare = {}
    for c in CPS:
        o = old.category(chr(c))
        if c > 0x7F and o == cat[c] == newest.category(chr(c)):
            key = (len(chr(c).encode()), o, c in han)
            if c in (0xFFFE, 0x1FFFE) or o != "Cn":
                spare.setdefault(key, c)
    spare[(2, "Cn", False)], spare[(3, "Cn", False)] = 0x378, 0xFDD0
    spare[(4, "Cn", False)] = 0x1FFFE
    # Mongolian vowel separator: a space to PCRE2's \s, not to the package's; U+2060 has its category
    runs = [[0x180E, 0x180E, 0x2060]]
    for c in CPS:
        if c < 0x80 or cat[c] == old.category(chr(c)) == newest.category(chr(c)):
            continue
        to = spare[(len(chr(c).encode()), cat[c], c in han)]
        if runs[-1][1] == c - 1 and runs[-1][2] == to:
            runs[-1][1] = c
        else:
            runs.append([c, c, to])
    return sorted(runs)


def young_marks():
    """Runs of characters younger than utf8proc's tables that join the cluster before them."""
    norm = N.Precompiled(base64.b64decode(charsmap({"a": "b"})))
    runs = []
    for c in CPS:
        if old.category(chr(c)) != "Cn" or normal(norm, "a" + chr(c)) != "b":
            continue
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    return runs


def steps(points):
    """Alternating gap and length of runs, both below 65536."""
    out, at, points = [], 0, sorted(points)
    i = 0
    while i < len(points):
        j = i
        while j + 1 < len(points) and points[j + 1] == points[j] + 1 and j - i < 65000:
            j += 1
        gap = points[i] - at
        while gap > 65535:
            out += [65535, 0]
            gap -= 65535
        out += [gap, j - i + 1]
        at, i = points[j] + 1, j + 1
    return out


def emit(words):
    print("\n".join(textwrap.wrap(", ".join(words), 95, initial_indent="    ",
                                  subsequent_indent="    ", break_on_hyphens=False)) + ",")


def main():
    print("// SPDX-License-Identifier: Apache-2.0")
    print("/* Written by tests/ref/tokenizer_unicode.py; do not edit. */")
    print('#include "host/tokenizer/unicode.h"\n\n// clang-format off')
    table = classes()
    for name, points in table.items():
        print(f"static const uint16_t {name}[] = {{")
        emit([str(x) for x in steps(points)])
        print("};")
    print("const tti_uc_steps tti_uc_classes[8] = {")
    for name in table:
        print(f"    {{ {name}, TT_COUNT({name}) }},")
    print("};")
    runs = lower()
    print("const tti_uc_lower_run tti_uc_lower_runs[] = {")
    emit(["{0x%x,%d,%d,%d}" % tuple(r) for r in runs])
    print(f"}};\nconst size_t tti_uc_n_lower_runs = {len(runs)};")
    runs = stand_ins()
    print("const tti_uc_stand_in tti_uc_stand_ins[] = {")
    emit(["{0x%x,0x%x,0x%x}" % tuple(r) for r in runs])
    print(f"}};\nconst size_t tti_uc_n_stand_ins = {len(runs)};")
    runs = young_marks()
    print("const uint32_t tti_uc_young_marks[][2] = {")
    emit(["{0x%x,0x%x}" % tuple(r) for r in runs])
    print(f"}};\nconst size_t tti_uc_n_young_marks = {len(runs)};\n// clang-format on")


main()

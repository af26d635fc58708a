# SPDX-License-Identifier: Apache-2.0
"""Writes the sample sets from grammar.py; the same bytes every time. Run it in this folder: python3 make_data.py

    support.train.tsv    support.test.tsv     text, label: what a customer's message is about (4 classes)
    sentiment.train.tsv  sentiment.test.tsv   text, label: positive or negative
    pairs.train.tsv      pairs.test.tsv       text, text, score: how alike two messages are in meaning, 0 to 1
"""
import pathlib
import random
import re

import grammar as g

TRAIN, TEST = 0, 1
KNOWN = 0.3  # share of held-back texts whose core sentence was worded the same way in training


def sides(text):
    """The wordings of one line for training and for the held-back part."""
    left, _, right = text.partition("||")
    return [[w.strip() for w in side.split("|") if w.strip()] for side in (left, right)]


def meanings(text):
    return [sides(line) for line in text.strip().splitlines()]


SLOTS = {name: sides(text.replace("\n", " ")) for name, text in {
    "item": g.ITEMS, "page": g.PAGES, "place": g.PLACES, "month": g.MONTHS, "day": g.DAYS, "thing": g.THINGS}.items()}


def fill(r, text, part):
    def word(m):
        if m[1] == "number":
            return str(r.randint(10000, 99999))
        if m[1] == "amount":
            return str(r.randint(3, 90))
        return r.choice(SLOTS[m[1]][part])
    return re.sub(r"\{(\w+)\}", word, text)


def sentence(text, end="."):
    text = text[0].upper() + text[1:]
    if text.lower().startswith(("what", "why", "when", "how", "can ", "could", "may ", "is ", "do ", "until", "by which", "who ")):
        end = "?"
    return text + end


def message(r, core, part):
    before, after = sides(g.BEFORE.replace("\n", " ")), sides(g.AFTER.replace("\n", " "))
    out = []
    if r.random() < 0.4:
        out.append(r.choice(g.GREETINGS) + ",")
    if r.random() < 0.5:
        out.append(sentence(fill(r, r.choice(before[part]), part)))
    out.append(sentence(fill(r, core, part)))
    if r.random() < 0.5:
        out.append(sentence(fill(r, r.choice(after[part]), part)))
    return " ".join(out)


def review(r, core, part):
    aside = sides(g.ASIDE.replace("\n", " "))
    out = [sentence(fill(r, core, part))]
    if r.random() < 0.7:
        out.insert(r.randint(0, 1), sentence(fill(r, r.choice(aside[part]), part)))
    return " ".join(out)


def classes(r, table, write, part, count):
    """count texts of every class, each meaning as often as the others, in mixed order."""
    rows, seen = [], set()
    for label, text in table.items():
        known = [m for m in meanings(text) if m[part]]
        made = 0
        for turn in range(100 * count):
            if made == count:
                break
            meaning = known[turn % len(known)]
            same = part == TEST and meaning[TRAIN] and r.random() < KNOWN
            line = write(r, r.choice(meaning[TRAIN if same else part]), part)
            if line not in seen:
                seen.add(line)
                rows.append((line, label))
                made += 1
    r.shuffle(rows)
    return rows


def pairs(r, part, count):
    """Two wordings of one meaning: 1; two meanings of one class: 0.4; two classes: 0; less a little where names differ."""
    known = {label: [m[part] for m in meanings(text) if len(m[part]) > 1] for label, text in g.SUPPORT.items()}
    rows = []
    for i in range(count):
        a_class, b_class = r.sample(sorted(known), 2)
        if i % 3 == 0:
            a, b = r.sample(r.choice(known[a_class]), 2)
            score = 1.0
        elif i % 3 == 1:
            first, second = r.sample(known[a_class], 2)
            a, b, score = r.choice(first), r.choice(second), 0.4
        else:
            a, b, score = r.choice(r.choice(known[a_class])), r.choice(r.choice(known[b_class])), 0.0
        a, b = fill(r, a, part), fill(r, b, part)
        rows.append((sentence(a), sentence(b), f"{score:.1f}"))
    r.shuffle(rows)
    return rows


def save(name, header, rows):
    lines = ["\t".join(r) for r in (header, *rows)]
    pathlib.Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    for name, table, write, counts in (("support", g.SUPPORT, message, (32, 100)),
                                       ("sentiment", g.SENTIMENT, review, (32, 120))):
        for part, kind in ((TRAIN, "train"), (TEST, "test")):
            save(f"{name}.{kind}.tsv", ("text", "label"), classes(random.Random(f"{name}-{kind}"), table, write, part, counts[part]))
    save("pairs.train.tsv", ("first", "second", "score"), pairs(random.Random("pairs-train"), TRAIN, 800))
    save("pairs.test.tsv", ("first", "second", "score"), pairs(random.Random("pairs-test"), TEST, 150))

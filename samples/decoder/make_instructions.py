# SPDX-License-Identifier: Apache-2.0
"""Writes the instruction set for the sample decoder, about the same world that its texts are about.

    python3 make_instructions.py OUT_DIR    instruct.train.jsonl, instruct.test.jsonl, choices.jsonl

What is asked about in the held-back part (a person's pet, a word's plural, a list) is asked about nowhere
in the training part, and the last of every kind's four wordings is kept for it as well: the answers must
come from what the decoder learnt from its texts. choices.jsonl asks held-back instructions with four
answers each, in the decoder's own form, for `tokentune eval`.
"""
import collections
import json
import pathlib
import random
import sys

import world
from make_text import instruction_text

PER_TASK = {"train": 110, "test": 7}
HELD_BACK = 0.25  # of the things to know
QUESTIONS = 100


def record(item, instruction):
    text, about = (instruction, "") if isinstance(instruction, str) else instruction
    return {"instruction": text, "input": about, "output": item.answer}


def main(out):
    r = random.Random("instructions")
    by_task = collections.defaultdict(list)
    for i in world.fixed(random.Random("world")):
        by_task[i.task].append(i)
    for _ in range(1600):
        i = world.drawn(r)
        by_task[i.task].append(i)
    rows, asked = {"train": [], "test": []}, []
    for task, items in by_task.items():
        keys = sorted({i.key for i in items}, key=str)
        held = set(r.sample(keys, max(3, round(len(keys) * HELD_BACK))))
        train, test = [i for i in items if i.key not in held], [i for i in items if i.key in held]
        told = [(i, x) for i in train for x in i.instructions[:3]]
        rows["train"] += [record(i, x) for i, x in r.sample(told, min(PER_TASK["train"], len(told)))]
        for n, i in enumerate(r.sample(test, min(PER_TASK["test"], len(test)))):
            rows["test"].append(record(i, i.instructions[3 if n % 2 else n % 3]))
        asked += [(i, r.choice(i.instructions)) for i in test if len(i.wrong) >= 3]
    questions = []
    for i, x in r.sample(asked, QUESTIONS):
        choices = r.sample(i.wrong, 3) + [i.answer]
        r.shuffle(choices)
        questions.append({"context": f"Instruction: {instruction_text(x)}\nAnswer:", "choices": choices,
                          "gold": choices.index(i.answer)})
    for part in rows:
        r.shuffle(rows[part])
    for name, content in (("instruct.train", rows["train"]), ("instruct.test", rows["test"]), ("choices", questions)):
        text = "".join(json.dumps(x, ensure_ascii=False) + "\n" for x in content)
        (out / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{name}: {len(content)}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

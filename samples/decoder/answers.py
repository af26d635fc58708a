# SPDX-License-Identifier: Apache-2.0
"""What models answer to held-back instructions, side by side, and how often exactly what they should.

    python3 samples/decoder/answers.py [-n SHOWN] MODEL...      model or adapter folders

Greedy, by `tokentune generate`; the questions of samples/data/instruct.test.jsonl.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile

SAMPLES = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("TOKENTUNE", SAMPLES.parent / "build" / "tokentune")


def answers(model, prompts):
    which = "--adapter" if (model / "adapter_config.json").exists() else "--model"
    command = [PROGRAM, "generate", which, model, "--template", "model", "--max-new", "40", "--json"]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as f:
        f.write("".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
        f.flush()
        got = subprocess.run([*command, "--file", f.name], stdout=subprocess.PIPE, check=True, encoding="utf-8")
    return [json.loads(line)["text"].strip() for line in got.stdout.splitlines()]


def short(text, width):
    text = text.replace("\n", " / ")
    return (text if len(text) <= width else text[:width - 2] + "..").ljust(width)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("-n", type=int, default=12)
    arguments.add_argument("model", nargs="+", type=pathlib.Path)
    arguments = arguments.parse_args()
    lines = (SAMPLES / "data" / "instruct.test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    prompts = [x["instruction"] + ("\n\n" + x["input"] if x["input"] else "") for x in rows]
    given = [answers(m, prompts) for m in arguments.model]
    for i in range(min(arguments.n, len(rows))):
        print(short(prompts[i], 44), *[short(a[i], 26) for a in given], sep=" | ")
    for model, a in zip(arguments.model, given):
        right = sum(x == row["output"] for x, row in zip(a, rows))
        print(f"{model}: {right} of {len(rows)} exactly right")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Ten steps of ordinary fine-tuning of a decoder in torch: what tests/cli/decoders.sh must repeat.

    python tests/ref/causal_run.py        (needs torch, transformers, tokenizers)

Writes causal_run.jsonl, eight samples for the letters of tests/ref/letters, and causal_run.txt: loss and
gradient norm before clipping, a line a step. Each step is the gradient of all samples, one by one.
"""
import json
import os

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = ["ab", "cadb", "ddc", "bacbad", "cc", "abcd", "dab", "bdca"]


def main():
    path = lambda name: os.path.join(HERE, name)
    tokenizer = Tokenizer.from_file(path("letters/tokenizer.json"))
    samples = []
    with open(path("causal_run.jsonl"), "w") as out:
        for i, word in enumerate(WORDS):
            task = ("copy", "upper")[i % 2]
            answer = word.upper() if i % 2 else word
            out.write(json.dumps({"instruction": task, "input": word, "output": answer}) + "\n")
            prompt = f"{task}\n\n{word}\n"
            samples.append((tokenizer.encode(prompt + answer + "</s>").ids, len(tokenizer.encode(prompt).ids)))
    model = AutoModelForCausalLM.from_pretrained(path("../cases/llama-full-all/model"))
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01},
                                   {"params": others, "weight_decay": 0.0}], lr=3e-3)
    with open(path("causal_run.txt"), "w") as out:
        for _ in range(10):
            optimizer.zero_grad()
            total, count = 0, 0
            for ids, prompt in samples:
                ids = torch.tensor([ids])
                target = ids[0, 1:].clone()
                target[:prompt - 1] = -100
                total = total + F.cross_entropy(model(ids).logits[0, :-1], target, reduction="sum")
                count += (target >= 0).sum()
            (total / count).backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            out.write(f"{float(total / count):.8g} {float(norm):.8g}\n")


if __name__ == "__main__":
    main()

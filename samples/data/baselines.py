# SPDX-License-Identifier: Apache-2.0
"""How hard the sample sets are: bag of words, and MiniLM fine-tuned by torch (development only).

    python3 baselines.py [MODEL_DIR]      needs numpy; with MODEL_DIR also torch and transformers
"""
import csv
import re
import sys

import numpy as np


def read(name):
    with open(name, encoding="utf-8") as f:
        return list(csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def bag_of_words(train, test):
    """Logistic regression on word and word-pair presence, L2 0.01 a text, by plain gradient descent."""
    def words(t):
        w = re.findall(r"\w+", t.lower())
        return w + [a + " " + b for a, b in zip(w, w[1:])]
    vocab = {w: i for i, w in enumerate(sorted({w for t, _ in train for w in words(t)}))}
    names = sorted({y for _, y in train})

    def matrix(rows):
        x = np.zeros((len(rows), len(vocab) + 1))
        x[:, -1] = 1
        for i, (t, _) in enumerate(rows):
            for w in words(t):
                if w in vocab:
                    x[i, vocab[w]] = 1
        return x / np.sqrt(x.sum(1, keepdims=True)), np.array([names.index(y) for _, y in rows])

    (x, y), (xt, yt) = matrix(train), matrix(test)
    w = np.zeros((x.shape[1], len(names)))
    for _ in range(2000):
        p = np.exp(x @ w)
        p /= p.sum(1, keepdims=True)
        w -= 2.0 * (x.T @ (p - np.eye(len(names))[y]) / len(y) + 0.001 * w)
    return ((x @ w).argmax(1) == y).mean(), ((xt @ w).argmax(1) == yt).mean()


def fine_tuned(model_dir, train, test, epochs=10, lr=1e-4, seed=1):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    torch.manual_seed(seed)
    tok = AutoTokenizer.from_pretrained(model_dir)
    names = sorted({y for _, y in train})
    model = AutoModelForSequenceClassification.from_pretrained(model_dir, num_labels=len(names))
    opt = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)

    def batch(rows):
        return tok([t for t, _ in rows], padding=True, return_tensors="pt"), torch.tensor([names.index(y) for _, y in rows])

    def accuracy():
        model.eval()
        right = 0
        with torch.no_grad():
            for i in range(0, len(test), 32):
                x, y = batch(test[i:i + 32])
                right += (model(**x).logits.argmax(1) == y).sum().item()
        return right / len(test)

    before = accuracy()
    steps = epochs * -(-len(train) // 8)
    done = 0
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(train))
        for i in range(0, len(train), 8):
            x, y = batch([train[j] for j in order[i:i + 8]])
            for group in opt.param_groups:
                group["lr"] = lr * min(1, (done + 1) / (0.1 * steps)) * (1 - done / steps)
            opt.zero_grad()
            torch.nn.functional.cross_entropy(model(**x).logits, y).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            done += 1
    return before, accuracy()


if __name__ == "__main__":
    for name in ("support", "sentiment"):
        rows = read(f"{name}.train.tsv"), read(f"{name}.test.tsv")
        print(name, "bag of words: train %.3f, held back %.3f" % bag_of_words(*rows), flush=True)
        if len(sys.argv) > 1:
            print(name, "fine-tuned: before %.3f, after %.3f" % fine_tuned(sys.argv[1], *rows), flush=True)

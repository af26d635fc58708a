# SPDX-License-Identifier: Apache-2.0
"""Prints the values that tests/unit/data/test_metrics.c expects, from the definitions, in plain Python."""
from math import sqrt


def classes(truth, predicted):
    n = len(truth)
    labels = sorted(set(truth) | set(predicted))
    f1 = [2 * sum(t == p == c for t, p in zip(truth, predicted)) / (truth.count(c) + predicted.count(c))
          for c in labels]
    t_of = [truth.count(c) for c in labels]
    p_of = [predicted.count(c) for c in labels]
    correct = sum(t == p for t, p in zip(truth, predicted))
    spread = (n * n - sum(p * p for p in p_of)) * (n * n - sum(t * t for t in t_of))
    mcc = (correct * n - sum(t * p for t, p in zip(t_of, p_of))) / sqrt(spread) if spread else 0
    return correct / n, sum(f1) / len(labels), mcc


def pearson(x, y):
    mx, my = sum(x) / len(x), sum(y) / len(y)
    xy = sum((a - mx) * (b - my) for a, b in zip(x, y))
    return xy / sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))


def ranks(x):
    return [sum(b < a for b in x) + (x.count(a) + 1) / 2 for a in x]


if __name__ == "__main__":
    print(classes([0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 0, 1]))
    print(classes([0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 0, 0]))
    print(classes([2, 0, 2, 2, 0, 1, 1, 2, 0, 1], [0, 0, 2, 2, 0, 2, 1, 2, 1, 1]))
    for x, y in (([1, 2, 3, 4], [1, 8, 27, 64]), ([1, 2, 2, 3, 5], [2, 1, 4, 4, 3])):
        print(sum((a - b) ** 2 for a, b in zip(x, y)) / len(x), pearson(x, y), pearson(ranks(x), ranks(y)))

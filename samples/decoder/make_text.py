# SPDX-License-Identifier: Apache-2.0
"""Writes what the sample decoder is trained on from nothing: a tokenizer and texts about a small world.

    python3 make_text.py OUT_DIR      config.json, tokenizer.json, tokenizer_config.json,
                                      generation_config.json, train.jsonl, test.jsonl

A text is a handful of statements and answered questions about world.py's things, in any order. Answers
stand behind their question as statements or alone; nobody is told to do anything, so that following
instructions is left to learn. The tokenizer is a byte-level BPE (any text can be written with it), its
merges learnt here from the texts.
"""
import collections
import json
import pathlib
import random
import re
import sys

import world

TEXTS = {"train": 18000, "test": 200}
VOCAB, HIDDEN, LAYERS, HEADS, KV_HEADS, FFN, POSITIONS = 1024, 128, 4, 4, 2, 384, 512
BEGIN, END = "<|begin|>", "<|end|>"
WORD = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
CHAT = ("{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ 'Instruction: ' + m['content'] + "
        "'\\nAnswer:' }}{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token + '\\n' }}{% else %}"
        "{{ m['content'] + '\\n' }}{% endif %}{% endfor %}")


def instruction_text(instruction):
    return instruction if isinstance(instruction, str) else "\n\n".join(instruction)


def sentence(r, item):
    if r.random() < 0.6:
        return r.choice(item.statements)
    answer = r.choice(item.statements) if r.random() < 0.3 or item.task == "about" else item.answer.capitalize() + "."
    if item.answer.endswith(".") and item.task != "about":
        answer = item.answer
    return r.choice(item.questions) + " " + answer


def text(r, by_task):
    out = []
    for _ in range(r.randint(6, 11)):
        task = r.choice(list(by_task) + ["list"] * 7)
        out.append(sentence(r, world.drawn(r) if task == "list" else r.choice(by_task[task])))
    return r.choice(("\n", " ")).join(out)


def alphabet():
    """GPT-2's: a printable character for each byte."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    other = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(other)}}


def merges(texts, letters, n):
    """The n most frequent pairs, one after the other; of equals the first in the alphabet."""
    count = collections.Counter(w for t in texts for w in WORD.findall(t))
    words = [([letters[b] for b in w.encode()], c) for w, c in sorted(count.items())]
    out = []
    while len(out) < n:
        pairs = collections.Counter()
        for w, c in words:
            for p in zip(w, w[1:]):
                pairs[p] += c
        best = min(pairs, key=lambda p: (-pairs[p], p))
        out.append(best)
        for w, _ in words:
            i = 0
            while i + 1 < len(w):
                if (w[i], w[i + 1]) == best:
                    w[i:i + 2] = ["".join(best)]
                i += 1
    return out


def tokenizer(texts):
    letters = alphabet()
    learnt = merges(texts, letters, VOCAB - 2 - 256)
    pieces = [BEGIN, END] + [letters[b] for b in sorted(letters, key=letters.get)] + ["".join(p) for p in learnt]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, t in enumerate((BEGIN, END))]
    begin, first = {"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {"type": "TemplateProcessing", "single": [begin, first],
                           "pair": [begin, first, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {BEGIN: {"id": BEGIN, "ids": [0], "tokens": [BEGIN]}}},
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {p: i for i, p in enumerate(pieces)}, "merges": [" ".join(p) for p in learnt]},
    }


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    by_task = collections.defaultdict(list)
    items = world.fixed(random.Random("world"))
    for i in items:
        by_task[i.task].append(i)
    texts = []
    for part, n in TEXTS.items():
        r = random.Random(f"decoder-{part}")
        rows = [text(r, by_task) for _ in range(n)]
        texts += rows if part == "train" else []
        lines = "".join(json.dumps({"text": t}) + "\n" for t in rows)
        (out / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    told = ["Instruction: " + instruction_text(x) + "\nAnswer:" for i in items for x in i.instructions]
    files = {
        "tokenizer.json": tokenizer(texts + told),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN, "eos_token": END,
            "model_max_length": POSITIONS, "clean_up_tokenization_spaces": False, "chat_template": CHAT},
        "generation_config.json": {"bos_token_id": 0, "eos_token_id": 1},
        "config.json": {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB,
            "hidden_size": HIDDEN, "intermediate_size": FFN, "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HIDDEN // HEADS,
            "hidden_act": "silu", "max_position_embeddings": POSITIONS, "rope_theta": 10000.0,
            "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False,
            "initializer_range": 0.04, "bos_token_id": 0, "eos_token_id": 1, "torch_dtype": "float32"},
    }
    for name, content in files.items():
        indent = None if name == "tokenizer.json" else 2
        (out / name).write_text(json.dumps(content, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

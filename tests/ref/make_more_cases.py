# SPDX-License-Identifier: Apache-2.0
"""Writes parity cases of other sizes, lengths, activations, adapters and checkpoint layouts.

    python make_more_cases.py OUT_DIR [--only NAME ...] [--committed] [--list]

The same folders as make_cases.py writes, by the same code: only the tables differ. `--committed` names the few
that live in tests/cases; the others are made when needed (they are large together). What a case may change:
    (the oracle takes a tensor shaped [batch, longest] for one of tokens: labels must not number as the longest)
    cfg       keys of the Hugging Face configuration, over those of make_cases.ENC
    lengths   of the batch's sequences                      lora      rank, alpha
    ids       (sequence, position, id) put into the batch   layout    how the checkpoint is stored:
              "gamma"   LayerNorm parameters under their old names, gamma and beta
              "bare"    no "bert." before the encoder's names, and a stray position_ids buffer
              "shards"  four files and model.safetensors.index.json
"""
import argparse
import json
import pathlib
from contextlib import contextmanager

import torch
from safetensors.torch import load_file, save_file

import make_cases as base
from selection_oracle import mean_pooling

DISTIL = dict(vocab_size=96, dim=32, n_layers=3, n_heads=4, hidden_dim=56, max_position_embeddings=64, dropout=0.0,
              attention_dropout=0.0, seq_classif_dropout=0.0, initializer_range=0.15)
ROBERTA = dict(base.ENC, pad_token_id=1, type_vocab_size=1, max_position_embeddings=80)
LENGTHS = [23, 9, 31]


def enc(hidden=32, heads=4, ffn=56, layers=3, **more):
    return dict(hidden_size=hidden, num_attention_heads=heads, intermediate_size=ffn, num_hidden_layers=layers, **more)


def bert(task="classify:2", ratio=0.3, cfg=None, **more):
    return dict(kind="bert", cfg=dict(base.ENC, **(cfg or {})), task=task, ratio=ratio, **more)


def roberta(task="classify:2", ratio=0.3, cfg=None, **more):
    return dict(kind="roberta", cfg=dict(ROBERTA, **(cfg or {})), task=task, ratio=ratio, **more)


def distil(task="classify:2", ratio=0.3, cfg=None, **more):
    return dict(kind="distilbert", cfg=dict(DISTIL, **(cfg or {})), task=task, ratio=ratio, **more)


def lora(targets, r=4, alpha=8):
    return dict(method="lora", targets=targets, lora=dict(r=r, lora_alpha=alpha, lora_dropout=0.0))


CASES = {
    # other sizes
    "bert-tiny-h20":        bert("classify:7", cfg=enc(20, 2, 33, 1, vocab_size=40), lengths=[5, 1, 2, 12]),
    "bert-h48-heads6":      bert("classify:4", cfg=enc(48, 6, 101, 2), lengths=[17, 3, 40]),
    "bert-h100-heads5":     bert("classify:5", cfg=enc(100, 5, 203, 2, vocab_size=61), lengths=[9, 30]),
    "bert-h100-heads2":     bert("classify:2", cfg=enc(100, 2, 50, 1), lengths=[33, 8, 1]),
    "bert-5-layers":        bert("classify:3", cfg=enc(32, 4, 57, 5), lengths=[12, 7, 21]),
    "bert-head-of-1":       bert("classify:2", cfg=enc(12, 12, 7, 2), lengths=[11, 6]),
    "bert-one-head":        bert("classify:2", cfg=enc(37, 1, 19, 2), lengths=[11, 6]),
    "bert-narrow-wide-ffn": bert("classify:2", cfg=enc(8, 2, 260, 2), lengths=[10, 20]),
    "bert-vocab-1000":      bert("classify:2", cfg=enc(32, 4, 56, 1, vocab_size=1000), lengths=[40, 64]),
    "roberta-h20":          roberta("classify:3", cfg=enc(20, 2, 33, 1, vocab_size=40), lengths=[5, 1, 2, 12]),
    "distilbert-h48":       distil("classify:6", cfg=dict(dim=48, n_heads=6, hidden_dim=101, n_layers=2),
                                   lengths=[17, 3, 40]),
    "distilbert-1-layer":   distil("classify:2", cfg=dict(dim=20, n_heads=5, hidden_dim=9, n_layers=1),
                                   lengths=[2, 15]),
    # other lengths: one token alone, two, the longest the model takes, many sequences
    "bert-length-1":        bert("classify:3", lengths=[1]),
    "bert-lengths-1-all":   bert("classify:3", 1.0, lengths=[1, 1, 1]),
    "bert-length-2":        bert("classify:3", lengths=[2, 2]),
    "bert-length-17":       bert("classify:3", 0.1, lengths=[17]),
    "bert-length-64":       bert("classify:3", 0.3, lengths=[64, 64]),
    "bert-mixed-lengths":   bert("classify:3", 0.3, lengths=[1, 64, 2, 17, 33, 1, 8, 16, 15]),
    "roberta-length-1":     roberta("classify:3", lengths=[1, 2]),
    "roberta-length-64":    roberta("classify:2", lengths=[64, 1]),
    "distilbert-length-1":  distil("classify:2", lengths=[1, 2, 64]),
    "bert-twenty":          bert("classify:3", 0.5, lengths=list(range(1, 21))),
    # other shares
    "bert-keep-05":         bert("classify:2", 0.05),
    "bert-keep-90":         bert("classify:2", 0.9),
    "roberta-all":          roberta("classify:2", 1.0),
    "distilbert-all":       distil("classify:2", 1.0),
    "distilbert-keep-10":   distil("classify:4", 0.1),
    # regression and mean pooling elsewhere
    "roberta-regress":      roberta("regress"),
    "distilbert-regress":   distil("regress"),
    "bert-regress-lora":    bert("regress", **lora(["query", "value"])),
    "bert-mean-all":        bert("classify-mean:4", 1.0),
    "bert-mean-lengths":    bert("classify-mean:3", 0.3, lengths=[1, 2, 64, 17]),
    "roberta-mean":         roberta("classify-mean:3"),
    "distilbert-mean":      distil("classify-mean:3"),
    # activations
    **{f"bert-{act.replace('_', '-')}": bert("classify:2", cfg=dict(hidden_act=act, num_hidden_layers=2))
       for act in ("gelu_new", "gelu_pytorch_tanh", "relu", "silu")},
    "roberta-relu":         roberta("classify:2", cfg=dict(hidden_act="relu", num_hidden_layers=2)),
    "roberta-silu":         roberta("classify:2", cfg=dict(hidden_act="silu", num_hidden_layers=2)),
    "distilbert-relu":      distil("classify:2", cfg=dict(activation="relu", n_layers=2)),
    "distilbert-gelu-new":  distil("classify:2", cfg=dict(activation="gelu_new", n_layers=2)),
    # adapters
    "bert-lora-rank1":      bert(**lora(["query"], 1, 3)),
    "bert-lora-rank7":      bert(**lora(["key", "value"], 7, 5)),
    "bert-lora-dense":      bert("classify:3", **lora(["dense"], 3, 16)),
    "bert-lora-all-linear": bert("classify:3", **lora("all-linear", 2, 4)),
    "bert-lora-all-k100":   bert("classify:3", 1.0, **lora(["query", "key", "value", "dense"], 5, 10)),
    "bert-lora-paths":      bert(**lora(["attention.output.dense", "layer.1.intermediate.dense"], 4, 8)),
    "bert-lora-mean":       bert("classify-mean:3", **lora(["query", "value"])),
    "bert-lora-lengths":    bert(lengths=[1, 2, 17, 64], **lora(["query", "value", "key"], 9, 9)),
    "roberta-lora":         roberta(**lora(["query", "value"])),
    "roberta-lora-dense":   roberta(**lora(["intermediate.dense", "attention.output.dense"], 7, 2)),
    "distilbert-lora":      distil(**lora(["q_lin", "v_lin"])),
    "distilbert-lora-ffn":  distil("classify:5", **lora(["lin1", "lin2", "out_lin", "k_lin"], 1, 1)),
    # text with special ids inside
    "bert-pad-in-text":     bert(ids=[(0, 4, 0), (0, 5, 0), (2, 30, 0)]),
    "roberta-pad-in-text":  roberta(ids=[(0, 4, 1), (0, 5, 1), (2, 30, 1)]),
    "bert-one-word":        bert(ids=[(0, p, 7) for p in range(1, 23)] + [(1, p, 7) for p in range(1, 9)]),
    # checkpoint layouts and seeds
    "bert-gamma-beta":      bert("classify:3", layout="gamma", cfg=dict(num_hidden_layers=2)),
    "bert-bare-names":      bert("classify:3", layout="bare", cfg=dict(num_hidden_layers=2)),
    "bert-shards":          bert("classify:3", layout="shards", cfg=dict(num_hidden_layers=2)),
    "bert-no-types":        bert(cfg=dict(type_vocab_size=1)),
    "bert-eps":             bert(cfg=dict(layer_norm_eps=1e-3)),
    "bert-seed-7":          bert("classify:3", seed=7),
    "roberta-seed-8":       roberta("classify:3", seed=8),
    "distilbert-seed-9":    distil("classify:3", seed=9),
}
# Small ones that between them touch every part of the table above.
SMALL = dict(enc(16, 2, 21, 1), vocab_size=40, max_position_embeddings=44)
COMMITTED = {
    "bert-tiny-h20":        CASES["bert-tiny-h20"],
    "bert-small-gelu-new":  bert(cfg=dict(SMALL, hidden_act="gelu_new"), lengths=[6, 1]),
    "bert-small-silu":      bert(cfg=dict(SMALL, hidden_act="silu"), lengths=[6, 2], layout="gamma"),
    "bert-small-relu":      bert(cfg=dict(SMALL, hidden_act="relu"), lengths=[6, 17], ids=[(1, 3, 0)], layout="bare"),
    "bert-small-shards":    bert("regress", cfg=SMALL, lengths=[6, 1, 40], layout="shards"),
    "roberta-small-mean":   roberta("classify-mean:3", cfg=SMALL, lengths=[6, 1, 40]),
    "bert-small-lora-all":  bert("classify:3", cfg=SMALL, lengths=[6, 1, 40], **lora("all-linear", 3, 4)),
    "bert-small-lora-1":    bert("classify:3", 1.0, cfg=SMALL, lengths=[6, 9], **lora(["dense"], 1, 3)),
    "roberta-small-lora":   roberta(cfg=SMALL, lengths=[6, 1, 40], ids=[(2, 9, 1)],
                                    **lora(["intermediate.dense", "attention.output.dense"], 7, 2)),
    "distilbert-small-lora": distil("classify:5", cfg=dict(dim=16, n_heads=2, hidden_dim=21, n_layers=2, vocab_size=40,
                                              max_position_embeddings=44),
                                     lengths=[6, 1, 40], **lora(["q_lin", "v_lin", "lin2"], 2, 3)),
}


@contextmanager
def mean_first(model, rows):
    """Position 0 of the encoder's output becomes the mean over rows, for whatever head reads it."""
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    if model.config.model_type == "bert":  # whose pooler is inside the encoder
        with mean_pooling(model, rows):
            yield
        return

    def replace(_module, _inputs, out):
        h = out[0]
        w = rows[..., None].to(h.dtype)
        mean = (h * w).sum(1, keepdim=True) / w.sum(1, keepdim=True)
        out.last_hidden_state = torch.cat([mean, h[:, 1:]], 1)
        return out

    handle = model.base_model.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def store(folder, layout):
    path = folder / "model.safetensors"
    w = load_file(path)
    if layout == "gamma":
        w = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
             for k, v in w.items()}
    if layout == "bare":
        w = {k.removeprefix("bert."): v for k, v in w.items()}
        w["embeddings.position_ids"] = torch.arange(64)[None]
    if layout != "shards":
        save_file(w, path, metadata={"format": "pt"})
        return
    path.unlink()
    names, index = sorted(w), {}
    for i in range(4):
        file = f"model-{i + 1:05d}-of-00004.safetensors"
        part = names[i::4]
        save_file({k: w[k] for k in part}, folder / file, metadata={"format": "pt"})
        index.update({k: file for k in part})
    total = sum(v.numel() * v.element_size() for v in w.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=1))


def write(root, name, case):
    method = case.get("method", "full")
    base.CASES[name] = (case["kind"], case["cfg"], case["task"], case["ratio"], method, case.get("targets"))
    base.LENGTHS = case.get("lengths", LENGTHS)
    base.LORA = case.get("lora", dict(r=4, lora_alpha=8, lora_dropout=0.0))
    plain_batch, plain_mean = base.batch_of, base.mean_pooling

    def batch_of(*a):
        b = plain_batch(*a)
        for s, p, i in case.get("ids", []):
            b["ids"][s, p] = i
        return b

    base.batch_of = batch_of
    if case["kind"] != "bert" or method == "lora":
        base.mean_pooling = mean_first
    try:
        base.write_case(root, name, case.get("seed", 1))
    finally:
        base.batch_of, base.mean_pooling = plain_batch, plain_mean
    if case.get("layout"):
        store(root / name / "model", case["layout"])
    (root / name / "adapter" / "README.md").unlink(missing_ok=True)


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--only", nargs="*")
    ap.add_argument("--committed", action="store_true")
    ap.add_argument("--list", action="store_true")
    a = ap.parse_args()
    table = COMMITTED if a.committed else CASES
    torch.set_num_threads(1)
    for case_name in a.only or table:
        print(case_name) if a.list else write(a.out, case_name, table[case_name])

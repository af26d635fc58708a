# SPDX-License-Identifier: Apache-2.0
"""Loads what training writes with transformers and peft, and compares their answers with `tokentune predict`.

    python check_export.py PROGRAM [SUMMARY]      needs torch, transformers, peft, tokenizers

Prints a line for each run and leaves "passed failed skipped" in SUMMARY.
"""
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import warnings

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = "the a film food day was is very not good bad fine poor and but with rain sun old new".split()
TOLERANCE = 1e-4  # of the largest probability or value


def texts(count, seed):
    r = random.Random(seed)
    return [" ".join(r.choices(WORDS, k=r.randint(1, 14))) for _ in range(count)]


def tokenizer(folder, kind):
    if kind == "roberta":
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        t.train_from_iterator(texts(50, 3), trainers.BpeTrainer(vocab_size=96, initial_alphabet=list("abcdefghijklmnopqrstuvwxyzĠ"),
                              special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"]))
        t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        t.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    else:
        letters = "abcdefghijklmnopqrstuvwxyz"
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters), *WORDS]
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}))


def reference(folder, base, pairs, regress):
    """Outputs of the trained model as a user of transformers gets them."""
    if (folder / "adapter_config.json").exists():
        from peft import PeftModel
        whole = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1 if regress else 2,
                                                                   ignore_mismatched_sizes=True)
        model = PeftModel.from_pretrained(whole, folder)
        tok = AutoTokenizer.from_pretrained(base)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        tok = AutoTokenizer.from_pretrained(folder)
    model.eval()
    out = []
    with torch.no_grad():
        for p in pairs:
            x = tok(*p, return_tensors="pt", truncation=True, max_length=60)
            x = {k: v for k, v in x.items() if k in ("input_ids", "attention_mask", "token_type_ids")}
            if model.config.model_type != "bert":
                x.pop("token_type_ids", None)
            out.append(model(**x).logits[0])
    return torch.stack(out), model.config


def answers(program, folder, pairs, labels):
    header = "text\ttext2\n" if len(pairs[0]) == 2 else "text\n"
    lines = header + "".join("\t".join(p) + "\n" for p in pairs)
    file = folder.parent / "ask.tsv"
    file.write_text(lines)
    command = [program, "predict", str(folder), str(file)] + (["--text2", "text2"] if len(pairs[0]) == 2 else [])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    if labels is None:
        return torch.tensor([[r["value"]] for r in rows])
    return torch.tensor([[r["probabilities"][n] for n in labels] for r in rows])


def run(program, work, name, case, overrides, regress=False, pair=False, kind="bert"):
    base, out = work / f"{name}-base", work / name
    shutil.copytree(ROOT / "tests/cases" / case / "model", base)
    tokenizer(base, kind)
    r, rows = random.Random(5), []
    for t in texts(24, 1):
        label = f"{r.uniform(-1, 1):.3f}" if regress else ("yes" if "good" in t or "fine" in t else "no")
        rows.append([t] + ([texts(1, t)[0]] if pair else []) + [label])
    data = work / f"{name}.tsv"
    data.write_text("\n".join("\t".join(x) for x in [["text"] + (["text2"] if pair else []) + ["label"], *rows]) + "\n")
    (work / "run.yaml").write_text(f"model:\n  path: {base}\ndata:\n  train: {data}\ntrain:\n  steps: 6\n  batch: 4\n  lr: 1e-3\n"
                                   f"output:\n  dir: {out}\n")
    done = subprocess.run([program, "train", str(work / "run.yaml"), *overrides, *(["task=regress"] if regress else []),
                           *(["data.text2=text2"] if pair else [])], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    ask = [(t, u) if pair else (t,) for t, u in zip(texts(12, 7), texts(12, 8))]
    want, config = reference(out / "final", base, ask, regress)
    labels = None if regress else [config.id2label[i] for i in range(config.num_labels)]
    if not regress:
        want = want.softmax(-1)
        if set(labels) != {"yes", "no"}:
            labels = ["no", "yes"]  # an adapter folder has no place for names: theirs are sorted
    got = answers(program, out / "final", ask, labels)
    error = ((got - want).abs().max() / want.abs().max()).item()
    if not error <= TOLERANCE:
        raise RuntimeError(f"answers differ by {error:.2e}")
    return error


RUNS = [
    ("bert", "bert-cls-full-all", [], {}),
    ("bert-keep", "bert-cls-full-all", ["select.keep=0.3", "train.accumulate=2"], {}),
    ("bert-pairs", "bert-cls-full-all", [], dict(pair=True)),
    ("bert-regress", "bert-regress-full-k30", [], dict(regress=True)),
    ("bert-three-to-two", "bert-cls-full-k30", [], {}),
    ("bert-lora", "bert-cls-full-all", ["method.name=lora", "method.targets=query,value"], {}),
    ("bert-lora-three-to-two", "bert-cls-full-k30", ["method.name=lora"], {}),
    ("bert-lora-dense", "bert-cls-full-all", ["method.name=lora", "method.targets=dense", "method.rank=3"], {}),
    ("bert-lora-regress", "bert-regress-full-k30", ["method.name=lora", "method.targets=query,key"], dict(regress=True)),
    ("distilbert", "distilbert-cls-full-k30", [], dict(kind="distilbert")),
    ("distilbert-lora", "distilbert-cls-full-k30", ["method.name=lora", "method.targets=q_lin,v_lin"], dict(kind="distilbert")),
    ("roberta", "roberta-cls-full-k30", [], dict(kind="roberta")),
    ("roberta-lora", "roberta-cls-full-k30", ["method.name=lora", "method.targets=query,value"], dict(kind="roberta")),
]


def main():
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    program = str(pathlib.Path(sys.argv[1]).resolve())
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, case, overrides, more in RUNS:
            try:
                error = run(program, pathlib.Path(folder), name, case, overrides, **more)
                print(f"ok   {name}: answers agree to {error:.1e}", flush=True)
            except Exception as e:  # one run must not hide the next
                failed += 1
                print(f"FAIL {name}: {e}", flush=True)
    print(f"check_export.py: {len(RUNS) - failed} passed, {failed} failed")
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).write_text(f"{len(RUNS) - failed} {failed} 0\n")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

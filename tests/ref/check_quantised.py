# SPDX-License-Identifier: Apache-2.0
"""Quantised models between this program and others: transformers with bitsandbytes, and peft.

    python check_quantised.py PROGRAM [SUMMARY]      needs torch, transformers, peft, tokenizers, bitsandbytes

For each model, with double quantisation and without:
    quantise  `tokentune quantise` gives the bytes that transformers gives where it quantises the same model
    load      transformers loads that folder; losses, logits, gradients and updates of an adapter over it are
              those of `tokentune verify`
    train     an adapter that `tokentune train` made over it loads in peft over transformers' 4-bit model, and the
              same numbers agree again
    merge     `tokentune merge` of that adapter gives the weights of peft's merge over the widened base
Prints a line for each and leaves "passed failed skipped" in SUMMARY.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BitsAndBytesConfig
from transformers.utils import logging

import check_export as export
import make_cases as base
import make_quantised_cases as quantised

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEC = dict(quantised.WHOLE, vocab_size=96)
ENC = dict(quantised.ENC, vocab_size=96, intermediate_size=128)
DISTIL = dict(quantised.DISTIL, vocab_size=96, hidden_dim=128)
MODELS = {
    "llama": (DEC, "causal", base.ALL),
    "qwen2": (dict(DEC, tie_word_embeddings=True), "causal", base.ALL),
    "phi3": (dict(DEC, resid_pdrop=0.0, embd_pdrop=0.0), "causal", ["qkv_proj", "down_proj"]),
    "gpt2": (dict(base.GPT2, n_embd=64, n_layer=2), "causal", ["c_attn", "c_proj"]),
    "bert": (ENC, "classify:2", ["query", "value", "dense"]),
    "distilbert": (DISTIL, "classify:2", ["q_lin", "lin2"]),
}
MERGED = 1e-6  # of the largest number of a tensor


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).strip().splitlines() if "warning" not in line]
        raise RuntimeError(said[-1] if said else f"exit {done.returncode}")


class Check:
    """One model: its folders, and what is tried on them in turn."""

    def __init__(self, program, work, kind, nested):
        self.program, self.work, self.kind, self.nested = program, work, kind, nested
        self.cfg, self.task, self.targets = MODELS[kind]
        self.auto = AutoModelForCausalLM if self.task == "causal" else AutoModelForSequenceClassification
        self.plain, self.ours, self.final = work / "plain", work / "ours", work / "run" / "final"

    def load(self, folder, **more):
        return self.auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **more)

    def quantise(self):
        torch.manual_seed(1)
        base.build(self.kind, self.cfg, self.task, torch.Generator().manual_seed(2)).save_pretrained(self.plain)
        run(self.program, "quantise", self.plain, "--to", "nf4", "--output", self.ours,
            *([] if self.nested else ["--no-double-quant"]))
        skip = json.loads((self.ours / "config.json").read_text())["quantization_config"]["llm_int8_skip_modules"]
        options = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", llm_int8_skip_modules=skip,
                                     bnb_4bit_use_double_quant=self.nested, bnb_4bit_compute_dtype=torch.float32)
        self.load(self.plain, quantization_config=options).save_pretrained(self.work / "theirs")
        a, b = (load_file(f / "model.safetensors") for f in (self.ours, self.work / "theirs"))
        if a.keys() ^ b.keys():
            raise RuntimeError(f"tensors of one side only: {sorted(a.keys() ^ b.keys())[:4]}")
        for name in a:
            if "quant_state" in name:
                x, y = (json.loads(bytes(t[name].tolist())) for t in (a, b))
                same = x == y
            else:
                same = a[name].dtype == b[name].dtype and torch.equal(a[name].reshape(-1), b[name].reshape(-1))
            if not same:
                raise RuntimeError(f"{name} is not what bitsandbytes makes of it")
        return f"{len(a)} tensors are the same"

    def theirs(self):
        """Our folder as transformers loads it."""
        model = self.load(self.ours)
        layers = [m for m in model.modules() if isinstance(m, Linear4bit)]
        if not layers:
            raise RuntimeError("transformers found no layer in 4 bits")
        for layer in layers:
            quantised.settle(layer)
        # transformers cannot save again what it loaded in 4 bits; a case gets our folder
        model.save_pretrained = lambda folder: pathlib.Path(folder).mkdir(parents=True)
        return model

    def verify(self, name, adapt):
        """A parity case over our folder, computed by transformers and peft."""
        kept, base.build = base.build, lambda *_: self.theirs()
        plain, base.adapt = base.adapt, adapt
        base.CASES[name] = (self.kind, self.cfg, self.task, 0.4, "lora", self.targets)
        base.LENGTHS = quantised.LENGTHS
        try:
            base.write_case(self.work, name, 3)
        finally:
            base.build, base.adapt = kept, plain
        shutil.rmtree(self.work / name / "model")
        shutil.copytree(self.ours, self.work / name / "model")
        run(self.program, "verify", self.work / name)
        return "losses, logits, gradients and updates agree"

    def load_adapted(self):
        return self.verify("fresh", base.adapt)

    def train(self):
        data = self.work / "data.tsv"
        if self.task == "causal":
            for f in (ROOT / "tests/ref/letters").iterdir():
                shutil.copy(f, self.ours)
            data = self.work / "data.jsonl"
            data.write_text("".join(json.dumps({"instruction": "copy", "output": t[:9]}) + "\n"
                                    for t in export.texts(24, 1)))
        else:
            export.tokenizer(self.ours, "bert")
            rows = [f"{t}\t{'yes' if 'good' in t or 'fine' in t else 'no'}" for t in export.texts(24, 1)]
            data.write_text("\n".join(["text\tlabel", *rows]) + "\n")
        (self.work / "run.yaml").write_text(
            f"task: {'causal' if self.task == 'causal' else 'classify'}\nmodel:\n  path: {self.ours}\n"
            f"data:\n  train: {data}\n"
            + ("  template: \"{user}\\n{assistant}{eos}\"\n" if self.task == "causal" else "")
            + f"method:\n  name: qlora\n  targets: [{', '.join(self.targets)}]\n  rank: 3\nselect:\n  keep: 0.5\n"
            f"train:\n  steps: 12\n  batch: 4\n  lr: 1e-2\noutput:\n  dir: {self.work / 'run'}\n")
        run(self.program, "train", self.work / "run.yaml")
        moved = [v.abs().max() for k, v in load_file(self.final / "adapter_model.safetensors").items() if "lora_B" in k]
        if not moved or min(moved) == 0:
            raise RuntimeError("training left an adapter as it was")
        return self.verify("trained", lambda model, *_: PeftModel.from_pretrained(model, self.final, is_trainable=True))

    def merge(self):
        command = [self.program, "merge", "--model", self.ours, "--adapter", self.final, "--out", self.work / "merged"]
        if self.kind == "gpt2":
            try:
                run(*command)
            except RuntimeError as e:
                if "transposed" in str(e):
                    return "is refused"
                raise
            raise RuntimeError("was not refused")
        run(*command)
        packed = {n: m for n, m in self.theirs().named_modules() if isinstance(m, Linear4bit)}
        model = self.load(self.plain)
        for name, module in model.named_modules():
            if name in packed:
                module.weight.data = quantised.widened(packed[name].weight)
        want = PeftModel.from_pretrained(model, self.final).merge_and_unload().state_dict()
        got, worst = load_file(self.work / "merged" / "model.safetensors"), 0.0
        for name in got:
            error = ((got[name] - want[name]).abs().max() / want[name].abs().max()).item()
            worst = max(worst, error)
            if not error <= MERGED:
                raise RuntimeError(f"{name}: error {error:.1e}")
        left = set(want) - set(got) - {"lm_head.weight"}  # tied, where it is not there
        if left:
            raise RuntimeError(f"not written: {sorted(left)[:3]}")
        again = self.load(self.work / "merged")
        if any(isinstance(m, Linear4bit) for m in again.modules()):
            raise RuntimeError("config.json still says that it is quantised")
        return f"{len(got)} tensors agree to {worst:.1e}"

    def steps(self):
        return dict(quantise=self.quantise, load=self.load_adapted, train=self.train, merge=self.merge)


def main():
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    program = pathlib.Path(sys.argv[1]).resolve()
    passed = failed = 0
    for kind in MODELS:
        for nested in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                check = Check(program, pathlib.Path(folder), kind, nested)
                for name, step in check.steps().items():
                    label = f"{kind}{' nested' if nested else ''}, {name}"
                    try:
                        print(f"ok   {label}: {step()}", flush=True)
                        passed += 1
                    except Exception as e:  # one step must not hide the next
                        failed += 1
                        print(f"FAIL {label}: {type(e).__name__}: {e}", flush=True)
    print(f"check_quantised.py: {passed} passed, {failed} failed")
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).write_text(f"{passed} {failed} 0\n")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

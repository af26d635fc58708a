# SPDX-License-Identifier: Apache-2.0
"""Writes parity cases over bases of 4 bits, as transformers saves them with bitsandbytes on the CPU.

    python make_quantised_cases.py OUT_DIR [--only NAME ...] [--committed] [--list]

The same folders as make_cases.py writes, by the same code, but model/ is quantised and peft trains an adapter over
it: QLoRA as others have it. Every layer is widened here from its nibbles and scales, code[nibble] * scale over blocks
of 64, because bitsandbytes' CPU kernels are wrong for some rows that are no whole number of blocks; where rows are
whole blocks they must give the same bits, or nothing is written. Needs bitsandbytes beside make_cases.py's needs.
"""
import argparse
import pathlib
import tempfile

import numpy as np
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BitsAndBytesConfig
import bitsandbytes.functional as bnb
from bitsandbytes.nn import Linear4bit

import make_cases as base

WHOLE = dict(vocab_size=64, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             intermediate_size=128, max_position_embeddings=64, attention_dropout=0.0, initializer_range=0.12,
             bos_token_id=1, eos_token_id=2, pad_token_id=0)
# 20 and a quarter blocks, and the like; no row begins where a block does
ODD = dict(WHOLE, hidden_size=36, num_attention_heads=2, num_key_value_heads=1, intermediate_size=50,
           tie_word_embeddings=True)
ENC = dict(base.ENC, vocab_size=64, hidden_size=64, num_hidden_layers=2, intermediate_size=100)
DISTIL = dict(vocab_size=64, dim=64, n_layers=2, n_heads=4, hidden_dim=100, max_position_embeddings=64, dropout=0.0,
              attention_dropout=0.0, seq_classif_dropout=0.0, initializer_range=0.15)
GPT2 = dict(base.GPT2, vocab_size=64, n_embd=48, n_layer=2)
# matrices of more than 64 KiB, activations of less: for devices that allow no larger buffer
CUT = dict(WHOLE, hidden_size=256, intermediate_size=640, num_hidden_layers=1, head_dim=16, vocab_size=70,
           tie_word_embeddings=True)
CAUSAL, LENGTHS, SHORT = "causal", [17, 9, 24], [7, 9]

# name: (model type, config, task, ratio, LoRA targets, modules left as they are, BitsAndBytesConfig's own)
CASES = {
    "nf4-llama-k30":        ("llama", WHOLE, CAUSAL, 0.3, base.ALL, None, {}),
    "nf4-llama-nested-k30": ("llama", WHOLE, CAUSAL, 0.3, base.MLP, None, dict(bnb_4bit_use_double_quant=True)),
    "nf4-llama-odd-k30":    ("llama", ODD, CAUSAL, 0.3, base.ALL, None, {}),
    "nf4-llama-odd-nested": ("llama", ODD, CAUSAL, 1.0, base.ALL, None, dict(bnb_4bit_use_double_quant=True)),
    "nf4-qwen2-all-k30":    ("qwen2", WHOLE, CAUSAL, 0.3, base.ALL, None, dict(bnb_4bit_use_double_quant=True)),
    "nf4-bert-cls-k30":     ("bert", ENC, "classify:3", 0.3, "all-linear", ["classifier"],
                             dict(bnb_4bit_use_double_quant=True)),
    "nf4-distilbert-k30":   ("distilbert", DISTIL, "classify:2", 0.3, ["q_lin", "v_lin", "lin2"],
                             ["pre_classifier", "classifier"], {}),
    "nf4-gpt2-k30":         ("gpt2", GPT2, CAUSAL, 0.3, ["c_attn", "c_fc", "c_proj"], None, {}),
    "nf4-phi3-k30":         ("phi3", dict(WHOLE, resid_pdrop=0.0, embd_pdrop=0.0), CAUSAL, 0.3,
                             ["qkv_proj", "down_proj"], None, dict(bnb_4bit_use_double_quant=True)),
    "nf4-cut-k30":          ("llama", CUT, CAUSAL, 0.3, ["down_proj"], None,
                             dict(bnb_4bit_use_double_quant=True)),
    "fp4-llama-k30":        ("llama", WHOLE, CAUSAL, 0.3, base.ALL, None, dict(bnb_4bit_quant_type="fp4")),
}
COMMITTED = ["nf4-llama-odd-k30", "nf4-qwen2-all-k30", "nf4-bert-cls-k30", "nf4-gpt2-k30", "nf4-cut-k30"]


def widened(weight):
    """A Params4bit in f32 [out, in], by the formula."""
    state, f32 = weight.quant_state, np.float32
    packed = weight.data.reshape(-1).view(torch.uint8).numpy()
    nibbles = np.stack([packed >> 4, packed & 15], -1).reshape(-1)
    count = int(np.prod(state.shape))
    scale = state.absmax.numpy()
    if state.nested:
        outer = state.state2
        of = outer.absmax.numpy().repeat(outer.blocksize)[: len(scale)]
        scale = (outer.code.numpy()[scale] * of).astype(f32) + f32(state.offset.item())
    values = state.code.numpy()[nibbles[:count]] * scale.astype(f32).repeat(state.blocksize)[:count]
    return torch.from_numpy(values.astype(f32)).reshape(tuple(state.shape))


def settle(layer):
    """The layer computes with what the formula gives."""
    w = widened(layer.weight)
    if w.shape[1] % layer.weight.quant_state.blocksize == 0:
        theirs = bnb.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        assert torch.equal(w, theirs), "bitsandbytes widens otherwise"
    layer.forward = lambda x: F.linear(x, w, layer.bias)


def quantised(model, causal, skip, options):
    options = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32, **options}
    kind = AutoModelForCausalLM if causal else AutoModelForSequenceClassification
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                     quantization_config=BitsAndBytesConfig(load_in_4bit=True,
                                                                            llm_int8_skip_modules=skip, **options))
    model.name_or_path = None  # a folder that is gone
    layers = [m for m in model.modules() if isinstance(m, Linear4bit)]
    assert layers
    for layer in layers:
        settle(layer)
    return model


def write(root, name):
    kind, cfg, task, ratio, targets, skip, options = CASES[name]
    base.CASES[name] = (kind, cfg, task, ratio, "lora", targets)
    base.LENGTHS = SHORT if cfg is CUT else LENGTHS
    plain = base.build
    base.build = lambda *a: quantised(plain(*a), task == CAUSAL, skip, options)
    try:
        base.write_case(root, name, 1)
    finally:
        base.build = plain
    (root / name / "adapter" / "README.md").unlink(missing_ok=True)
    (root / name / "model" / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--only", nargs="*")
    ap.add_argument("--committed", action="store_true")
    ap.add_argument("--list", action="store_true")
    a = ap.parse_args()
    torch.set_num_threads(1)
    for case_name in a.only or (COMMITTED if a.committed else CASES):
        print(case_name) if a.list else write(a.out, case_name)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what tests of quantised matrices expect, from bitsandbytes (CPU) and transformers.

    make_quantised.py --cases FILE [--seed N]   tests/unit/storage/fixtures/nf4_cases.txt: numbers made by a rule
                                                that the test repeats, and sums over what quantize_4bit and
                                                dequantize_4bit make of them; a seed: other numbers and shapes
    make_quantised.py --models FOLDER           tests/unit/format/fixtures: a tiny model as save_pretrained writes
                                                it in 4 bits, and sums over its weights widened to f32
    make_quantised.py --load FOLDER             transformers loads FOLDER in 4 bits; prints sums over its weights

The committed files: torch 2.15, bitsandbytes 0.50.2, transformers 5, one thread.
"""
import argparse
import json
import os
import shutil
import tempfile

import bitsandbytes.functional as bnb
import numpy as np
import torch

torch.set_num_threads(1)  # the order of torch's sum over 32768 numbers and more
CODE = bnb.get_4bit_type("nf4", device="cpu").numpy()
MIDDLES = ((CODE[:-1] + CODE[1:]) / 2).astype(np.float32)
U32 = np.uint32


def words(seed, n):
    with np.errstate(over="ignore"):
        h = np.arange(n, dtype=U32) * U32(0x9E3779B1) + U32(seed) * U32(0x85EBCA77)
        h ^= h >> U32(15)
        h *= U32(0x2C1B3C6D)
        h ^= h >> U32(12)
        h *= U32(0x297A2D39)
        h ^= h >> U32(15)
    return h


def numbers(kind, seed, n):
    h = words(seed, n)
    i = np.arange(n, dtype=U32)
    four = (h & U32(255)) + (h >> U32(8) & U32(255)) + (h >> U32(16) & U32(255)) + (h >> U32(24))
    usual = ((four.astype(np.int32) - 510).astype(np.float32)) * np.float32(2.0 ** -14)
    if kind == "spread":  # every 64 numbers have a magnitude of their own
        return np.ldexp(usual, -(words(seed + 1, n // 64 + 1)[i // 64] % U32(24)).astype(np.int32)).astype(np.float32)
    if kind == "any":  # all finite bit patterns
        return np.where((h >> U32(23) & U32(255)) == 255, h ^ U32(0x40000000), h).astype(U32).view(np.float32)
    if kind == "zeros":
        return np.where(i // 64 % 3 == 0, np.float32(0), usual)
    if kind == "tiny":  # subnormal
        return (h & U32(0x8000FFFF)).view(np.float32)
    if kind == "constant":
        return np.full(n, -0.5, np.float32)
    if kind == "middles":  # where rounding turns, and the numbers on either side
        v = MIDDLES[(h >> U32(8)) % U32(15)].view(U32) + h % U32(3) - U32(1)
        return np.where(i % 64 == 0, np.float32(1), v.astype(U32).view(np.float32))
    return usual


def total(array):
    """A sum that depends on every byte and its place."""
    b = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8).astype(np.uint64)
    with np.errstate(over="ignore"):
        place = np.arange(len(b), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C16) + np.uint64(1)
        return int(((b + np.uint64(1)) * place).sum(dtype=np.uint64))


def widened(q, state):
    """dequantize_4bit over whole blocks in one row: with AVX-512 its results are wrong for rows that are no
    multiple of the block."""
    n = int(np.prod(state.shape))
    blocks = -(-n // state.blocksize)
    packed = torch.zeros(blocks * state.blocksize // 2, dtype=torch.uint8)
    packed[: q.numel()] = q.reshape(-1)
    full = bnb.QuantState(absmax=state.absmax, shape=(blocks * state.blocksize,), code=state.code,
                          blocksize=state.blocksize, quant_type=state.quant_type, dtype=torch.float32,
                          offset=state.offset, state2=state.state2)
    return bnb.dequantize_4bit(packed.reshape(-1, 1), full).reshape(-1)[:n].numpy()


def case(kind, seed, rows, cols, block, nested):
    w = torch.from_numpy(numbers(kind, seed, rows * cols).reshape(rows, cols))
    q, state = bnb.quantize_4bit(w, blocksize=block, quant_type="nf4", compress_statistics=nested)
    second = state.state2.absmax.numpy() if nested else np.zeros(0, np.float32)
    offset = int(state.offset.numpy().view(U32)) if nested else 0
    return (f"{kind} {seed} {rows} {cols} {block} {int(nested)} {total(q.numpy()):016x} "
            f"{total(state.absmax.numpy()):016x} {total(second):016x} {offset:08x} {total(widened(q, state)):016x}")


FIXED = [
    # name, rows, cols, block
    ("usual", 1, 1, 64), ("usual", 1, 63, 64), ("usual", 1, 64, 64), ("usual", 5, 13, 64), ("usual", 7, 7, 32),
    ("usual", 4, 64, 128), ("usual", 3, 48, 64), ("usual", 96, 64, 64), ("usual", 33, 130, 64), ("usual", 9, 64, 64),
    ("usual", 128, 128, 64), ("usual", 16, 1024, 4096), ("usual", 31, 257, 256), ("usual", 1000, 100, 64),
    ("usual", 1024, 512, 64), ("usual", 2048, 1024, 64), ("usual", 513, 2111, 32), ("spread", 64, 192, 64),
    ("spread", 300, 333, 64), ("zeros", 12, 96, 64), ("zeros", 5, 77, 64), ("zeros", 1, 64, 64), ("zeros", 1, 7, 64),
    ("tiny", 12, 96, 64), ("tiny", 3, 33, 32), ("constant", 2, 128, 64), ("constant", 40, 640, 64),
    ("middles", 100, 128, 64), ("any", 40, 160, 64), ("any", 7, 81, 128),
]


def cases(path, seed):
    lines = []
    rng = np.random.default_rng(seed or 0)
    for n, (kind, rows, cols, block) in enumerate(FIXED):
        if seed and kind not in ("middles", "zeros"):
            rows, cols = int(rng.integers(1, 2 * rows + 2)), int(rng.integers(1, 2 * cols + 2))
        for nested in (False, True):
            if kind != "any" or not nested:  # their mean overflows
                lines.append(case(kind, n + 1 + 1000 * (seed or 0), rows, cols, block, nested))
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")


def sums(model):
    import bitsandbytes.nn
    for name, module in model.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            weight = module.weight
            yield f"{name}.weight {total(widened(weight.data.view(torch.uint8), weight.quant_state)):016x}"


def models(folder):
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM
    base = tempfile.mkdtemp()
    config = LlamaConfig(hidden_size=48, intermediate_size=80, num_hidden_layers=1, num_attention_heads=4,
                         num_key_value_heads=2, vocab_size=32, max_position_embeddings=32,
                         bos_token_id=0, eos_token_id=1)
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(base)
    for name, options in (("nested", {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}),
                          ("fp4", {"bnb_4bit_quant_type": "fp4"}),
                          ("stored16", {"bnb_4bit_quant_type": "nf4", "bnb_4bit_quant_storage": torch.bfloat16})):
        out = os.path.join(folder, name)
        model = AutoModelForCausalLM.from_pretrained(
            base, quantization_config=BitsAndBytesConfig(load_in_4bit=True, **options))
        model.save_pretrained(out)
        with open(os.path.join(out, "sums.txt"), "w") as f:
            f.write("\n".join(sums(model)) + "\n")
        os.remove(os.path.join(out, "generation_config.json"))
    shutil.rmtree(base)


def load(folder):
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(folder)
    print(json.dumps({"class": type(model).__name__, "sums": list(sums(model))}, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--models")
    parser.add_argument("--load")
    args = parser.parse_args()
    if args.cases:
        cases(args.cases, args.seed)
    if args.models:
        models(args.models)
    if args.load:
        load(args.load)

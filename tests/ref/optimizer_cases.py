#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes optimizer_cases.safetensors beside itself: six steps of every optimizer as torch and
transformers make them, in doubles, on a matrix with weight decay, a vector and a matrix without.

  p0 [304], g [6,304]    an arena: [12,20] at 0, [17] at 256, [3,5] at 288, zeros between
  <kind>.p [6,304]       parameters after each step
  map.signed, map.unsigned [256]   bitsandbytes' dynamic maps of the 8-bit optimizers

Gradients are clipped to norm 1 (step 3 is below it); step 4 has a NaN: its update is left out, its
number is used up. The rate of step t is 0.01 / t, weight decay 0.1."""
import os

import bitsandbytes.functional as bnb
import numpy as np
import torch
from safetensors.torch import save_file
from transformers.optimization import Adafactor

PARTS = [("a", (12, 20), 0, 0.1), ("b", (17,), 256, 0.0), ("c", (3, 5), 288, 0.0)]
COUNT, STEPS, BAD = 304, 6, 4


def flat(values):
    out = torch.zeros(COUNT, dtype=torch.float64)
    for name, shape, first, _ in PARTS:
        out[first : first + values[name].numel()] = values[name].reshape(-1)
    return out


def cut(arena):
    return {
        name: arena[first : first + int(np.prod(shape))].reshape(shape).clone()
        for name, shape, first, _ in PARTS
    }


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of arXiv 2302.06675, the weight decay first as lion-pytorch has it."""

    def __init__(self, params, lr):
        super().__init__(params, dict(lr=lr, weight_decay=0.0))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_((0.9 * m + 0.1 * p.grad).sign(), alpha=-group["lr"])
                m.mul_(0.99).add_(p.grad, alpha=0.01)


class Sgd(torch.optim.SGD):
    """torch's, the decay decoupled."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(1 - group["lr"] * group["decay"])
        super().step()


def make(kind, groups):
    if kind == "adamw":
        return torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.999), eps=1e-8)
    if kind == "adafactor":
        return Adafactor(groups, lr=1.0, scale_parameter=False, relative_step=False)
    if kind == "lion":
        return Lion(groups, lr=1.0)
    for group in groups:
        group["decay"] = group.pop("weight_decay")
    return Sgd(groups, lr=1.0, momentum=0.9 if kind == "sgd" else 0.0)


def run(kind, p0, grads):
    params = {name: torch.nn.Parameter(v) for name, v in cut(p0).items()}
    groups = [dict(params=[params[name]], weight_decay=decay) for name, _, _, decay in PARTS]
    optimizer = make(kind, groups)
    out = []
    for t in range(1, STEPS + 1):
        for group in optimizer.param_groups:
            group["lr"] = float(np.float32(0.01) / np.float32(t))
        for name, g in cut(grads[t - 1]).items():
            params[name].grad = g
        if t == BAD:
            for state in optimizer.state.values():
                if "step" in state:
                    state["step"] += 1
        else:
            torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
            optimizer.step()
        out.append(flat({name: p.detach() for name, p in params.items()}))
    return torch.stack(out)


def main():
    torch.manual_seed(7)
    draw = lambda: {name: torch.randn(shape).double() for name, shape, _, _ in PARTS}
    p0 = flat(draw())
    grads = torch.stack([flat(draw()) * (0.01 if t == 3 else 1.0) for t in range(1, STEPS + 1)])
    grads = grads.float().double()
    out = {"p0": p0}
    for kind in ("adamw", "sgd", "sgd0", "adafactor", "lion"):
        out[kind + ".p"] = run(kind, p0, grads)
    grads[BAD - 1, 40] = float("nan")
    out["g"] = grads
    out = {name: v.float() for name, v in out.items()}
    for name, signed in (("signed", True), ("unsigned", False)):
        out["map." + name] = bnb.create_dynamic_map(signed=signed)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "optimizer_cases.safetensors")
    save_file(out, path)


main()

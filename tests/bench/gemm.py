# SPDX-License-Identifier: Apache-2.0
"""Matrix products of a training step, tokentune against torch, in turns on the same cores.

    taskset -c 0,1 python tests/bench/gemm.py build/tokentune [--threads 2] [--rounds 3] [--device SPEC]

Prints a line a shape: best GFLOP/s of each over the rounds. torch is a test tool; nothing else needs it.
On PoCL also set POCL_MAX_PTHREAD_COUNT to the number of cores, or its threads get in each other's way.
"""
import argparse
import json
import subprocess
import time

import torch

SHAPES = """nt 616 384 384
nt 616 1536 384
nt 616 384 1536
nt 1432 384 384
nt 1432 1536 384
nt 1432 384 1536
nn 616 384 384
nn 616 384 1536
nn 616 1536 384
tn 384 384 616
tn 1536 384 616
tn 384 1536 616
nt 600 768 768
nt 600 2048 768
nt 600 768 2048
nn 600 768 2048
tn 2048 768 600
nt 300 32000 768
nn 300 768 32000
nt 616 8 768
nn 616 8 768
nt 616 768 8
nn 616 768 8
tn 8 768 616
tn 768 8 616"""


def torch_gflops(form, m, n, k, seconds):
    a = torch.randn(m, k) if form[0] == "n" else torch.randn(k, m).t()
    b = torch.randn(k, n) if form[1] == "n" else torch.randn(n, k).t()
    c, best, end = torch.empty(m, n), 1e9, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        torch.mm(a, b, out=c)
        best = min(best, time.perf_counter() - start)
    return 2e-9 * m * n * k / best


def ours(args, form, m, n, k):
    shape = f"{m},{n},{k}" + (",ta" if form[0] == "t" else "") + (",tb" if form[1] == "t" else "")
    command = [args.tokentune, "tune", "--json", "--gemm", "tile", "--shapes", shape]
    command += ["--device", args.device] if args.device else []
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    best = max(json.loads(line)["candidates"], key=lambda c: c["gflops"])
    return best["gflops"], best["name"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("tokentune")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--device")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{'shape':24}{'torch':>8}{'ours':>8}{'ratio':>7}  tile")
    for line in SHAPES.splitlines():
        form, *sizes = line.split()
        m, n, k = map(int, sizes)
        theirs, best = 0, (0, "")
        for _ in range(args.rounds):
            theirs = max(theirs, torch_gflops(form, m, n, k, 0.15))
            best = max(best, ours(args, form, m, n, k))
        print(f"{line:24}{theirs:8.0f}{best[0]:8.0f}{best[0] / theirs:7.2f}  {best[1]}", flush=True)


if __name__ == "__main__":
    main()

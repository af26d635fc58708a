# SPDX-License-Identifier: Apache-2.0
"""torch's scaled_dot_product_attention on the shapes of bench_attention:
    attention.py [sequences length selected heads head_dim causal]
The backward pass of torch reaches every key; ours those of selected rows. 2 threads."""
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(2)
given, usual = sys.argv[1:], ["8", "256", "77", "12", "32", "0"]
B, N, K, H, D, CAUSAL = [int(x) for x in given + usual[len(given):]]


def best(step, n=20):
    times = []
    for _ in range(n):
        after = step()
        start = time.perf_counter()
        after()
        times.append(time.perf_counter() - start)
    return min(times)


k, v = (torch.randn(B, H, N, D, requires_grad=True) for _ in range(2))
for rows in dict.fromkeys((K, N - K, N)):
    if rows == 0:
        continue
    q = torch.randn(B, H, rows, D, requires_grad=True)
    whole = CAUSAL and rows == N
    mask = None
    if CAUSAL and not whole:
        mask = torch.arange(N)[None] <= torch.sort(torch.randperm(N)[:rows])[0][:, None]

    def run():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=bool(whole))

    def forward():
        with torch.no_grad():
            run()

    def backward():
        o = run()
        g = torch.randn_like(o)
        return lambda: o.backward(g)

    flops = 4 * B * H * D * N * rows * (0.5 if CAUSAL else 1)
    f, b = best(lambda: forward), best(backward)
    print(f"{rows} queries a sequence: forward {f * 1e3:.3f} ms, {flops / f * 1e-9:.0f} GFLOP/s;"
          f" backward {b * 1e3:.3f} ms, {2.5 * flops / b * 1e-9:.0f} GFLOP/s")

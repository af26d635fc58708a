// SPDX-License-Identifier: Apache-2.0
// probe.cl - small kernels for the tests of programs and launches.
#include "probe.clh"
#include "probe.clh"
#ifndef WG
#define WG 1
#endif
#ifndef ADD
#define ADD 0.0f
#endif

kernel void probe_scale(global float *restrict y, global const float *restrict x, const float a) {
    const size_t i = get_global_id(0);
    y[i] = probe_twice(a * x[i]) + ADD;
}

// One work-group of WG sums n numbers through local memory given by the host.
kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
probe_sum(global float *restrict y, global const float *restrict x, const uint n,
          local float *restrict part) {
    const uint l = get_local_id(0);
    float s = 0.0f;
    for (uint i = l; i < n; i += WG) s += x[i];
    part[l] = s;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint k = WG / 2; k > 0; k /= 2) {
        if (l < k) part[l] += part[l + k];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (l == 0) y[get_group_id(0)] = part[0];
}

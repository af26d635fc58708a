// SPDX-License-Identifier: Apache-2.0
/* sample.h - the choice of the next token from logits, on the host.
 * In the order of transformers: repetition penalty, temperature, top-k, top-p, min-p. */
#ifndef TT_HOST_GENERATE_SAMPLE_H
#define TT_HOST_GENERATE_SAMPLE_H

#include "host/core/core.h"

typedef struct {
    float temperature; /* 0: the most probable token */
    size_t top_k;      /* 0: all */
    float top_p;       /* in (0,1]; 1: all */
    float min_p;       /* in [0,1): at least this share of the largest probability */
    float repetition;  /* > 0; 1: none. Of tokens seen, positive logits are divided by it and
                          negative ones multiplied, as in CTRL (arXiv 1909.05858) */
    uint32_t seed;
} tti_sampling;
tti_sampling tti_sampling_defaults(void); /* greedy */
/* TT_E_ARG for values out of range, by name. */
tt_status tti_sampling_check(const tti_sampling *s);

typedef struct tti_sampler tti_sampler;
/* Scratch for vocab logits. Copies s. Gives *out. */
tt_status tti_sampler_new(tti_sampler **out, const tti_sampling *s, size_t vocab);
void tti_sampler_free(tti_sampler *s); /* NULL is a no-op */
/* The token behind the n tokens seen; changes logits. Draws are by Philox from (seed, sequence,
 * step) alone: neither batch nor device decides. TT_E_NUMERIC: a logit is NaN. */
tt_status tti_sampler_next(tti_sampler *s, float *logits, const int32_t *seen, size_t n,
                           uint32_t sequence, uint32_t step, int32_t *out);

#endif

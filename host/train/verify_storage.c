// SPDX-License-Identifier: Apache-2.0
#include "host/train/verify_storage.h"

#include <math.h>
#include "host/format/quantised.h"

static double unit(int type) {
    switch (type) {
    case TTI_F16: return 0x1p-11;
    case TTI_BF16: return 0x1p-8;
    case TTI_Q8: return 1.0 / 127;
    case TTI_NF4: return ((double)tti_nf4_code[1] - (double)tti_nf4_code[0]) / 2;
    default: return 0; /* f32, or as the case has it */
    }
}

tti_tolerances tti_dials_tolerances(const tti_dials *d) {
    static const double most = 0.95;
    const bool own_keys = !d->recompute_keys && d->keys != d->kept;
    const double of[] = {unit(d->weights), unit(d->head), unit((int)d->kept),
                         own_keys ? unit((int)d->keys) : 0};
    double s = 0;
    for (size_t i = 0; i < TT_COUNT(of); i++) s = hypot(s, of[i]);
    const double g = d->method == TTI_CONFIG_FULL ? unit((int)d->gradients) : 0;
    const double steps = s > 0 ? 1 : 0;
    return (tti_tolerances){.loss = fmin(2 * s, most),
                            .logits = fmin(10 * s, most),
                            .grad = fmin(30 * s + 2 * g, most),
                            .whole = fmin(8 * s + g, most),
                            .zero = fmin(0.2 * s, most),
                            .losses = fmin(steps * 0.02 + 10 * s, most),
                            .moved = fmin(steps * 0.3 + 5 * sqrt(s) + g, most)};
}

static tt_status check(const tti_dials *d, const char *model, bool *skipped) {
    tti_hf_config *config;
    tti_quant_config q;
    tt_status s = tti_dials_check(d);
    *skipped = s != TT_OK;
    if (s != TT_OK || d->weights < TTI_Q8) return s;
    TT_TRY(tti_hf_config_read(&config, model));
    s = tti_quantised_config(config->json, config->path, &q);
    *skipped = s == TT_OK && q.type != TTI_F32;
    if (*skipped)
        s = tti_fail(TT_E_ARG, "weights in %s: the checkpoint has them in %s already",
                     tti_storage_name(d->weights), tti_dtype_name(q.type));
    tti_hf_config_free(config);
    return s;
}

tt_status tti_case_take_dials(tti_case *c, tti_dials *d, const char *model, bool *skipped) {
    d->method = c->opts.method == TTI_METHOD_LORA ? TTI_CONFIG_LORA : TTI_CONFIG_FULL;
    TT_TRY(check(d, model, skipped));
    tti_dials_model(d, &c->opts);
    return TT_OK;
}

// SPDX-License-Identifier: Apache-2.0
/* schedule.c - warm-up, then linear or cosine decay to 0, or a constant. */
#include <math.h>
#include "host/train/schedule.h"

static const double pi = 3.14159265358979323846;

uint64_t tti_schedule_warmup(double warmup, uint64_t total) {
    return (uint64_t)(warmup < 1.0 ? ceil(warmup * (double)total) : warmup);
}

double tti_schedule_lr(const tti_schedule *s, uint64_t step) {
    double done = step > 0 ? (double)(step - 1) : 0.0; /* steps before this one */
    double warmup = (double)s->warmup, total = (double)s->total;
    if (done < warmup) return s->lr * (done / fmax(1.0, warmup));
    switch (s->kind) {
    case TTI_SCHEDULE_LINEAR: return s->lr * fmax(0.0, (total - done) / fmax(1.0, total - warmup));
    case TTI_SCHEDULE_COSINE: {
        double progress = (done - warmup) / fmax(1.0, total - warmup);
        return s->lr * fmax(0.0, 0.5 * (1.0 + cos(pi * progress)));
    }
    case TTI_SCHEDULE_CONSTANT: break;
    }
    return s->lr;
}

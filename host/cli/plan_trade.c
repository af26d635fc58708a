// SPDX-License-Identifier: Apache-2.0
/* plan_trade.c - bytes and time of the settings around the chosen ones, as a table. */
#include "host/cli/plan.h"

enum { KEEPS = 4, RECOMPUTES = 3, STORES = 4, MOST_ROWS = KEEPS * RECOMPUTES * STORES + 1 };

typedef struct {
    double v[KEEPS];
    size_t n;
} keeps;

/* Largest first, the chosen one among them. */
static keeps list_keeps(const plan_job *j) {
    static const double usual[] = {1, 0.3, 0.1};
    keeps k = {{0}, 0};
    const bool given = j->a->given & TTI_DIAL_KEEP;
    bool placed = given || j->d.keep > 1;
    if (placed) k.v[k.n++] = j->d.keep;
    for (size_t i = 0; i < TT_COUNT(usual) && !given; i++) {
        if (!placed && j->d.keep >= usual[i]) {
            placed = true;
            k.v[k.n++] = j->d.keep;
            if (j->d.keep <= usual[i]) continue;
        }
        k.v[k.n++] = usual[i];
    }
    if (!placed) k.v[k.n++] = j->d.keep;
    return k;
}

static bool same(const tti_dials *a, const tti_dials *b) {
    return !(a->keep < b->keep) && !(a->keep > b->keep) && a->recompute == b->recompute &&
           a->kept == b->kept && a->recompute_keys == b->recompute_keys &&
           (a->recompute_keys || a->keys == b->keys);
}

/* How values are kept: f32; bf16; bf16, and keys and values in q8, or computed again. */
static bool set_store(tti_dials *d, int i, unsigned given) {
    if (given & TTI_DIAL_KEPT && given & TTI_DIAL_KEYS) return i == 0;
    if (!(given & TTI_DIAL_KEPT)) d->kept = i == 0 ? TTI_F32 : TTI_BF16;
    if (given & TTI_DIAL_KEYS) return i < 2;
    if (i > 1 && d->keep >= 1 && d->keep <= 1) return false; /* no token is without gradient */
    d->recompute_keys = i == 3;
    d->keys = i == 2 ? TTI_Q8 : d->kept;
    return !(given & TTI_DIAL_KEPT) || i != 0;
}

static size_t list_rows(const plan_job *j, tti_dials out[MOST_ROWS]) {
    const unsigned given = j->a->given;
    const keeps k = list_keeps(j);
    size_t n = 0;
    for (size_t i = 0; i < k.n; i++) {
        bool chosen = false;
        for (int r = 0; r < RECOMPUTES; r++) {
            if (given & TTI_DIAL_RECOMPUTE && r != (int)j->d.recompute) continue;
            for (int s = 0; s < STORES; s++) {
                tti_dials *d = &out[n];
                *d = j->d;
                d->keep = k.v[i];
                d->recompute = (tti_recompute)r;
                if (!set_store(d, s, given)) continue;
                chosen = chosen || same(d, &j->d);
                n++;
            }
        }
        if (!chosen && !(k.v[i] < j->d.keep) && !(k.v[i] > j->d.keep)) out[n++] = j->d;
    }
    return n;
}

static void add_text(tti_str *out, const plan_job *j, const tti_dials *d, size_t total, double time,
                     bool fits) {
    tti_str_printf(out, "%-8g %-10s %-6s %-10s ", d->keep, tti_recompute_name(d->recompute),
                   tti_dtype_name(d->kept), tti_dials_keys_name(d));
    if (total == SIZE_MAX)
        tti_str_printf(out, "%15s %10s", "-", "-");
    else
        tti_str_printf(out, "%15zu %10.1f", total, (double)total / (1 << 20));
    tti_str_printf(out, " %8.3f  %s%s\n", time, fits ? "fits" : "", same(d, &j->d) ? " <-" : "");
}

static void add_json(tti_str *out, const plan_job *j, const tti_dials *d, size_t total, double time,
                     bool fits) {
    tti_str_printf(out,
                   "{\"keep\": %g, \"recompute\": \"%s\", \"kept\": \"%s\", \"keys\": \"%s\", "
                   "\"total_bytes\": ",
                   d->keep, tti_recompute_name(d->recompute), tti_dtype_name(d->kept),
                   tti_dials_keys_name(d));
    if (total == SIZE_MAX)
        tti_str_puts(out, "null");
    else
        tti_str_printf(out, "%zu", total);
    tti_str_printf(out, ", \"relative_time\": %.4f, \"fits\": %s, \"chosen\": %s}", time,
                   fits ? "true" : "false", same(d, &j->d) ? "true" : "false");
}

tt_status plan_trade(plan_job *j, tti_str *out) {
    tti_dials rows[MOST_ROWS];
    const size_t n = list_rows(j, rows), scratch = j->cost.bytes.workspace;
    if (!j->a->json)
        tti_str_printf(out, "\n%-8s %-10s %-6s %-10s %15s %10s %8s\n", "keep", "recompute", "kept",
                       "keys", "bytes", "MiB", "time");
    for (size_t i = 0; i < n; i++) {
        tti_cost c;
        TT_TRY(plan_cost(j, &rows[i], false, &c));
        const size_t total = c.total == SIZE_MAX ? SIZE_MAX : c.total + scratch;
        const double time = j->plain_flops > 0 ? c.flops / j->plain_flops : 0;
        const bool fits = total <= j->budget.limit;
        if (j->a->json && i > 0) tti_str_puts(out, ", ");
        (j->a->json ? add_json : add_text)(out, j, &rows[i], total, time, fits);
    }
    return out->status;
}

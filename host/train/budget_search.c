// SPDX-License-Identifier: Apache-2.0
/* budget_search.c - the fastest settings and the largest sizes that fit. */
#include <math.h>
#include "host/train/budget.h"

enum { KEEP_STEPS = 1000 }; /* keep is sought as a multiple of one part in so many */

/* A rank, in floating-point operations: what rounds more goes behind what rounds less where their
 * arithmetic is about the same. */
static double rank(const tti_dials *d, double flops) {
    if (d->kept != TTI_F32) flops *= 1.01;
    if (!d->recompute_keys && d->keys == TTI_Q8) flops *= 1.005;
    if (d->weights != TTI_AS_STORED && d->weights != TTI_F32) flops *= 1.005;
    return flops;
}

static bool fits(const tti_budget *b, const tti_cost *c) { return c->total <= b->limit; }

/* ---- settings ---- */

enum { MOST_SETTINGS = 3 * 2 * 3 * 2 };

/* All combinations of the open settings of d; returns their number. */
static size_t combine(const tti_budget *b, const tti_dials *d, tti_dials out[MOST_SETTINGS]) {
    const unsigned open = b->open;
    const bool lower = (open & TTI_DIAL_WEIGHTS) && d->method == TTI_CONFIG_LORA;
    size_t n = 0;
    for (int w = 0; w < (lower ? 2 : 1); w++)
        for (int r = 0; r < (open & TTI_DIAL_RECOMPUTE ? 3 : 1); r++)
            for (int k = 0; k < (open & TTI_DIAL_KEPT ? 2 : 1); k++)
                for (int y = 0; y < (open & TTI_DIAL_KEYS ? 3 : 1); y++) {
                    tti_dials *t = &out[n++];
                    *t = *d;
                    if (w > 0) t->weights = TTI_BF16;
                    if (open & TTI_DIAL_RECOMPUTE) t->recompute = (tti_recompute)r;
                    if (open & TTI_DIAL_KEPT) t->kept = k > 0 ? TTI_BF16 : TTI_F32;
                    if (!(open & TTI_DIAL_KEYS)) continue;
                    t->keys = y == 1 ? TTI_Q8 : t->kept;
                    t->recompute_keys = y == 2;
                }
    return n;
}

/* Of all combinations the fastest that fits, else the one that needs least; *least that one. */
static tt_status choose(const tti_budget *b, tti_dials *d, tti_cost *c, bool *found,
                        tti_dials *least) {
    tti_dials all[MOST_SETTINGS], best = *d;
    const size_t n = combine(b, d, all);
    tti_cost cost, best_cost = {.total = SIZE_MAX}, least_cost = {.total = SIZE_MAX};
    *found = false;
    *least = all[n - 1];
    for (size_t i = 0; i < n; i++) {
        TT_TRY(b->cost(b->ctx, &all[i], false, &cost));
        if (cost.total < least_cost.total) {
            *least = all[i];
            least_cost = cost;
        }
        if (!fits(b, &cost)) continue;
        const double r = rank(&all[i], cost.flops), had = rank(&best, best_cost.flops);
        if (*found && (r > had || (r == had && cost.total >= best_cost.total))) continue;
        *found = true;
        best = all[i];
        best_cost = cost;
    }
    *d = *found ? best : *least;
    *c = *found ? best_cost : least_cost;
    return TT_OK;
}

/* ---- sizes ---- */

static void set_size(tti_dials *d, unsigned dial, size_t v) {
    switch (dial) {
    case TTI_DIAL_KEEP: d->keep = (double)v / KEEP_STEPS; break;
    case TTI_DIAL_SEQ: d->seq = v; break;
    default: d->batch = v;
    }
}

/* The largest v of low..high that fits, by doubling the step from low and then halving it; 0 where
 * low does not fit. *d gets it. */
static tt_status largest(const tti_budget *b, tti_dials *d, unsigned dial, size_t low, size_t high,
                         size_t *out) {
    tti_cost c;
    tti_dials t = *d;
    *out = 0;
    set_size(&t, dial, low);
    TT_TRY(b->cost(b->ctx, &t, false, &c));
    if (!fits(b, &c)) return TT_OK;
    size_t good = low, step = TT_MAX(low, 1), bad = high + 1;
    while (bad - good > 1) {
        const size_t v = good + (bad > high ? TT_MIN(step, high - good) : (bad - good) / 2);
        set_size(&t, dial, v);
        TT_TRY(b->cost(b->ctx, &t, false, &c));
        if (fits(b, &c)) {
            good = v;
            step *= 2;
        } else {
            bad = v;
        }
    }
    set_size(d, dial, good);
    *out = good;
    return TT_OK;
}

/* Sizes at the least settings; *found false: *d is the smallest there is. */
static tt_status grow(const tti_budget *b, tti_dials *d, bool *found) {
    tti_cost c;
    size_t v;
    TT_TRY(b->cost(b->ctx, d, false, &c));
    *found = fits(b, &c);
    if (!*found && (b->open & TTI_DIAL_KEEP)) {
        /* where blocks are recomputed a token kept may cost less than one that is not: the least
         * keep is not always what needs least */
        for (size_t low = KEEP_STEPS * 9 / 10; !*found && low > 0; low -= KEEP_STEPS / 10) {
            TT_TRY(largest(b, d, TTI_DIAL_KEEP, low, low + KEEP_STEPS / 10 - 1, &v));
            *found = v > 0;
        }
        if (!*found) TT_TRY(largest(b, d, TTI_DIAL_KEEP, 1, KEEP_STEPS / 10 - 1, &v));
        *found = *found || v > 0;
        if (!*found) set_size(d, TTI_DIAL_KEEP, 1);
        return TT_OK;
    }
    if (!*found && (b->open & TTI_DIAL_SEQ)) {
        TT_TRY(largest(b, d, TTI_DIAL_SEQ, 1, d->seq, &v));
        *found = v > 0;
        return TT_OK;
    }
    if (!*found) return TT_OK;
    if (b->open & TTI_DIAL_SEQ) {
        TT_TRY(largest(b, d, TTI_DIAL_SEQ, d->seq, TT_MAX(b->longest, d->seq), &v));
        if (v < b->longest) return TT_OK;
    }
    if (b->open & TTI_DIAL_BATCH) TT_TRY(largest(b, d, TTI_DIAL_BATCH, 1, b->most, &v));
    return TT_OK;
}

/* More of what comes first: keep, length, batch. */
static bool larger(const tti_dials *a, const tti_dials *b) {
    if (a->keep < b->keep || a->keep > b->keep) return a->keep > b->keep;
    return a->seq != b->seq ? a->seq > b->seq : a->batch > b->batch;
}

/* What needs least depends on the share that is kept: it is sought from several. */
static tt_status sizes(const tti_budget *b, tti_dials *d, tti_cost *c, bool *found) {
    static const double shares[] = {0.3, 1, 0.05};
    tti_dials least, best = *d;
    bool any;
    *found = false;
    for (size_t i = 0; i < (b->open & TTI_DIAL_KEEP ? TT_COUNT(shares) : 1); i++) {
        tti_dials t = *d;
        bool fit;
        if (b->open & TTI_DIAL_KEEP) t.keep = shares[i];
        if (b->open & TTI_DIAL_BATCH) t.batch = 1;
        TT_TRY(choose(b, &t, c, &any, &least));
        t = least;
        if (b->open & TTI_DIAL_KEEP) t.keep = 1;
        TT_TRY(grow(b, &t, &fit));
        if (i == 0 || (fit && (!*found || larger(&t, &best)))) best = t;
        *found = *found || fit;
    }
    d->keep = best.keep;
    d->seq = best.seq;
    d->batch = best.batch;
    TT_TRY(choose(b, d, c, &any, &least));
    if (!(b->open & TTI_DIAL_SEQ) || !*found) return TT_OK;
    /* and once more with what needs least at this size */
    tti_dials t = least;
    TT_TRY(grow(b, &t, &any));
    if (!any || !larger(&t, d)) return TT_OK;
    d->keep = t.keep;
    d->seq = t.seq;
    d->batch = t.batch;
    return choose(b, d, c, &any, &least);
}

/* The scratch of matrix products is known only for sizes that are: where it is too much the search
 * is made again with less. */
tt_status tti_budget_find(const tti_budget *b, tti_dials *d, tti_cost *c, bool *found) {
    enum { SIZES = TTI_DIAL_KEEP | TTI_DIAL_SEQ | TTI_DIAL_BATCH, TRIES = 4 };
    const tti_dials asked = *d;
    tti_budget less = *b;
    tti_dials least;
    for (int i = 0; i < TRIES; i++) {
        tti_cost rough;
        bool enough = true;
        *d = asked;
        if (b->open & SIZES)
            TT_TRY(sizes(&less, d, &rough, &enough));
        else if (b->open)
            TT_TRY(choose(&less, d, &rough, &enough, &least));
        TT_TRY(b->cost(b->ctx, d, true, c));
        *found = fits(b, c);
        if (*found || !enough || !b->open || c->total == SIZE_MAX) break;
        less.limit = b->limit - TT_MIN(b->limit, c->total - rough.total);
    }
    return TT_OK;
}

/* ---- advice ---- */

enum { MOST_CHANGES = 24, MOST_SAID = 3 };

typedef struct {
    const tti_budget *b;
    tti_dials from;
    tti_dials to[MOST_CHANGES];
    unsigned which[MOST_CHANGES]; /* the dial that differs */
    size_t n;
} changes;

static tti_dials *change(changes *x, unsigned dial) {
    x->to[x->n] = x->from;
    x->which[x->n] = dial;
    return &x->to[x->n++];
}

static bool may(const changes *x, unsigned dial) { return (x->b->open | x->b->advise) & dial; }
static bool wide(int type) { return type == TTI_AS_STORED || type == TTI_F32; }

/* Changes of one setting each, the mildest first. */
static void list_settings(changes *x) {
    const tti_dials *d = &x->from;
    const bool full = d->method == TTI_CONFIG_FULL;
    if (may(x, TTI_DIAL_RECOMPUTE))
        for (int r = (int)d->recompute + 1; r <= TTI_RECOMPUTE_BLOCK; r++)
            change(x, TTI_DIAL_RECOMPUTE)->recompute = (tti_recompute)r;
    if (may(x, TTI_DIAL_KEPT) && d->kept == TTI_F32) {
        tti_dials *t = change(x, TTI_DIAL_KEPT);
        t->kept = TTI_BF16;
        if (t->keys == TTI_F32) t->keys = TTI_BF16;
    }
    if (may(x, TTI_DIAL_KEYS) && !d->recompute_keys) {
        if (d->keys != TTI_Q8) change(x, TTI_DIAL_KEYS)->keys = TTI_Q8;
        change(x, TTI_DIAL_KEYS)->recompute_keys = true;
    }
    if (may(x, TTI_DIAL_OPTIMIZER) && d->optimizer == TTI_OPT_ADAMW)
        change(x, TTI_DIAL_OPTIMIZER)->optimizer = TTI_OPT_ADAMW8;
    if (may(x, TTI_DIAL_WEIGHTS) && wide(d->weights) && !full) {
        change(x, TTI_DIAL_WEIGHTS)->weights = TTI_BF16;
        change(x, TTI_DIAL_WEIGHTS)->weights = TTI_Q8;
    }
    if (may(x, TTI_DIAL_HEAD) && wide(d->head)) {
        change(x, TTI_DIAL_HEAD)->head = TTI_BF16;
        if (!full) change(x, TTI_DIAL_HEAD)->head = TTI_Q8;
    }
    if (may(x, TTI_DIAL_GRADIENTS) && full && d->gradients == TTI_F32)
        change(x, TTI_DIAL_GRADIENTS)->gradients = TTI_BF16;
    if (may(x, TTI_DIAL_WEIGHTS) && full && wide(d->weights))
        change(x, TTI_DIAL_WEIGHTS)->weights = TTI_BF16;
    if (may(x, TTI_DIAL_STREAM) && !full && !d->stream) change(x, TTI_DIAL_STREAM)->stream = true;
}

static void list_methods(changes *x) {
    if (!may(x, TTI_DIAL_METHOD)) return;
    for (int m = x->from.method + 1; m <= TTI_CONFIG_QLORA; m++) {
        tti_dials *t = change(x, TTI_DIAL_METHOD);
        t->method = m;
        if (m != TTI_CONFIG_QLORA) continue;
        t->weights = TTI_NF4; /* said where another type was asked for */
        if (!may(x, TTI_DIAL_WEIGHTS)) x->which[x->n - 1] |= TTI_DIAL_WEIGHTS;
    }
}

static tt_status say(tti_str *out, size_t *said, const tti_dials *d, unsigned which, size_t bytes,
                     tti_say how) {
    tti_str_puts(out, *said > 0 ? "; or " : "");
    tti_dials_say(out, d, which, how);
    tti_str_puts(out, *said > 0 ? " " : " would need ");
    tti_bytes_say(out, bytes);
    ++*said;
    return out->status;
}

/* Says the first `most` of the changes that fit. */
static tt_status say_first(tti_str *out, size_t *said, const changes *x, size_t most, tti_say how) {
    tti_cost c;
    for (size_t i = 0; i < x->n && most > 0; i++) {
        TT_TRY(x->b->cost(x->b->ctx, &x->to[i], true, &c));
        if (!fits(x->b, &c)) continue;
        TT_TRY(say(out, said, &x->to[i], x->which[i], c.total, how));
        most--;
    }
    return TT_OK;
}

static tt_status say_size(tti_str *out, size_t *said, const changes *x, unsigned dial,
                          tti_say how) {
    tti_dials d = x->from;
    size_t v, low = 1, high = dial == TTI_DIAL_SEQ ? d.seq : d.batch;
    tti_cost c;
    if (dial == TTI_DIAL_KEEP) { /* two places are enough to say */
        const double share = d.keep <= 1 ? d.keep : fmin(d.keep / (double)TT_MAX(d.seq, 1), 1);
        high = (size_t)(share * KEEP_STEPS);
        low = TT_MIN((size_t)10, high);
    }
    if (!may(x, dial) || high <= low) return TT_OK;
    TT_TRY(largest(x->b, &d, dial, low, high, &v));
    if (v == 0) return TT_OK;
    if (dial == TTI_DIAL_KEEP) set_size(&d, dial, v / 10 * 10);
    TT_TRY(x->b->cost(x->b->ctx, &d, true, &c));
    return fits(x->b, &c) ? say(out, said, &d, dial, c.total, how) : TT_OK;
}

/* Where no one change is enough: all settings at their smallest, then sizes, then layers that stay
 * in host memory, then the method. */
static tt_status say_all(tti_str *out, const tti_budget *b, const tti_dials *from, tti_say how) {
    const unsigned dials = b->open | b->advise;
    const unsigned settings = TTI_DIAL_WEIGHTS | TTI_DIAL_HEAD | TTI_DIAL_KEPT | TTI_DIAL_KEYS |
                              TTI_DIAL_GRADIENTS | TTI_DIAL_RECOMPUTE | TTI_DIAL_OPTIMIZER;
    tti_cost c = {0};
    size_t said = 0;
    tti_dials d = *from;
    const int last = dials & TTI_DIAL_METHOD ? TTI_CONFIG_QLORA : d.method;
    for (int m = d.method; m <= last; m++) {
        unsigned which = dials & settings;
        d.method = m;
        if (m != from->method) which |= TTI_DIAL_METHOD;
        tti_dials_smallest(&d, ~which);
        if (m != TTI_CONFIG_FULL) which &= ~(unsigned)TTI_DIAL_GRADIENTS;
        if (m == TTI_CONFIG_QLORA) which &= ~(unsigned)TTI_DIAL_WEIGHTS;
        if (m == TTI_CONFIG_QLORA && m != from->method) {
            d.weights = TTI_NF4;
            if (!(dials & TTI_DIAL_WEIGHTS)) which |= TTI_DIAL_WEIGHTS;
        }
        for (int small = 0; small < (m == TTI_CONFIG_FULL ? 2 : 3); small++) {
            tti_dials t = d;
            unsigned also = small ? dials & (TTI_DIAL_KEEP | TTI_DIAL_BATCH) : 0;
            if (small > 1) also |= dials & TTI_DIAL_STREAM;
            if (from->keep <= 0.1) also &= ~(unsigned)TTI_DIAL_KEEP;
            if (from->batch == 1) also &= ~(unsigned)TTI_DIAL_BATCH;
            if (also & TTI_DIAL_KEEP) t.keep = 0.1;
            if (also & TTI_DIAL_BATCH) t.batch = 1;
            if (also & TTI_DIAL_STREAM) t.stream = true;
            TT_TRY(b->cost(b->ctx, &t, true, &c));
            if (fits(b, &c)) return say(out, &said, &t, which | also, c.total, how);
        }
    }
    tti_str_puts(out, "with every setting at its smallest it would need ");
    if (c.total == SIZE_MAX)
        tti_str_puts(out, "a buffer larger than the device allows");
    else
        tti_bytes_say(out, c.total);
    return out->status;
}

tt_status tti_budget_advice(tti_str *out, const tti_budget *b, const tti_dials *d, tti_say how) {
    size_t said = 0;
    changes x = {.b = b, .from = *d};
    list_settings(&x);
    TT_TRY(say_first(out, &said, &x, 1, how));
    TT_TRY(say_size(out, &said, &x, TTI_DIAL_KEEP, how));
    TT_TRY(say_size(out, &said, &x, TTI_DIAL_BATCH, how));
    if (said < 2) TT_TRY(say_size(out, &said, &x, TTI_DIAL_SEQ, how));
    x.n = 0;
    list_methods(&x);
    if (said < MOST_SAID) TT_TRY(say_first(out, &said, &x, 1, how));
    return said > 0 ? out->status : say_all(out, b, d, how);
}

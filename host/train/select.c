// SPDX-License-Identifier: Apache-2.0
/* select.c - how many positions of a sequence carry gradient, and which. */
#include "host/train/select.h"

#include <math.h>
#include <stdlib.h>
#include "host/core/philox.h"

size_t tti_select_count(double keep, size_t n) {
    if (n == 0) return 0;
    double wanted = keep > 1.0 ? floor(keep) : nearbyint(keep * (double)n);
    if (!(wanted >= 1.0)) return 1;
    return wanted >= (double)n ? n : (size_t)wanted;
}

/* The word of position t; four positions share a block of the generator. */
typedef struct {
    tti_philox_out block;
    size_t at; /* number of the block, plus 1; 0: none yet */
    uint32_t seed, step, sequence;
} words;

static uint32_t word(words *w, size_t t) {
    if (w->at != (t >> 2) + 1) {
        w->block =
            tti_philox((uint32_t)(t >> 2), w->sequence, w->step, TTI_STREAM_SELECT, w->seed, 0);
        w->at = (t >> 2) + 1;
    }
    return w->block.v[t & 3];
}

/* Selection sampling: a position is taken with probability (still wanted) / (still left), which
 * makes every subset equally likely and gives it in ascending order. */
void tti_select_draw(int32_t *out, size_t count, size_t n, uint32_t seed, uint32_t step,
                     uint32_t sequence) {
    TT_ASSERT(count <= n);
    if (count == 0) return;
    words w = {.seed = seed, .step = step, .sequence = sequence};
    size_t taken = 0;
    out[taken++] = 0;
    for (size_t t = 1; t < n && taken < count; t++)
        if (tti_below(word(&w, t), (uint32_t)(n - t)) < count - taken) out[taken++] = (int32_t)t;
}

/* ---- decoders: the first and the last row, and others between them ---- */

static size_t decoder_count(double keep, size_t n) {
    if (n <= 2) return n;
    if (keep > 1.0) return keep >= (double)n ? n : TT_MAX((size_t)keep, (size_t)2);
    const double others = nearbyint(keep * (double)(n - 2));
    return 2 + TT_MIN((size_t)others, n - 2);
}

static void draw_between(int32_t *out, size_t count, const tti_choice *q, words *w) {
    size_t taken = 0;
    out[taken++] = 0;
    for (size_t t = 1; t + 1 < q->n && taken + 1 < count; t++)
        if (tti_below(word(w, t), (uint32_t)(q->n - 1 - t)) < count - 1 - taken)
            out[taken++] = (int32_t)t;
    if (count > 1) out[taken] = (int32_t)q->n - 1;
}

/* ---- stratified ---- */

enum { PROMPT, ANSWER, STRATA };

static int stratum(const tti_choice *q, size_t t) {
    return q->next && q->next[t] >= 0 && t + 1 >= q->prompt ? ANSWER : PROMPT;
}

/* The first, the last, and what predicts the last token of an answer. */
static bool always(const tti_choice *q, size_t t) {
    if (t == 0 || t + 1 == q->n) return true;
    return stratum(q, t) == ANSWER && q->next[t + 1] < 0;
}

typedef struct {
    size_t fixed[STRATA], free[STRATA], draw[STRATA];
} shares;

static shares find_shares(const tti_selector *s, const tti_choice *q) {
    shares h = {{0}, {0}, {0}};
    for (size_t t = 0; t < q->n; t++) (always(q, t) ? h.fixed : h.free)[stratum(q, t)]++;
    for (int k = 0; k < STRATA; k++) {
        const double own = k == PROMPT ? s->keep_prompt : s->keep_answer;
        const double rows = (double)(h.fixed[k] + h.free[k]);
        double wanted = own > 1.0 ? floor(own) : nearbyint(own * rows);
        if (!(own > 0)) /* a count is shared out by the rows that each stratum has */
            wanted = nearbyint(s->keep > 1.0 ? s->keep * rows / (double)q->n : s->keep * rows);
        if (wanted > rows) wanted = rows;
        if (wanted > (double)h.fixed[k]) h.draw[k] = (size_t)wanted - h.fixed[k];
    }
    return h;
}

static void draw_strata(int32_t *out, const tti_selector *s, const tti_choice *q, words *w) {
    shares h = find_shares(s, q);
    size_t taken = 0;
    for (size_t t = 0; t < q->n; t++) {
        const int k = stratum(q, t);
        bool take = always(q, t);
        if (!take) {
            take = tti_below(word(w, t), (uint32_t)h.free[k]--) < h.draw[k];
            h.draw[k] -= take;
        }
        if (take) out[taken++] = (int32_t)t;
    }
}

/* ---- loss ---- */

typedef struct {
    double key;
    int32_t t;
} keyed;

static int larger_key(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    if (x->key != y->key) return x->key > y->key ? -1 : 1;
    return x->t < y->t ? -1 : x->t > y->t;
}

static int ascending(const void *a, const void *b) {
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* Gumbel top-k: the largest keys are a draw without replacement by exp(loss / temperature). */
static tt_status draw_by_loss(int32_t *out, size_t count, const tti_selector *s,
                              const tti_choice *q, words *w) {
    keyed *key = tti_calloc(q->n, sizeof *key);
    if (!key) return TT_E_NOMEM;
    size_t n = 0;
    for (size_t t = 1; t + 1 < q->n; t++) {
        const double u = ((double)word(w, t) + 0.5) / 4294967296.0;
        const double loss = isfinite(q->loss[t]) ? (double)q->loss[t] : 0.0;
        key[n++] = (keyed){loss / s->temperature - log(-log(u)), (int32_t)t};
    }
    qsort(key, n, sizeof *key, larger_key);
    out[0] = 0;
    if (count > 1) out[count - 1] = (int32_t)q->n - 1;
    for (size_t i = 0; i + 2 < count; i++) out[i + 1] = key[i].t;
    qsort(out, count, sizeof *out, ascending);
    tti_free(key);
    return TT_OK;
}

/* ---- all ---- */

size_t tti_selected(const tti_selector *s, const tti_choice *q) {
    if (!s->decoder) return tti_select_count(s->keep, q->n);
    if (s->policy != TTI_SELECT_STRATIFIED) return decoder_count(s->keep, q->n);
    const shares h = find_shares(s, q);
    return h.fixed[PROMPT] + h.fixed[ANSWER] + h.draw[PROMPT] + h.draw[ANSWER];
}

tt_status tti_select(int32_t *out, const tti_selector *s, const tti_choice *q) {
    const size_t count = tti_selected(s, q);
    words w = {.seed = s->seed, .step = q->step, .sequence = q->number};
    if (s->policy == TTI_SELECT_PREFIX || count == q->n) {
        for (size_t i = 0; i < count; i++) out[i] = (int32_t)i;
        if (s->decoder && count > 0) out[count - 1] = (int32_t)q->n - 1;
    } else if (!s->decoder) {
        tti_select_draw(out, count, q->n, s->seed, q->step, q->number);
    } else if (s->policy == TTI_SELECT_STRATIFIED) {
        draw_strata(out, s, q, &w);
    } else if (s->policy == TTI_SELECT_LOSS) {
        return draw_by_loss(out, count, s, q, &w);
    } else {
        draw_between(out, count, q, &w);
    }
    return TT_OK;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/post.h"

/* How many tokens of each text to keep, so that together they are at most max: the longer is cut
 * first, then both alike. */
static void longest_first(size_t *na, size_t *nb, size_t max) {
    if (*na + *nb <= max) return;
    size_t least = TT_MIN(*na, *nb);
    if (2 * least >= max) { /* cutting the longer to the shorter's length is not enough */
        size_t half = max / 2, other = half + max % 2;
        bool a_first = *na <= *nb;
        *na = a_first ? half : other;
        *nb = a_first ? other : half;
        return;
    }
    if (*na <= *nb)
        *nb = max - *na;
    else
        *na = max - *nb;
}

static tt_status put(tti_encoding *e, int32_t id, int32_t type_id, bool special, tti_span at) {
    size_t need = e->n + 1;
    TT_TRY(TTI_GROW(e->ids, e->cap_[0], need));
    TT_TRY(TTI_GROW(e->type_ids, e->cap_[1], need));
    TT_TRY(TTI_GROW(e->special, e->cap_[2], need));
    TT_TRY(TTI_GROW(e->spans, e->cap_[3], need));
    e->ids[e->n] = id;
    e->type_ids[e->n] = type_id;
    e->special[e->n] = special;
    e->spans[e->n++] = at;
    return TT_OK;
}

static bool blank(uint32_t cp) { return cp == 0x120 || tti_uc_is(cp, TTI_UC_SPACE); }

static void count_blanks(const uint8_t *z, size_t n, tti_token *t) {
    size_t k;
    t->before = t->after = 0;
    for (size_t at = 0; at < n && blank(tti_utf8_get(z + at, &k)); at += k) t->before++;
    for (size_t at = n; at && blank(tti_utf8_before(z + at, &k)); at -= k) t->after++;
}

/* Moves a position in the text by whole characters. */
static uint32_t forward(const uint8_t *p, uint32_t from, uint32_t to, uint32_t chars) {
    for (size_t bad = 0; chars && from < to; chars--) {
        size_t k = tti_utf8_check(p + from, to - from, &bad);
        from += (uint32_t)(k ? k : bad);
    }
    return TT_MIN(from, to);
}

static uint32_t back(const uint8_t *p, uint32_t from, uint32_t to, uint32_t chars) {
    for (; chars && to > from; chars--) do
            to--;
        while (to > from && (p[to] & 0xC0) == 0x80);
    return to;
}

void tti_post_trim(const tti_post *p, const tti_model *m, tti_work *w, size_t first,
                   const char *text) {
    for (size_t i = first; p->trim && i < w->n_token; i++) {
        tti_token *t = &w->token[i];
        size_t n;
        const char *z = t->added ? NULL : tti_vocab_piece(&m->vocab, t->id, &n);
        if (z) count_blanks((const uint8_t *)z, n, t);
        bool ours = p->prefix_space && t->before == 1 && (i == first || t->at.from == 0);
        const uint8_t *b = (const uint8_t *)text;
        if (t->before && !ours) t->at.from = forward(b, t->at.from, t->at.to, t->before);
        if (t->after) t->at.to = back(b, t->at.from, t->at.to, t->after);
    }
}

void tti_post_blanks(const tti_post *p, const tti_text *t, size_t begin, size_t end,
                     tti_token *to) {
    if (p->trim) count_blanks(t->p + begin, end - begin, to);
}

tt_status tti_post_apply(const tti_post *p, const tti_work *w, size_t na, bool pair,
                         const tti_encode_opts *o, bool left, tti_encoding *out) {
    const tti_items *t = pair ? &p->pair : &p->single;
    size_t nb = w->n_token - na, added = 0, keep_a = na, keep_b = nb;
    for (size_t i = 0; o->add_special && i < t->n; i++) added += t->v[i].kind == TTI_ADDED_ID;
    if (o->max_len) {
        if (o->max_len < added)
            return tti_fail(TT_E_ARG, "max_len: %zu; the special tokens alone are %zu", o->max_len,
                            added);
        longest_first(&keep_a, &keep_b, o->max_len - added);
        if (!pair) keep_a = TT_MIN(na, o->max_len - added);
    }
    out->n = 0;
    out->cut = na - keep_a + nb - keep_b;
    for (size_t i = 0; i < t->n; i++) {
        const tti_item it = t->v[i];
        if (it.kind == TTI_ADDED_ID) {
            if (o->add_special) TT_TRY(put(out, it.id, it.type_id, true, (tti_span){0, 0}));
            continue;
        }
        bool a = it.kind == TTI_TEXT_A;
        size_t n = a ? na : nb, keep = a ? keep_a : keep_b;
        size_t from = (a ? 0 : na) + (left ? n - keep : 0);
        for (size_t k = from; k < from + keep; k++)
            TT_TRY(put(out, w->token[k].id, it.type_id, false, w->token[k].at));
    }
    return TT_OK;
}

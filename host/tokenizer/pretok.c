// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/pretok.h"

/* Turns w->matches into pieces, appended to w->next_pieces. */
static tt_status split(tti_work *w, tti_behavior behavior) {
    const tti_match *m = w->matches.v;
    const size_t n = w->matches.n;
    tti_pieces *to = &w->next_pieces;
    for (size_t i = 0, j; i < n; i = j) {
        j = i + 1;
        switch (behavior) {
        case TTI_REMOVED:
            if (m[i].hit) continue;
            break;
        case TTI_ISOLATED: break;
        case TTI_CONTIGUOUS:
            while (j < n && m[j].hit == m[i].hit) j++;
            break;
        case TTI_MERGED_WITH_PREVIOUS:
            if (!m[i].hit && j < n && m[j].hit) j++;
            break;
        case TTI_MERGED_WITH_NEXT:
            if (m[i].hit && j < n && !m[j].hit) j++;
            break;
        }
        TT_TRY(tti_pieces_add(to, m[i].begin, m[j - 1].end, -1));
    }
    return TT_OK;
}

/* Matches of single characters of some classes. */
static tt_status match_class(tti_work *w, tti_piece p, unsigned classes) {
    const uint8_t *t = w->doc.p;
    size_t from = p.begin;
    w->matches.n = 0;
    for (size_t i = p.begin, k; i < p.end; i += k) {
        if (!tti_uc_is(tti_utf8_get(t + i, &k), classes)) continue;
        if (from < i) TT_TRY(tti_matches_add(&w->matches, from, i, false));
        TT_TRY(tti_matches_add(&w->matches, i, i + k, true));
        from = i + k;
    }
    return from < p.end ? tti_matches_add(&w->matches, from, p.end, false) : TT_OK;
}

static tt_status match_char(tti_work *w, tti_piece p, uint32_t mark) {
    const uint8_t *t = w->doc.p;
    size_t from = p.begin;
    w->matches.n = 0;
    for (size_t i = p.begin, k; i < p.end; i += k) {
        if (tti_utf8_get(t + i, &k) != mark) continue;
        if (from < i) TT_TRY(tti_matches_add(&w->matches, from, i, false));
        TT_TRY(tti_matches_add(&w->matches, i, i + k, true));
        from = i + k;
    }
    return from < p.end ? tti_matches_add(&w->matches, from, p.end, false) : TT_OK;
}

/* At white space, which goes, and around every punctuation character. */
static tt_status split_bert(tti_work *w, tti_piece p) {
    const uint8_t *t = w->doc.p;
    tti_pieces *to = &w->next_pieces;
    size_t from = p.begin;
    for (size_t i = p.begin, k; i < p.end; i += k) {
        uint32_t cp = tti_utf8_get(t + i, &k);
        if (!tti_uc_is(cp, TTI_UC_SPACE | TTI_UC_PUNCT)) continue;
        TT_TRY(tti_pieces_add(to, from, i, -1));
        if (!tti_uc_is(cp, TTI_UC_SPACE)) TT_TRY(tti_pieces_add(to, i, i + k, -1));
        from = i + k;
    }
    return tti_pieces_add(to, from, p.end, -1);
}

/* \w+|[^\w\s]+ */
static tt_status split_words(tti_work *w, tti_piece p) {
    enum { NONE, WORD, OTHER } now = NONE, is;
    size_t from = p.begin;
    for (size_t i = p.begin, k; i < p.end; i += k) {
        uint32_t cp = tti_utf8_get(w->doc.p + i, &k);
        is = tti_uc_is(cp, TTI_UC_WORD) ? WORD : tti_uc_is(cp, TTI_UC_SPACE) ? NONE : OTHER;
        if (is == now) continue;
        if (now != NONE) TT_TRY(tti_pieces_add(&w->next_pieces, from, i, -1));
        from = i;
        now = is;
    }
    return now == NONE ? TT_OK : tti_pieces_add(&w->next_pieces, from, p.end, -1);
}

static tt_status split_length(tti_work *w, tti_piece p, size_t length) {
    size_t from = p.begin, count = 0;
    for (size_t i = p.begin; i < p.end;) {
        i += tti_utf8_len(w->doc.p[i]);
        if (++count % length == 0) {
            TT_TRY(tti_pieces_add(&w->next_pieces, from, i, -1));
            from = i;
        }
    }
    return tti_pieces_add(&w->next_pieces, from, p.end, -1);
}

static tt_status split_piece(const tti_pre *op, tti_work *w, tti_piece p) {
    switch (op->kind) {
    case TTI_PRE_BERT: return split_bert(w, p);
    case TTI_PRE_WHITESPACE: return split_words(w, p);
    case TTI_PRE_FIXED_LENGTH: return split_length(w, p, op->length);
    case TTI_PRE_CHAR: TT_TRY(match_char(w, p, op->mark)); return split(w, TTI_REMOVED);
    case TTI_PRE_WHITESPACE_SPLIT:
        TT_TRY(match_class(w, p, TTI_UC_SPACE));
        return split(w, TTI_REMOVED);
    case TTI_PRE_PUNCTUATION:
        TT_TRY(match_class(w, p, TTI_UC_PUNCT));
        return split(w, op->behavior);
    case TTI_PRE_DIGITS:
        TT_TRY(match_class(w, p, TTI_UC_NUMERIC));
        return split(w, op->individual ? TTI_ISOLATED : TTI_CONTIGUOUS);
    case TTI_PRE_METASPACE:
        TT_TRY(match_char(w, p, op->mark));
        return split(w, TTI_MERGED_WITH_NEXT);
    case TTI_PRE_SPLIT:
    case TTI_PRE_BYTE_LEVEL:
        TT_TRY(tti_regex_all(op->pattern, w, w->doc.p + p.begin, p.end - p.begin, p.begin));
        for (size_t i = 0; op->invert && i < w->matches.n; i++)
            w->matches.v[i].hit = !w->matches.v[i].hit;
        return split(w, op->behavior);
    }
    return tti_fail(TT_E_INTERNAL, "pre-tokenizer %d", (int)op->kind);
}

static void use_next_pieces(tti_work *w) {
    tti_pieces old = w->pieces;
    w->pieces = w->next_pieces;
    w->next_pieces = old;
}

static tt_status split_all(const tti_pre *op, tti_work *w) {
    w->next_pieces.n = 0;
    for (size_t i = 0; i < w->pieces.n; i++) {
        const tti_piece p = w->pieces.v[i];
        if (p.id >= 0)
            TT_TRY(tti_pieces_add(&w->next_pieces, p.begin, p.end, p.id));
        else
            TT_TRY(split_piece(op, w, p));
    }
    use_next_pieces(w);
    return TT_OK;
}

/* Rewrites the document piece by piece; change appends a piece's new text to w->next. */
static tt_status rewrite(const tti_pre *op, tti_work *w,
                         void (*change)(const tti_pre *op, tti_work *w, tti_piece p)) {
    w->next.n = 0;
    w->next_pieces.n = 0;
    for (size_t i = 0; i < w->pieces.n; i++) {
        const tti_piece p = w->pieces.v[i];
        size_t begin = w->next.n;
        if (p.id >= 0)
            tti_text_copy(&w->next, &w->doc, p.begin, p.end);
        else
            change(op, w, p);
        TT_TRY(w->next.status);
        TT_TRY(tti_pieces_add(&w->next_pieces, begin, w->next.n, p.id));
    }
    tti_text_swap(&w->doc, &w->next);
    use_next_pieces(w);
    return TT_OK;
}

static void add_space(const tti_pre *op, tti_work *w, tti_piece p) {
    (void)op;
    if (w->doc.p[p.begin] != ' ') tti_text_put(&w->next, ' ', w->doc.at[p.begin]);
    tti_text_copy(&w->next, &w->doc, p.begin, p.end);
}

static void to_byte_level(const tti_pre *op, tti_work *w, tti_piece p) {
    (void)op;
    tti_byte_level(&w->next, &w->doc, p.begin, p.end);
}

static void to_metaspace(const tti_pre *op, tti_work *w, tti_piece p) {
    const tti_text *t = &w->doc;
    size_t k;
    uint32_t first = tti_utf8_get(t->p + p.begin, &k);
    bool wanted = op->prepend == TTI_PREPEND_ALWAYS ||
                  (op->prepend == TTI_PREPEND_FIRST && t->at[p.begin].from == 0);
    if (wanted && first != op->mark && first != ' ')
        tti_text_put(&w->next, op->mark, t->at[p.begin]);
    for (size_t i = p.begin; i < p.end; i += k) {
        k = tti_utf8_len(t->p[i]);
        if (t->p[i] == ' ')
            tti_text_put(&w->next, op->mark, t->at[i]);
        else
            tti_text_copy(&w->next, t, i, i + k);
    }
}

static tt_status apply(const tti_pre *op, tti_work *w) {
    if (op->kind == TTI_PRE_BYTE_LEVEL) {
        if (op->prefix_space) TT_TRY(rewrite(op, w, add_space));
        if (op->pattern) TT_TRY(split_all(op, w));
        return rewrite(op, w, to_byte_level);
    }
    if (op->kind == TTI_PRE_METASPACE) {
        TT_TRY(rewrite(op, w, to_metaspace));
        return op->split ? split_all(op, w) : TT_OK;
    }
    return split_all(op, w);
}

tt_status tti_pretokenize(const tti_pres *p, tti_work *w) {
    for (size_t i = 0; i < p->n; i++) TT_TRY(apply(&p->v[i], w));
    return TT_OK;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/decode.h"

/* Closes the string that was appended to the text piece by piece. */
static tt_status close_string(tti_strings *l) { return tti_strings_add(l, "", 0); }

typedef struct {
    const uint8_t *p;
    size_t n;
} view;

static view string_at(const tti_strings *l, size_t i) {
    size_t from = i ? l->end[i - 1] : 0;
    return (view){(const uint8_t *)l->text.p + from, l->end[i] - from};
}

static bool starts(view v, const char *p, size_t n) { return v.n >= n && !memcmp(v.p, p, n); }

/* Appends v with each `from` replaced by `to`. */
static void put_replaced(tti_str *out, view v, const char *from, size_t n, const char *to,
                         size_t n_to) {
    size_t i = 0;
    while (n && i < v.n) {
        const uint8_t *hit = memmem(v.p + i, v.n - i, from, n);
        if (!hit) break;
        size_t at = (size_t)(hit - v.p);
        tti_str_add(out, v.p + i, at - i);
        tti_str_add(out, to, n_to);
        i = at + n;
    }
    tti_str_add(out, v.p + i, v.n - i);
}

/* Takes out the spaces that splitting at punctuation left: one replacement after the other. */
static tt_status clean(tti_str *s, size_t from) {
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < TT_COUNT(pairs); i++) {
        const char *a = pairs[i][0], *b = pairs[i][1];
        TT_TRY(s->status);
        if (!memmem(s->p + from, s->len - from, a, strlen(a))) continue;
        tti_str out = {0};
        put_replaced(&out, (view){(uint8_t *)s->p + from, s->len - from}, a, strlen(a), b,
                     strlen(b));
        s->len = from;
        tti_str_add(s, out.p, out.len);
        tt_status st = out.status;
        tti_str_free(&out);
        TT_TRY(st);
    }
    return s->status;
}

static tt_status wordpiece(const tti_dec *d, const tti_strings *in, tti_strings *out) {
    for (size_t i = 0; i < in->n; i++) {
        view v = string_at(in, i);
        size_t from = out->text.len;
        if (i) {
            if (starts(v, d->text, d->n))
                v.p += d->n, v.n -= d->n;
            else
                tti_str_putc(&out->text, ' ');
        }
        tti_str_add(&out->text, v.p, v.n);
        if (d->cleanup) TT_TRY(clean(&out->text, from));
        TT_TRY(close_string(out));
    }
    return TT_OK;
}

static bool byte_level_piece(view v, tti_str *out) {
    size_t before = out->len;
    for (size_t i = 0, k; i < v.n; i += k) {
        int b = tti_char_byte(tti_utf8_get(v.p + i, &k));
        if (b < 0) return out->len = before, false;
        tti_str_putc(out, (char)b);
    }
    return true;
}

static tt_status byte_level(const tti_strings *in, tti_strings *out) {
    tti_str raw = {0};
    for (size_t i = 0; i < in->n; i++) {
        view v = string_at(in, i);
        if (!byte_level_piece(v, &raw)) tti_str_add(&raw, v.p, v.n);
    }
    tti_utf8_repair(&out->text, raw.p, raw.len);
    tt_status s = raw.status;
    tti_str_free(&raw);
    return s == TT_OK ? close_string(out) : s;
}

static tt_status metaspace(const tti_dec *d, const tti_strings *in, tti_strings *out) {
    for (size_t i = 0; i < in->n; i++) {
        view v = string_at(in, i);
        for (size_t at = 0, k; at < v.n; at += k) {
            bool mark = tti_utf8_get(v.p + at, &k) == d->mark;
            if (!mark)
                tti_str_add(&out->text, v.p + at, k);
            else if (i || !d->prepended)
                tti_str_putc(&out->text, ' ');
        }
        TT_TRY(close_string(out));
    }
    return TT_OK;
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that <0xHH> stands for, or -1. (+H is a number of one digit to the package.) */
static int byte_piece(view v) {
    if (v.n != 6 || !starts(v, "<0x", 3) || v.p[5] != '>') return -1;
    int low = hex_digit(v.p[4]), high = v.p[3] == '+' ? 0 : hex_digit(v.p[3]);
    return low < 0 || high < 0 ? -1 : high * 16 + low;
}

/* A run of bytes becomes one string, or where it is not UTF-8 one U+FFFD a byte. */
static tt_status flush_bytes(tti_str *run, tti_strings *out) {
    size_t where;
    tt_status s = run->status;
    if (s == TT_OK && run->len && tti_utf8_valid(run->p, run->len, &where))
        s = tti_strings_add(out, run->p, run->len);
    else
        for (size_t i = 0; s == TT_OK && i < run->len; i++)
            s = tti_strings_add(out, "\xEF\xBF\xBD", 3);
    run->len = 0;
    return s;
}

static tt_status byte_fallback(const tti_strings *in, tti_strings *out) {
    tt_status s = TT_OK;
    tti_str run = {0};
    for (size_t i = 0; i < in->n; i++) {
        view v = string_at(in, i);
        int b = byte_piece(v);
        if (b >= 0) {
            tti_str_putc(&run, (char)b);
            continue;
        }
        TT_GO(flush_bytes(&run, out));
        TT_GO(tti_strings_add(out, v.p, v.n));
    }
    s = flush_bytes(&run, out);
done:
    tti_str_free(&run);
    return s;
}

static tt_status strip(const tti_dec *d, const tti_strings *in, tti_strings *out) {
    for (size_t i = 0; i < in->n; i++) {
        view v = string_at(in, i);
        size_t k;
        for (size_t c = 0; c < d->start && v.n && tti_utf8_get(v.p, &k) == d->mark; c++)
            v.p += k, v.n -= k;
        for (size_t c = 0; c < d->stop && v.n && tti_utf8_before(v.p + v.n, &k) == d->mark; c++)
            v.n -= k;
        TT_TRY(tti_strings_add(out, v.p, v.n));
    }
    return TT_OK;
}

static tt_status replace(const tti_dec *d, const tti_strings *in, tti_strings *out) {
    tti_work *w;
    tt_status s = TT_OK;
    TT_TRY(tti_work_new(&w));
    for (size_t i = 0; i < in->n; i++) {
        view v = string_at(in, i);
        TT_GO(tti_regex_all(d->pattern, w, v.p, v.n, 0));
        for (size_t k = 0; k < w->matches.n; k++) {
            const tti_match m = w->matches.v[k];
            if (m.hit)
                tti_str_add(&out->text, d->text, d->n);
            else
                tti_str_add(&out->text, v.p + m.begin, m.end - m.begin);
        }
        TT_GO(close_string(out));
    }
done:
    tti_work_free(w);
    return s;
}

static tt_status bpe(const tti_dec *d, const tti_strings *in, tti_strings *out) {
    for (size_t i = 0; i < in->n; i++) {
        put_replaced(&out->text, string_at(in, i), d->text, d->n, " ", i + 1 < in->n);
        TT_TRY(close_string(out));
    }
    return TT_OK;
}

static tt_status ctc(const tti_dec *d, const tti_strings *in, tti_strings *out) {
    for (size_t i = 0; i < in->n; i++) {
        view v = string_at(in, i), before = i ? string_at(in, i - 1) : (view){0};
        if (i && v.n == before.n && !memcmp(v.p, before.p, v.n)) continue;
        size_t from = out->text.len;
        put_replaced(&out->text, v, d->text, d->n, "", 0);
        if (d->cleanup && out->text.len > from) {
            TT_TRY(clean(&out->text, from));
            char *copy = tti_strndup(out->text.p + from, out->text.len - from);
            if (!copy) return TT_E_NOMEM;
            v = (view){(uint8_t *)copy, out->text.len - from};
            out->text.len = from;
            put_replaced(&out->text, v, d->space, d->n_space, " ", 1);
            tti_free(copy);
        }
        if (out->text.len > from) TT_TRY(close_string(out));
    }
    return out->text.status;
}

static tt_status apply(const tti_dec *d, const tti_strings *in, tti_strings *out) {
    switch (d->kind) {
    case TTI_DEC_WORDPIECE: return wordpiece(d, in, out);
    case TTI_DEC_BYTE_LEVEL: return byte_level(in, out);
    case TTI_DEC_METASPACE: return metaspace(d, in, out);
    case TTI_DEC_BYTE_FALLBACK: return byte_fallback(in, out);
    case TTI_DEC_FUSE: return tti_strings_add(out, in->text.p, in->text.len);
    case TTI_DEC_STRIP: return strip(d, in, out);
    case TTI_DEC_REPLACE: return replace(d, in, out);
    case TTI_DEC_BPE: return bpe(d, in, out);
    case TTI_DEC_CTC: return ctc(d, in, out);
    }
    return tti_fail(TT_E_INTERNAL, "decoder %d", (int)d->kind);
}

tt_status tti_decode_all(const tti_decs *d, tti_strings *list) {
    for (size_t i = 0; i < d->n; i++) {
        tti_strings next = {0};
        tt_status s = apply(&d->v[i], list, &next);
        if (s != TT_OK) {
            tti_strings_free(&next);
            return s;
        }
        tti_strings_free(list);
        *list = next;
    }
    return TT_OK;
}

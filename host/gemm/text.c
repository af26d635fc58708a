// SPDX-License-Identifier: Apache-2.0
/* text.c - choices as lines of text, for the cache and for checkpoints:
 *   auto nt 1024 512 512 tile 8x3x16     allowed provider, class, provider, variant ("-": unnamed)
 *   auto nn-nf4 64 512 512 tile 6x2x8    a B that is not f32
 *   out clblast                          a provider not worth measuring on this device */
#include "host/gemm/internal.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
    const tti_gemm_choice *x = a, *y = b;
    const int d[] = {x->forced - y->forced,     x->class.ta - y->class.ta,
                     x->class.tb - y->class.tb, x->class.bt - y->class.bt,
                     x->class.m - y->class.m,   x->class.n - y->class.n,
                     x->class.k - y->class.k};
    for (size_t i = 0; i < TT_COUNT(d); i++)
        if (d[i]) return d[i];
    return 0;
}

const char *tti_gemm_form(char out[TTI_GEMM_FORM], const tti_gemm_class *c) {
    snprintf(out, TTI_GEMM_FORM, "%c%c%s%s", c->ta ? 't' : 'n', c->tb ? 't' : 'n',
             c->bt == TTI_F32 ? "" : "-", c->bt == TTI_F32 ? "" : tti_dtype_name((tti_dtype)c->bt));
    return out;
}

static void write_one(tti_str *s, const tti_gemm_choice *c) {
    const tti_gemm_provider *p = tti_gemm_providers[c->provider];
    const char *variant = p->variant_name(c->variant);
    char form[TTI_GEMM_FORM];
    tti_str_printf(s, "%s %s %zu %zu %zu %s %s\n",
                   c->forced < 0 ? "auto" : tti_gemm_providers[c->forced]->name,
                   tti_gemm_form(form, &c->class), (size_t)1 << c->class.m, (size_t)1 << c->class.n,
                   (size_t)1 << c->class.k, p->name, *variant ? variant : "-");
}

void tti_gemm_text_write(tti_str *s, const tti_gemm_choices *c, bool out) {
    if (c->n) qsort(c->p, c->n, sizeof *c->p, compare);
    for (size_t i = 0; i < c->n; i++) write_one(s, &c->p[i]);
    for (int i = 0; out && i < TTI_GEMM_PROVIDERS; i++)
        if (c->out[i]) tti_str_printf(s, "out %s\n", tti_gemm_providers[i]->name);
}

/* Splits a line at single spaces; false unless there are exactly n words of 1 to 31 bytes. */
static bool words(char word[][32], size_t n, const char *line, size_t len) {
    for (size_t i = 0; i < n; i++) {
        const char *space = memchr(line, ' ', len);
        size_t w = i + 1 < n ? (space ? (size_t)(space - line) : 0) : len;
        if (w == 0 || w > 31 || (i + 1 == n && space)) return false;
        memcpy(word[i], line, w);
        word[i][w] = 0;
        line += w + 1;
        len -= i + 1 < n ? w + 1 : w;
    }
    return true;
}

static int provider_of(const char *name) {
    for (int i = 0; i < TTI_GEMM_PROVIDERS; i++)
        if (strcmp(tti_gemm_providers[i]->name, name) == 0) return i;
    return -1;
}

static int variant_of(const tti_gemm_provider *p, const char *name) {
    if (strcmp(name, "-") == 0) name = "";
    for (int i = 0; i < p->variants; i++)
        if (strcmp(p->variant_name(i), name) == 0) return i;
    return -1;
}

/* "1024" to 10; false for what is no power of two below 2^32. */
static bool log2_of(unsigned char *out, const char *text) {
    for (unsigned char i = 0; i < 32; i++) {
        char power[16];
        snprintf(power, sizeof power, "%zu", (size_t)1 << i);
        if (strcmp(power, text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool transposed(bool *out, char letter) {
    *out = letter == 't';
    return letter == 't' || letter == 'n';
}

static bool form_of(tti_gemm_class *c, const char *w) {
    tti_dtype type = TTI_F32;
    if (strlen(w) < 2 || !transposed(&c->ta, w[0]) || !transposed(&c->tb, w[1])) return false;
    if (w[2] && (w[2] != '-' || !tti_dtype_parse(w + 3, &type) || type == TTI_F32)) return false;
    c->bt = (unsigned char)type;
    return true;
}

static bool read_choice(tti_gemm_choice *c, const char *line, size_t len) {
    char w[7][32];
    if (!words(w, 7, line, len)) return false;
    c->forced = strcmp(w[0], "auto") == 0 ? -1 : provider_of(w[0]);
    if (c->forced < 0 && strcmp(w[0], "auto") != 0) return false;
    if (!form_of(&c->class, w[1])) return false;
    if (!log2_of(&c->class.m, w[2]) || !log2_of(&c->class.n, w[3]) || !log2_of(&c->class.k, w[4]))
        return false;
    c->provider = provider_of(w[5]);
    if (c->provider < 0 || (c->forced >= 0 && c->forced != c->provider)) return false;
    c->variant = variant_of(tti_gemm_providers[c->provider], w[6]);
    return c->variant >= 0;
}

tt_status tti_gemm_text_read(tti_gemm_choices *c, const char *text) {
    size_t number = 1;
    for (const char *line = text; *line; number++) {
        const size_t len = strcspn(line, "\n");
        tti_gemm_choice one = {0};
        char w[2][32];
        if (words(w, 2, line, len) && strcmp(w[0], "out") == 0 && provider_of(w[1]) >= 0)
            c->out[provider_of(w[1])] = true;
        else if (read_choice(&one, line, len))
            TT_TRY(tti_gemm_choices_put(c, &one));
        else
            return tti_fail(TT_E_FORMAT, "choices of matrix products, line %zu: \"%.*s\"", number,
                            (int)TT_MIN(len, 80), line);
        line += len + (line[len] == '\n');
    }
    return TT_OK;
}

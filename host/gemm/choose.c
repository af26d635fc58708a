// SPDX-License-Identifier: Apache-2.0
/* choose.c - which provider and variant a call site uses: known, kept in the cache, or measured. */
#include "host/gemm/internal.h"

#include <string.h>

static unsigned char log2_up(size_t x) {
    unsigned char l = 0;
    while (l < 31 && ((size_t)1 << l) < x) l++;
    return l;
}

tti_gemm_class tti_gemm_class_of(const tti_gemm_shape *s) {
    return (tti_gemm_class){s->ta,         s->tb,         (unsigned char)s->bt,
                            log2_up(s->m), log2_up(s->n), log2_up(s->k)};
}

void tti_gemm_class_name(char out[64], const tti_gemm_shape *shape) {
    const tti_gemm_class c = tti_gemm_class_of(shape);
    char form[TTI_GEMM_FORM];
    snprintf(out, 64, "%s %zux%zux%zu", tti_gemm_form(form, &c), (size_t)1 << c.m, (size_t)1 << c.n,
             (size_t)1 << c.k);
}

static bool same(const tti_gemm_class *a, const tti_gemm_class *b) {
    return a->ta == b->ta && a->tb == b->tb && a->bt == b->bt && a->m == b->m && a->n == b->n &&
           a->k == b->k;
}

const tti_gemm_choice *tti_gemm_choices_find(const tti_gemm_choices *c, int forced,
                                             const tti_gemm_class *class) {
    for (size_t i = 0; i < c->n; i++)
        if (c->p[i].forced == forced && same(&c->p[i].class, class)) return &c->p[i];
    return NULL;
}

tt_status tti_gemm_choices_put(tti_gemm_choices *c, const tti_gemm_choice *one) {
    for (size_t i = 0; i < c->n; i++)
        if (c->p[i].forced == one->forced && same(&c->p[i].class, &one->class)) {
            c->p[i] = *one;
            return TT_OK;
        }
    TT_TRY(TTI_GROW(c->p, c->cap, c->n + 1));
    c->p[c->n++] = *one;
    return TT_OK;
}

void tti_gemm_choices_clear(tti_gemm_choices *c) {
    tti_free(c->p);
    *c = (tti_gemm_choices){0};
}

/* The first variant that suits; -1 when none does. */
static int first_variant(const tti_caps *c, int provider, const tti_gemm_shape *s) {
    const tti_gemm_provider *p = tti_gemm_providers[provider];
    for (int v = 0; v < p->variants; v++)
        if (p->suits(c, v, s)) return v;
    return -1;
}

static int provider_index(const tti_gemm_provider *p) {
    int i = 0;
    while (tti_gemm_providers[i] != p) i++;
    return i;
}

/* Without measurements: our kernel on CPUs, where CLBlast is several times slower; CLBlast, tuned
 * for many of them, on GPUs. */
static tti_gemm_choice standard(const tti_gemm *g, const tti_gemm_shape *s) {
    const tti_caps *caps = tti_device_caps(g->d);
    tti_gemm_choice c = {.forced = g->forced, .class = tti_gemm_class_of(s), .provider = g->forced};
    if (g->forced < 0) c.provider = provider_index(caps->cpu ? &tti_gemm_tile : &tti_gemm_clblast);
    c.variant = first_variant(caps, c.provider, s);
    return c;
}

/* The only candidate needs no measurement. */
static bool only_one(const tti_gemm *g, const tti_gemm_shape *s) {
    if (g->forced < 0) return false;
    const tti_gemm_provider *p = tti_gemm_providers[g->forced];
    int n = 0;
    for (int v = 0; v < p->variants; v++) n += p->suits(tti_device_caps(g->d), v, s);
    return n <= 1;
}

/* From the cache, or measured and put there, under the lock: of two processes that ask at once, the
 * second waits and reads what the first has found. */
static tt_status look_up(tti_gemm *g, const tti_gemm_shape *s, tti_gemm_choice *c) {
    const char *key = tti_device_key(g->d);
    const tti_gemm_class class = tti_gemm_class_of(s);
    tti_gemm_choices kept = {0};
    tt_status status = TT_OK;
    int lock = -1;
    for (int locked = 0; locked < 2; locked++) {
        if (locked) lock = tti_gemm_cache_lock(g->path);
        tti_gemm_choices_clear(&kept);
        tti_gemm_cache_read(&kept, g->path, key);
        const tti_gemm_choice *known = tti_gemm_choices_find(&kept, g->forced, &class);
        if (known &&
            tti_gemm_providers[known->provider]->suits(tti_device_caps(g->d), known->variant, s)) {
            *c = *known;
            goto done;
        }
    }
    memcpy(g->choices.out, kept.out, sizeof kept.out);
    status = tti_gemm_measure(g, s, c, NULL, NULL);
    if (status == TT_E_MEMORY) {
        tti_warn("matrix products: nothing measured, the usual choice is used: %s", tt_error());
        *c = standard(g, s);
        status = TT_OK;
        goto done;
    }
    if (status != TT_OK) goto done;
    memcpy(kept.out, g->choices.out, sizeof kept.out);
    status = tti_gemm_choices_put(&kept, c);
    if (status == TT_OK) tti_gemm_cache_write(&kept, g->path, key);
done:
    tti_gemm_cache_unlock(lock);
    tti_gemm_choices_clear(&kept);
    return status;
}

tt_status tti_gemm_choose(tti_gemm *g, const tti_gemm_shape *largest, tti_gemm_plan *plan) {
    const tti_gemm_class class = tti_gemm_class_of(largest);
    const tti_gemm_choice *known = tti_gemm_choices_find(&g->choices, g->forced, &class);
    tti_gemm_choice c;
    if (known) {
        c = *known;
    } else {
        c = standard(g, largest);
        if (g->tuning && !only_one(g, largest)) TT_TRY(look_up(g, largest, &c));
        TT_TRY(tti_gemm_choices_put(&g->choices, &c));
    }
    if (c.variant < 0)
        return tti_fail(TT_E_UNSUPPORTED,
                        "gemm: provider %s has no kernel for this device; "
                        "use --gemm clblast",
                        tti_gemm_providers[c.provider]->name);
    *plan = (tti_gemm_plan){.provider = c.provider, .variant = c.variant, .largest = *largest};
    plan->workspace =
        tti_gemm_providers[c.provider]->workspace(tti_device_caps(g->d), c.variant, largest);
    return TT_OK;
}

tt_status tti_gemm_tune_one(tti_gemm *g, const tti_gemm_shape *shape,
                            tti_gemm_result r[TTI_GEMM_RESULTS], size_t *n) {
    const char *key = tti_device_key(g->d);
    tti_gemm_choice c;
    tti_gemm_choices kept = {0};
    *n = 0;
    int lock = tti_gemm_cache_lock(g->path);
    memset(g->choices.out, 0, sizeof g->choices.out);
    tt_status s = tti_gemm_measure(g, shape, &c, r, n);
    if (s == TT_OK) s = tti_gemm_choices_put(&g->choices, &c);
    if (s == TT_OK) {
        tti_gemm_cache_read(&kept, g->path, key);
        memcpy(kept.out, g->choices.out, sizeof kept.out);
        s = tti_gemm_choices_put(&kept, &c);
    }
    if (s == TT_OK) tti_gemm_cache_write(&kept, g->path, key);
    tti_gemm_cache_unlock(lock);
    tti_gemm_choices_clear(&kept);
    return s;
}

const tti_gemm_shape *tti_gemm_standard_shapes(size_t *n) {
    static const tti_gemm_shape set[] = {
        /* forward, gradient of the input, gradient of the weight; a small and a larger model */
        {false, true, 512, 384, 384, TTI_F32},  {false, true, 512, 1536, 384, TTI_F32},
        {false, true, 512, 384, 1536, TTI_F32}, {false, false, 512, 384, 384, TTI_F32},
        {true, false, 384, 384, 512, TTI_F32},  {true, false, 1536, 384, 512, TTI_F32},
        {false, true, 512, 768, 768, TTI_F32},  {false, true, 512, 3072, 768, TTI_F32},
        {false, true, 512, 768, 3072, TTI_F32}, {false, false, 512, 768, 768, TTI_F32},
        {true, false, 768, 768, 512, TTI_F32},  {false, true, 512, 8, 768, TTI_F32},
        {false, true, 512, 768, 8, TTI_F32},    {true, false, 8, 768, 512, TTI_F32},
        {true, false, 768, 8, 512, TTI_F32},
    };
    *n = TT_COUNT(set);
    return set;
}

tt_status tti_gemm_tune(tti_gemm *g, const tti_gemm_shape *shapes, size_t n, FILE *report) {
    if (n == 0) shapes = tti_gemm_standard_shapes(&n);
    for (size_t i = 0; i < n; i++) {
        tti_gemm_result r[TTI_GEMM_RESULTS];
        size_t count;
        char class[64];
        TT_TRY(tti_gemm_tune_one(g, &shapes[i], r, &count));
        tti_gemm_class_name(class, &shapes[i]);
        for (size_t j = 0; report && j < count; j++)
            fprintf(report, "%-22s %-16s %8.1f GFLOP/s%s%s%s\n", class, r[j].name, r[j].gflops,
                    r[j].chosen ? "  chosen" : "", *r[j].why ? "  " : "", r[j].why);
    }
    return TT_OK;
}

tt_status tti_gemm_choices_save(const tti_gemm *g, char **text) {
    tti_gemm_choices c = g->choices; /* sorting reorders the list and changes nothing else */
    tti_str s = {0};
    tti_gemm_text_write(&s, &c, false);
    tti_str_puts(&s, "");
    if (s.status != TT_OK) {
        tti_str_free(&s);
        return s.status;
    }
    *text = s.p ? s.p : tti_strdup("");
    return *text ? TT_OK : TT_E_NOMEM;
}

tt_status tti_gemm_choices_load(tti_gemm *g, const char *text) {
    tti_gemm_choices read = {0};
    tt_status s = tti_gemm_text_read(&read, text);
    for (size_t i = 0; s == TT_OK && i < read.n; i++) {
        const tti_gemm_choice *c = &read.p[i];
        const tti_gemm_shape shape = {.ta = c->class.ta,
                                      .tb = c->class.tb,
                                      .bt = (tti_dtype)c->class.bt,
                                      .m = (size_t)1 << c->class.m,
                                      .n = (size_t)1 << c->class.n,
                                      .k = (size_t)1 << c->class.k};
        /* A checkpoint of another kind of device: this one's own choices are used. */
        if (tti_gemm_providers[c->provider]->suits(tti_device_caps(g->d), c->variant, &shape))
            s = tti_gemm_choices_put(&g->choices, c);
    }
    tti_gemm_choices_clear(&read);
    return s;
}

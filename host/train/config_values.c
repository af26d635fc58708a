// SPDX-License-Identifier: Apache-2.0
/* config_values.c - values of a YAML text by libcyaml, whose schema is made from the table of keys;
 * ranges; and where they go in tti_config. */
#include <cyaml/cyaml.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "host/train/config_internal.h"

enum { MOST_KEYS = 80, SECTIONS = 10 };

/* What libcyaml fills: a pointer for each key that is there, and lengths of lists. Every section
 * has its own copy, of which only the entries of its keys are used. */
typedef struct {
    void *value[MOST_KEYS];
    uint64_t count[MOST_KEYS];
} loaded;

typedef struct {
    cyaml_schema_field_t root[MOST_KEYS], section[SECTIONS][MOST_KEYS];
    cyaml_strval_t choice[MOST_KEYS][12];
    cyaml_schema_value_t item, top;
} schema;

typedef struct {
    loaded of[SECTIONS]; /* of[0]: keys outside sections; i + 1: tti_sections[i] */
} document;

static const cyaml_strval_t truth[] = {{"true", 1},  {"yes", 1}, {"on", 1},
                                       {"false", 0}, {"no", 0},  {"off", 0}};

static int section_of(const tti_key *k) {
    const char *dot = strchr(k->key, '.');
    for (int i = 0; dot && tti_sections[i]; i++)
        if (strncmp(tti_sections[i], k->key, (size_t)(dot - k->key)) == 0) return i + 1;
    return 0;
}

static void enumeration(cyaml_schema_value_t *v, const cyaml_strval_t *strings, size_t n,
                        size_t size) {
    v->type = CYAML_ENUM;
    v->flags = CYAML_FLAG_POINTER | CYAML_FLAG_STRICT;
    v->data_size = (uint32_t)size;
    v->enumeration.strings = strings;
    v->enumeration.count = (uint32_t)n;
}

static void value_schema(schema *sc, cyaml_schema_value_t *v, size_t i, bool scalar) {
    const tti_key *k = &tti_keys[i];
    v->flags = CYAML_FLAG_POINTER;
    v->type = CYAML_STRING;
    v->data_size = 1;
    v->string.min = 0;
    v->string.max = UINT32_MAX;
    switch (k->type) {
    case TTI_KEY_BOOL: enumeration(v, truth, TT_COUNT(truth), sizeof(int)); break;
    case TTI_KEY_CHOICE: {
        size_t n = 0;
        for (; k->choices[n]; n++) sc->choice[i][n] = (cyaml_strval_t){k->choices[n], (int64_t)n};
        enumeration(v, sc->choice[i], n, sizeof(int));
        break;
    }
    case TTI_KEY_INT: /* libcyaml would take 1.5 for 1 */
    case TTI_KEY_NUM:
    case TTI_KEY_SIZE:
    case TTI_KEY_TEXT: break;
    case TTI_KEY_LIST:
        if (scalar) break;
        v->type = CYAML_SEQUENCE;
        v->data_size = sizeof(char *);
        v->sequence.entry = &sc->item;
        v->sequence.min = 0;
        v->sequence.max = CYAML_UNLIMITED;
        break;
    }
    v->flags |= CYAML_FLAG_OPTIONAL;
}

/* The schema follows the table of keys, and the first pass where a list may be a single text. */
static void make_schema(schema *sc, const tti_key_places *places) {
    memset(sc, 0, sizeof *sc);
    sc->item = (cyaml_schema_value_t){.type = CYAML_STRING, .flags = CYAML_FLAG_POINTER};
    sc->item.data_size = 1;
    sc->item.string.max = UINT32_MAX;
    size_t used[SECTIONS] = {0}, roots = 0;
    for (size_t i = 0; i < tti_keys_n; i++) {
        const tti_key *k = &tti_keys[i];
        int s = section_of(k);
        cyaml_schema_field_t *f = s == 0 ? &sc->root[roots++] : &sc->section[s][used[s]++];
        bool scalar = false;
        for (size_t j = 0; j < places->n; j++)
            if (places->at[j].key == k) scalar = places->at[j].scalar;
        f->key = s == 0 ? k->key : strchr(k->key, '.') + 1;
        f->data_offset = (uint32_t)(offsetof(loaded, value) + i * sizeof(void *));
        f->count_offset = (uint32_t)(offsetof(loaded, count) + i * sizeof(uint64_t));
        f->count_size = sizeof(uint64_t);
        value_schema(sc, &f->value, i, scalar);
    }
    for (int i = 0; tti_sections[i]; i++) {
        cyaml_schema_field_t *f = &sc->root[roots++];
        f->key = tti_sections[i];
        f->data_offset = (uint32_t)((size_t)(i + 1) * sizeof(loaded));
        f->value.type = CYAML_MAPPING;
        f->value.flags = CYAML_FLAG_OPTIONAL;
        f->value.data_size = sizeof(loaded);
        f->value.mapping.fields = sc->section[i + 1];
    }
    sc->top.type = CYAML_MAPPING;
    sc->top.flags = CYAML_FLAG_POINTER;
    sc->top.data_size = sizeof(document);
    sc->top.mapping.fields = sc->root;
}

/* libcyaml tells where it stopped as "... in mapping field 'lr' ...", innermost first. */
typedef struct {
    char field[2][48];
    int n;
} trace;

static void on_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args) {
    static const char mark[] = "in mapping field '";
    trace *t = ctx;
    char line[256];
    (void)level;
    vsnprintf(line, sizeof line, fmt, args);
    const char *at = strstr(line, mark);
    if (!at || t->n == 2) return;
    at += sizeof mark - 1;
    snprintf(t->field[t->n++], sizeof t->field[0], "%.*s", (int)strcspn(at, "'"), at);
}

static void *on_memory(void *ctx, void *p, size_t size) {
    (void)ctx;
    if (size > 0) return tti_realloc(p, 1, size);
    tti_free(p);
    return NULL;
}

/* What was asked for and where: "run.yaml:5: train.lr: expected X", or for an override
 * "train.lr=abc: expected X". */
static tt_status fail_value(const tti_key *k, const tti_key_places *places, const char *name,
                            const char *given) {
    tti_str e = {0};
    tti_key_expected(&e, k);
    size_t line = 1;
    for (size_t i = 0; i < places->n; i++)
        if (places->at[i].key == k) line = places->at[i].line;
    tt_status s = e.status;
    if (s == TT_OK && name)
        s = tti_fail(TT_E_FORMAT, "%s:%zu: %s: expected %s", name, line, k->key, e.p);
    else if (s == TT_OK)
        s = tti_fail(TT_E_ARG, "%s: expected %s", given, e.p);
    tti_str_free(&e);
    return s;
}

static tt_status fail_load(cyaml_err_t e, const trace *t, const tti_key_places *places,
                           const char *name, const char *given) {
    char path[128];
    if (e == CYAML_ERR_OOM) return tti_fail(TT_E_NOMEM, "%s: out of memory", name ? name : given);
    if (t->n == 2)
        snprintf(path, sizeof path, "%s.%s", t->field[1], t->field[0]);
    else
        snprintf(path, sizeof path, "%s", t->n == 1 ? t->field[0] : "");
    const tti_key *k = tti_key_find(path, strlen(path));
    if (k) return fail_value(k, places, name, given);
    return tti_fail(name ? TT_E_FORMAT : TT_E_ARG, "%s: %s", name ? name : given,
                    cyaml_strerror(e));
}

/* A decimal number that fills the text; the program never leaves the C locale. */
static bool read_number(const char *text, double *v) {
    char *end;
    if (strpbrk(text, "xX \t\n")) return false;
    *v = strtod(text, &end);
    return end != text && *end == 0;
}

bool tti_config_size(const char *text, double *bytes) {
    static const char units[] = "KMGT";
    char *end;
    if (strpbrk(text, "xX \t\n+-")) return false;
    *bytes = strtod(text, &end);
    if (end == text) return false;
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    for (const char *p = units; unit && p <= unit; p++) *bytes *= 1024;
    if (unit) end++;
    if (unit && *end == 'i') end++;
    if (*end == 'B') end++;
    return !*end && *bytes >= 1 && *bytes < 1e18;
}

static bool in_range(const tti_key *k, double v) {
    bool low = k->flags & TTI_KEY_ABOVE ? v > k->min : v >= k->min;
    bool high = k->flags & TTI_KEY_BELOW ? v < k->max : v <= k->max;
    return low && high; /* false for NaN */
}

static tt_status copy_list(tti_texts *dst, char *const *v, size_t n) {
    char **copy = tti_calloc(n, sizeof *copy);
    if (!copy) return TT_E_NOMEM;
    tti_texts made = {copy, n};
    for (size_t i = 0; i < n; i++) {
        copy[i] = tti_strdup(v[i]);
        if (!copy[i]) {
            tti_texts_free(&made);
            return TT_E_NOMEM;
        }
    }
    tti_texts_free(dst);
    *dst = made;
    return TT_OK;
}

static tt_status copy_text(char **dst, const char *text) {
    char *copy = tti_strdup(text);
    if (!copy) return TT_E_NOMEM;
    tti_free(*dst);
    *dst = copy;
    return TT_OK;
}

/* *ok says whether the value is one that the key may have. */
static tt_status set_field(tti_config *c, const tti_key *k, const void *v, size_t count,
                           bool scalar, bool *ok) {
    void *field = (char *)c + k->offset;
    const char *text = v;
    double number;
    switch (k->type) {
    case TTI_KEY_BOOL: *(bool *)field = *(const int *)v != 0; break;
    case TTI_KEY_CHOICE: *(int *)field = *(const int *)v; break;
    case TTI_KEY_INT:
        *ok = read_number(text, &number) && in_range(k, number) && number == floor(number);
        if (*ok) *(int64_t *)field = (int64_t)number;
        break;
    case TTI_KEY_NUM:
        *ok = read_number(text, &number) && in_range(k, number);
        if (*ok) *(double *)field = number;
        break;
    case TTI_KEY_SIZE:
        *ok = (read_number(text, &number) && number == 0) || tti_config_size(text, &number);
        if (*ok) *(int64_t *)field = (int64_t)number;
        *ok = *ok && in_range(k, number);
        break;
    case TTI_KEY_TEXT: *ok = text[0] != 0; return copy_text(field, text);
    case TTI_KEY_LIST:
        *ok = scalar ? text[0] != 0 : count > 0;
        if (!*ok) return TT_OK;
        return scalar ? copy_list(field, (char *const[]){(char *)text}, 1)
                      : copy_list(field, v, count);
    }
    return TT_OK;
}

static tt_status set_fields(tti_config *c, const document *d, const tti_key_places *places,
                            const char *name, const char *given) {
    for (size_t j = 0; j < places->n; j++) {
        const tti_key *k = places->at[j].key;
        size_t i = (size_t)(k - tti_keys);
        const loaded *l = &d->of[section_of(k)];
        bool ok = l->value[i] != NULL;
        if (ok)
            TT_TRY(set_field(c, k, l->value[i], (size_t)l->count[i], places->at[j].scalar, &ok));
        if (!ok) return fail_value(k, places, name, given);
    }
    return TT_OK;
}

tt_status tti_config_apply(tti_config *c, const char *text, size_t size, const char *name,
                           const char *given) {
    TT_ASSERT(tti_keys_n <= MOST_KEYS);
    tti_key_places places;
    schema *sc = NULL;
    document *d = NULL;
    trace t = {0};
    const cyaml_config_t config = {
        .log_fn = on_log, .log_ctx = &t, .mem_fn = on_memory, .log_level = CYAML_LOG_ERROR};
    tt_status s;
    TT_GO(tti_config_places(&places, text, size, name ? name : given));
    if (places.n == 0) goto done; /* only comments, or sections without keys */
    sc = tti_malloc(sizeof *sc);
    TT_GO(sc ? TT_OK : TT_E_NOMEM);
    make_schema(sc, &places);
    cyaml_err_t e =
        cyaml_load_data((const uint8_t *)text, size, &config, &sc->top, (cyaml_data_t **)&d, NULL);
    TT_GO(e == CYAML_OK ? TT_OK : fail_load(e, &t, &places, name, given));
    s = set_fields(c, d, &places, name, given);
done:
    if (d) cyaml_free(&config, &sc->top, d, 0);
    tti_free(sc);
    tti_free(places.at);
    return s;
}

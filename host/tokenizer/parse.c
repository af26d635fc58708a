// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/parse.h"

#include <string.h>
#include "host/core/file.h"
#include "host/tokenizer/unicode.h"
#include "host/tokenizer/vocab.h"

/* Writes C0 80 for each \u0000 that is an escape; the text only becomes shorter. */
static size_t hide_nul(char *p, size_t n) {
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\\' && n - i >= 6 && !memcmp(p + i, "\\u0000", 6)) {
            p[to++] = (char)0xC0;
            p[to++] = (char)0x80;
            i += 5;
        } else if (p[i] == '\\' && i + 1 < n) {
            p[to++] = p[i++];
            p[to++] = p[i];
        } else {
            p[to++] = p[i];
        }
    }
    return to;
}

static tt_status parse(tti_file *out, const char *name, char *text, size_t n) {
    size_t where;
    *out = (tti_file){0};
    if (!tti_utf8_valid(text, n, &where))
        return tti_fail(TT_E_FORMAT, "%s: not UTF-8 at byte %zu; is this the right file?", name,
                        where);
    out->name = tti_strdup(name);
    if (!out->name) return TT_E_NOMEM;
    tt_status s = tti_json_parse(&out->json, text, hide_nul(text, n), name);
    if (s == TT_OK && !cJSON_IsObject(out->json))
        s = tti_fail(TT_E_FORMAT, "%s: expected a JSON object", name);
    if (s != TT_OK) tti_file_free(out);
    return s;
}

tt_status tti_parse_file(tti_file *out, const char *path) {
    char *text;
    size_t n;
    *out = (tti_file){0};
    TT_TRY(tti_file_read(&text, &n, path, TTI_TOKENIZER_MAX_BYTES));
    tt_status s = parse(out, path, text, n);
    tti_free(text);
    return s;
}

tt_status tti_parse_text(tti_file *out, const char *name, const char *text, size_t n) {
    *out = (tti_file){0};
    char *copy = tti_strndup(text, n);
    if (!copy) return TT_E_NOMEM;
    tt_status s = parse(out, name, copy, n);
    tti_free(copy);
    return s;
}

void tti_file_free(tti_file *f) {
    tti_json_free(f->json);
    tti_free(f->name);
    *f = (tti_file){0};
}

const cJSON *tti_member(const cJSON *object, const char *key) {
    return cJSON_IsObject(object) ? tti_json_get(object, key) : NULL;
}

static tt_status wrong(const tti_file *f, const char *where, const char *key, const char *expected,
                       const cJSON *found) {
    char buf[64];
    return tti_fail(TT_E_FORMAT, "%s: %s: %s: expected %s, found %s", f->name, where, key, expected,
                    tti_json_describe(found, buf));
}

tt_status tti_get_bool(const tti_file *f, const cJSON *object, const char *where, const char *key,
                       bool fallback, bool *out) {
    const cJSON *v = tti_member(object, key);
    *out = v ? cJSON_IsTrue(v) : fallback;
    return !v || cJSON_IsBool(v) ? TT_OK : wrong(f, where, key, "true or false", v);
}

tt_status tti_get_index(const tti_file *f, const cJSON *object, const char *where, const char *key,
                        int64_t fallback, int64_t *out) {
    const cJSON *v = tti_member(object, key);
    *out = fallback;
    if (!v) return TT_OK;
    double d = cJSON_IsNumber(v) ? v->valuedouble : -1;
    if (!(d >= 0 && d <= 9007199254740992.0 && d == (double)(int64_t)d))
        return wrong(f, where, key, "a whole number", v);
    *out = (int64_t)d;
    return TT_OK;
}

tt_status tti_get_string(const tti_file *f, const cJSON *object, const char *where, const char *key,
                         const char **out) {
    const cJSON *v = tti_member(object, key);
    *out = cJSON_IsString(v) ? v->valuestring : NULL;
    return !v || *out ? TT_OK : wrong(f, where, key, "a string", v);
}

tt_status tti_need_string(const tti_file *f, const cJSON *object, const char *where,
                          const char *key, const char **out) {
    TT_TRY(tti_get_string(f, object, where, key, out));
    return *out ? TT_OK : wrong(f, where, key, "a string", NULL);
}

tt_status tti_get_type(const tti_file *f, const cJSON *object, const char *where,
                       const char **out) {
    if (!cJSON_IsObject(object)) {
        char buf[64];
        return tti_fail(TT_E_FORMAT, "%s: %s: expected an object, found %s", f->name, where,
                        tti_json_describe(object, buf));
    }
    return tti_need_string(f, object, where, "type", out);
}

tt_status tti_get_char(const tti_file *f, const cJSON *object, const char *where, const char *key,
                       uint32_t fallback, uint32_t *out) {
    const char *z;
    TT_TRY(tti_get_string(f, object, where, key, &z));
    *out = fallback;
    if (!z) return TT_OK;
    size_t n = 0;
    if (*z) *out = tti_utf8_get((const uint8_t *)z, &n);
    return *z && !z[n] ? TT_OK : wrong(f, where, key, "one character", tti_member(object, key));
}

tt_status tti_as_id(const tti_file *f, const cJSON *v, const char *where, int32_t *out) {
    double d = cJSON_IsNumber(v) ? v->valuedouble : -1;
    if (!(d >= 0 && d < TTI_ID_LIMIT && d == (double)(int32_t)d)) {
        char buf[64];
        return tti_fail(TT_E_FORMAT, "%s: %s: expected an id from 0 to %d, found %s", f->name,
                        where, TTI_ID_LIMIT - 1, tti_json_describe(v, buf));
    }
    *out = (int32_t)d;
    return TT_OK;
}

size_t tti_string_in_place(char *z) {
    size_t n = strlen(z), to = 0;
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)z[i] == 0xC0) {
            z[to++] = 0;
            i++;
        } else {
            z[to++] = z[i];
        }
    }
    z[to] = 0;
    return to;
}

tt_status tti_string(const char *from, char **out, size_t *n) {
    *out = tti_strdup(from);
    if (!*out) return TT_E_NOMEM;
    *n = tti_string_in_place(*out);
    return TT_OK;
}

tt_status tti_unknown_type(const tti_file *f, const char *where, const char *type) {
    return tti_fail(TT_E_UNSUPPORTED, "%s: %s: the type %.80s is not supported", f->name, where,
                    type);
}

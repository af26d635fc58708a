// SPDX-License-Identifier: Apache-2.0
/* json.c - parsing and typed access; writing is in json_write.c. */
#include "host/format/json.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include "host/core/file.h"

/* cJSON says NULL both for bad text and for lack of memory; this tells them apart. */
static _Thread_local bool out_of_memory;

static void *json_malloc(size_t size) {
    void *p = tti_malloc(size);
    if (!p) out_of_memory = true;
    return p;
}

static void use_our_memory(void) {
    cJSON_Hooks hooks = {json_malloc, tti_free};
    cJSON_InitHooks(&hooks);
}

static void hooks_once(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_our_memory);
}

/* The first NUL byte or escaped NUL, or NULL. */
static const char *find_nul(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (!text[i]) return text + i;
        if (text[i] != '\\') continue;
        if (size - i >= 6 && !memcmp(text + i + 1, "u0000", 5)) return text + i;
        i++;
    }
    return NULL;
}

static tt_status fail_at(const char *text, const char *where, const char *name, size_t line,
                         const char *what) {
    if (line) return tti_fail(TT_E_FORMAT, "%s:%zu: %s", name, line, what);
    size_t column = 1;
    line = 1;
    for (const char *p = text; p < where; p++) {
        if (*p == '\n')
            line++, column = 1;
        else if (((unsigned char)*p & 0xC0) != 0x80)
            column++; /* characters, not bytes */
    }
    return tti_fail(TT_E_FORMAT, "%s:%zu:%zu: %s", name, line, column, what);
}

static tt_status parse(cJSON **out, const char *text, size_t size, const char *name, size_t line) {
    *out = NULL;
    hooks_once();
    const char *nul = find_nul(text, size);
    if (nul) return fail_at(text, nul, name, line, "a NUL character, which is not supported");
    const char *end = text;
    out_of_memory = false;
    cJSON *json = size ? cJSON_ParseWithLengthOpts(text, size, &end, 0) : NULL;
    if (!json) {
        if (out_of_memory) return TT_E_NOMEM;
        size_t blank = 0;
        while (blank < size && strchr(" \t\r\n", text[blank])) blank++;
        bool empty = blank == size;
        return fail_at(text, end, name, line, empty ? "empty, expected JSON" : "not valid JSON");
    }
    while (end < text + size && strchr(" \t\r\n", *end)) end++;
    if (end < text + size) {
        cJSON_Delete(json);
        return fail_at(text, end, name, line, "not valid JSON: text after the end of the value");
    }
    *out = json;
    return TT_OK;
}

tt_status tti_json_parse(cJSON **out, const char *text, size_t size, const char *name) {
    return parse(out, text, size, name, 0);
}

tt_status tti_json_parse_line(cJSON **out, const char *text, size_t size, const char *name,
                              size_t line) {
    return parse(out, text, size, name, line);
}

/* Numbers come in the same order in the text and in the tree. Gives where the text goes on. */
static const char *mark_floats(cJSON *v, const char *p, const char *end) {
    for (; v; v = v->next) {
        if (v->child) p = mark_floats(v->child, p, end);
        if (!cJSON_IsNumber(v)) continue;
        bool in_string = false;
        while (p < end && (in_string || !strchr("-0123456789", *p))) {
            if (*p == '\\')
                p++;
            else if (*p == '"')
                in_string = !in_string;
            p++;
        }
        for (; p < end && strchr("+-.0123456789eE", *p); p++)
            if (strchr(".eE", *p)) v->type |= TTI_JSON_FLOAT;
    }
    return p;
}

tt_status tti_json_file(cJSON **out, const char *path, size_t max) {
    char *text;
    size_t size;
    *out = NULL;
    TT_TRY(tti_file_read(&text, &size, path, max));
    tt_status s = tti_json_parse(out, text, size, path);
    if (s == TT_OK && !cJSON_IsObject(*out)) {
        char found[64];
        s = tti_fail(TT_E_FORMAT, "%s: expected a JSON object, found %s", path,
                     tti_json_describe(*out, found));
        tti_json_free(*out);
        *out = NULL;
    }
    if (s == TT_OK) mark_floats(*out, text, text + size);
    tti_free(text);
    return s;
}

void tti_json_free(cJSON *json) { cJSON_Delete(json); }

const cJSON *tti_json_get(const cJSON *object, const char *key) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return v && !cJSON_IsNull(v) ? v : NULL;
}

const char *tti_json_describe(const cJSON *v, char buf[64]) {
    if (!v) return "nothing";
    if (cJSON_IsString(v)) {
        size_t n = strlen(v->valuestring), shown = TT_MIN(n, (size_t)40);
        while (shown < n && ((unsigned char)v->valuestring[shown] & 0xC0) == 0x80) shown--;
        snprintf(buf, 64, "the string \"%.*s%s\"", (int)shown, v->valuestring,
                 shown < n ? ".." : "");
    } else if (cJSON_IsNumber(v)) {
        snprintf(buf, 64, "%.15g", v->valuedouble);
    } else {
        return cJSON_IsBool(v)     ? cJSON_IsTrue(v) ? "true" : "false"
               : cJSON_IsArray(v)  ? "an array"
               : cJSON_IsObject(v) ? "an object"
                                   : "null";
    }
    return buf;
}

static tt_status wrong(tti_json_at at, const char *key, const char *expected, const cJSON *v) {
    char found[64];
    return tti_fail(TT_E_FORMAT, "%s: %s: expected %s, found %s", at.file, key, expected,
                    tti_json_describe(v, found));
}

tt_status tti_json_str(tti_json_at at, const char *key, const char **out, const char *fallback) {
    const cJSON *v = tti_json_get(at.object, key);
    if (v && !cJSON_IsString(v)) return wrong(at, key, "a string", v);
    *out = v ? v->valuestring : fallback;
    return TT_OK;
}

tt_status tti_json_int(tti_json_at at, const char *key, int64_t *out, int64_t fallback) {
    const cJSON *v = tti_json_get(at.object, key);
    *out = fallback;
    if (!v) return TT_OK;
    if (!cJSON_IsNumber(v) || !(fabs(v->valuedouble) <= 0x1p53) ||
        v->valuedouble != nearbyint(v->valuedouble))
        return wrong(at, key, "a whole number", v);
    *out = (int64_t)v->valuedouble;
    return TT_OK;
}

tt_status tti_json_int_in(tti_json_at at, const char *key, int64_t *out, int64_t fallback,
                          int64_t least, int64_t most) {
    TT_TRY(tti_json_int(at, key, out, fallback));
    if (!tti_json_get(at.object, key) || (*out >= least && *out <= most)) return TT_OK;
    return tti_fail(TT_E_FORMAT, "%s: %s: expected a whole number from %lld to %lld, found %lld",
                    at.file, key, (long long)least, (long long)most, (long long)*out);
}

tt_status tti_json_float(tti_json_at at, const char *key, double *out, double fallback) {
    const cJSON *v = tti_json_get(at.object, key);
    if (v && (!cJSON_IsNumber(v) || !isfinite(v->valuedouble)))
        return wrong(at, key, "a finite number", v);
    *out = v ? v->valuedouble : fallback;
    return TT_OK;
}

tt_status tti_json_bool(tti_json_at at, const char *key, bool *out, bool fallback) {
    const cJSON *v = tti_json_get(at.object, key);
    if (v && !cJSON_IsBool(v)) return wrong(at, key, "true or false", v);
    *out = v ? cJSON_IsTrue(v) : fallback;
    return TT_OK;
}

tt_status tti_json_array(tti_json_at at, const char *key, const cJSON **out) {
    const cJSON *v = tti_json_get(at.object, key);
    if (v && !cJSON_IsArray(v)) return wrong(at, key, "an array", v);
    *out = v;
    return TT_OK;
}

tt_status tti_json_object(tti_json_at at, const char *key, const cJSON **out) {
    const cJSON *v = tti_json_get(at.object, key);
    if (v && !cJSON_IsObject(v)) return wrong(at, key, "an object", v);
    *out = v;
    return TT_OK;
}

tt_status tti_json_need(tti_json_at at, const char *key) {
    if (tti_json_get(at.object, key)) return TT_OK;
    return tti_fail(TT_E_FORMAT, "%s: %s: missing", at.file, key);
}

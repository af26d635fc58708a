// SPDX-License-Identifier: Apache-2.0
/* source.c - the text of a kernel file with its includes in place. */
#include "host/device/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "host/core/file.h"

#define MAX_INCLUDES 32
#define MAX_SOURCE ((size_t)16 << 20)

typedef struct {
    const char *dir; /* TT_CL_DIR, or NULL for the embedded files */
    char seen[MAX_INCLUDES][64];
    size_t n;
    tti_str *out;
} inliner;

static tt_status read_one(char **text, const inliner *in, const char *name) {
    *text = NULL;
    if (in->dir) {
        char *path = tti_path_join(in->dir, name);
        if (!path) return TT_E_NOMEM;
        size_t size;
        tt_status s = tti_file_read(text, &size, path, MAX_SOURCE);
        tti_free(path);
        return s == TT_OK ? s : tti_fail_in(s, "kernel file cl/%s (TT_CL_DIR)", name);
    }
    for (const tti_kernel_file *f = tti_kernel_files; f->name; f++) {
        if (strcmp(f->name, name) != 0) continue;
        *text = tti_strndup((const char *)f->bytes, f->size);
        return *text ? TT_OK : TT_E_NOMEM;
    }
    return tti_fail(TT_E_BUILD, "kernel file cl/%s: not in this library", name);
}

/* Takes the file name out of a line `#include "name"`; false for any other line. */
static bool include_of(const char *line, size_t len, char name[64]) {
    const char *p = line, *end = line + len;
    while (p < end && isblank((unsigned char)*p)) p++;
    static const char word[] = "#include \"";
    if ((size_t)(end - p) < sizeof word || memcmp(p, word, sizeof word - 1) != 0) return false;
    p += sizeof word - 1;
    const char *close = memchr(p, '"', (size_t)(end - p));
    if (!close || close == p || close - p >= 64 || memchr(p, '/', (size_t)(close - p)))
        return false;
    memcpy(name, p, (size_t)(close - p));
    name[close - p] = 0;
    return true;
}

/* New when it is the first time that this program includes name. */
static tt_status first_time(inliner *in, const char *name, bool *first) {
    *first = false;
    for (size_t i = 0; i < in->n; i++)
        if (strcmp(in->seen[i], name) == 0) return TT_OK;
    if (in->n == MAX_INCLUDES)
        return tti_fail(TT_E_BUILD, "kernel file cl/%s: more than %d includes", name, MAX_INCLUDES);
    snprintf(in->seen[in->n++], sizeof in->seen[0], "%s", name);
    *first = true;
    return TT_OK;
}

/* The recursion ends: every level adds a new name to seen. */
static tt_status inline_file(inliner *in, const char *name) { // NOLINT(misc-no-recursion)
    char *text;
    TT_TRY(read_one(&text, in, name));
    tt_status s = TT_OK;
    tti_str_printf(in->out, "#line 1 \"%s\"\n", name);
    int number = 1;
    for (const char *p = text; *p; number++) {
        const char *nl = strchr(p, '\n');
        size_t len = nl ? (size_t)(nl - p) : strlen(p);
        char inner[64];
        if (include_of(p, len, inner)) {
            bool first;
            TT_GO(first_time(in, inner, &first));
            if (first) {
                TT_GO(inline_file(in, inner));
                tti_str_printf(in->out, "#line %d \"%s\"\n", number + 1, name);
            } else {
                tti_str_putc(in->out, '\n');
            }
        } else {
            tti_str_add(in->out, p, len);
            tti_str_putc(in->out, '\n');
        }
        p += len + (nl != NULL);
    }
    s = in->out->status;
done:
    tti_free(text);
    return s;
}

tt_status tti_kernel_source(tti_str *out, const char *file) {
    char name[64];
    int n = snprintf(name, sizeof name, "%s.cl", file);
    if (n < 0 || (size_t)n >= sizeof name) return tti_fail(TT_E_ARG, "kernel file %s: name", file);
    const char *dir = getenv("TT_CL_DIR");
    inliner in = {.dir = dir && *dir ? dir : NULL, .out = out};
    return inline_file(&in, name);
}

bool tti_kernel_line(const char *source, long number, char file[64], long *line) {
    long at = 0;
    file[0] = 0;
    for (long i = 1; *source && i <= number; i++) {
        const size_t len = strcspn(source, "\n");
        if (sscanf(source, "#line %ld \"%63[^\"]\"", line, file) == 2)
            at = *line;
        else if (i == number)
            *line = at;
        else
            at++;
        if (i == number) return file[0] != 0;
        source += len + (source[len] == '\n');
    }
    return false;
}

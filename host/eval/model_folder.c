// SPDX-License-Identifier: Apache-2.0
/* model_folder.c - where a model's folder may be written, and the files that go with its weights.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "host/core/file.h"
#include "host/eval/model_folder.h"

/* Names of files that go with a model's weights, copied as they are. */
static const char *const tokenizer_files[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
};

static tt_status has(const char *dir, const char *name, bool *out) {
    char *path = tti_path_join(dir, name);
    if (!path) return TT_E_NOMEM;
    *out = tti_file_exists(path);
    tti_free(path);
    return TT_OK;
}

/* The other files that a model's folder is written with. */
static const char *const model_files[] = {"config.json", "generation_config.json",
                                          "model.safetensors"};

static bool is_named(const char *name, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(name, list[i])) return true;
    return false;
}

/* The first thing in dir that is not written with a model, into out; "" where there is none. */
static tt_status find_foreign(const char *dir, char out[256], bool *empty) {
    DIR *d = opendir(dir);
    out[0] = 0;
    *empty = true;
    if (!d) return tti_fail(TT_E_IO, "%s: cannot read the folder: %s", dir, strerror(errno));
    for (struct dirent *e; !out[0] && (e = readdir(d));) {
        const char *name = e->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        *empty = false;
        if (!is_named(name, model_files, TT_COUNT(model_files)) &&
            !is_named(name, tokenizer_files, TT_COUNT(tokenizer_files)))
            snprintf(out, 256, "%s", name);
    }
    closedir(d);
    return TT_OK;
}

/* Whether `inner` is or lies in `outer`. */
static bool holds(const char *outer, const char *inner) {
    char x[PATH_MAX], y[PATH_MAX];
    if (!realpath(outer, x) || !realpath(inner, y)) return false;
    const size_t n = strcmp(x, "/") ? strlen(x) : 0;
    return !strncmp(x, y, n) && (y[n] == '/' || !y[n]);
}

tt_status tti_folder_check_place(const char *out, const char *const *sources, size_t n) {
    char foreign[256];
    bool empty, config, weights;
    for (size_t i = 0; i < n; i++)
        if (holds(out, sources[i]))
            return tti_fail(TT_E_ARG, "%s: %s is read from it; choose another folder to write", out,
                            sources[i]);
    if (tti_file_exists(out)) return tti_fail(TT_E_ARG, "%s: is a file; name a folder", out);
    if (!tti_dir_exists(out)) return TT_OK;
    TT_TRY(find_foreign(out, foreign, &empty));
    if (empty) return TT_OK;
    TT_TRY(has(out, "config.json", &config));
    TT_TRY(has(out, "model.safetensors", &weights));
    if (!foreign[0] && config && weights) return TT_OK;
    if (!foreign[0])
        return tti_fail(TT_E_ARG, "%s: holds something else than a model; choose another folder",
                        out);
    return tti_fail(TT_E_ARG,
                    "%s: holds something else than a model, as %s, which would be lost; choose "
                    "another folder",
                    out, foreign);
}

tt_status tti_folder_copy(const char *to, const char *from, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char *source = tti_path_join(from, list[i]), *dest = tti_path_join(to, list[i]);
        char *text = NULL;
        size_t size;
        tt_status s = source && dest ? TT_OK : TT_E_NOMEM;
        if (s == TT_OK && tti_file_exists(source)) {
            s = tti_file_read(&text, &size, source, (size_t)1 << 30);
            if (s == TT_OK) s = tti_file_write(dest, text, size);
        }
        tti_free(text);
        tti_free(source);
        tti_free(dest);
        TT_TRY(s);
    }
    return TT_OK;
}

tt_status tti_folder_copy_tokenizer(const char *to, const char *from) {
    return tti_folder_copy(to, from, tokenizer_files, TT_COUNT(tokenizer_files));
}

tt_status tti_folder_has_tokenizer(const char *dir, bool *out) {
    static const char *const file[] = {"tokenizer.json", "vocab.json", "vocab.txt"};
    *out = false;
    for (size_t i = 0; i < TT_COUNT(file) && !*out; i++) TT_TRY(has(dir, file[i], out));
    return TT_OK;
}

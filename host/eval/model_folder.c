// SPDX-License-Identifier: Apache-2.0
/* model_folder.c - where a model's folder may be written, and the files that go with its weights.
 */
#include <dirent.h>
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
static bool same_place(const char *a, const char *b) {
    char x[PATH_MAX], y[PATH_MAX];
    return realpath(a, x) && realpath(b, y) && !strcmp(x, y);
}

static tt_status has(const char *dir, const char *name, bool *out) {
    char *path = tti_path_join(dir, name);
    if (!path) return TT_E_NOMEM;
    *out = tti_file_exists(path);
    tti_free(path);
    return TT_OK;
}

static bool is_empty(const char *dir) {
    DIR *d = opendir(dir);
    size_t n = 0;
    if (!d) return false;
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n == 0;
}

tt_status tti_folder_check_place(const char *out, const char *const *sources, size_t n) {
    bool config, weights;
    for (size_t i = 0; i < n; i++)
        if (same_place(out, sources[i]))
            return tti_fail(TT_E_ARG, "%s: is read from; choose another folder to write", out);
    if (tti_file_exists(out)) return tti_fail(TT_E_ARG, "%s: is a file; name a folder", out);
    if (!tti_dir_exists(out) || is_empty(out)) return TT_OK;
    TT_TRY(has(out, "config.json", &config));
    TT_TRY(has(out, "model.safetensors", &weights));
    if (config && weights) return TT_OK;
    return tti_fail(TT_E_ARG, "%s: holds something else than a model; choose another folder", out);
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

// SPDX-License-Identifier: Apache-2.0
/* checkpoint.c - one checkpoint: written, checked, read. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "host/core/file.h"
#include "host/train/checkpoint.h"
#include "host/train/checkpoint_internal.h"
#include "host/train/digest.h"
#include "host/train/optimizer_state.h"

static const char sums_file[] = "SUMS", run_file[] = "run.json",
                  optimizer_file[] = "optimizer.safetensors";

void tti_run_state_free(tti_run_state *r) {
    tti_free(r->config);
    tti_free(r->gemm);
    *r = (tti_run_state){0};
}

char *tti_checkpoint_path(const char *output, uint64_t step) {
    char name[40];
    snprintf(name, sizeof name, "checkpoint-%" PRIu64, step);
    return tti_path_join(output, name);
}

bool tti_checkpoint_is_own(const char *name) {
    return strcmp(name, sums_file) == 0 || strcmp(name, run_file) == 0 ||
           strcmp(name, optimizer_file) == 0;
}

/* ---- run.json ---- */

static tt_status set_sum(cJSON *root, const char *key, uint64_t sum) {
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, sum);
    return tti_json_set_str(root, key, text);
}

static tt_status state_json(cJSON *root, const tti_run_state *r) {
    TT_TRY(tti_json_set_int(root, "format", 1));
    TT_TRY(tti_json_set_int(root, "step", (int64_t)r->step));
    if (r->has_best) {
        TT_TRY(tti_json_set_int(root, "best_step", (int64_t)r->best_step));
        TT_TRY(tti_json_set_float(root, "best_value", r->best_value));
    }
    TT_TRY(tti_json_set_int(root, "metrics_bytes", (int64_t)r->metrics_bytes));
    TT_TRY(set_sum(root, "train_sum", r->train_sum));
    TT_TRY(set_sum(root, "eval_sum", r->eval_sum));
    TT_TRY(tti_json_set_str(root, "config", r->config));
    return tti_json_set_str(root, "gemm", r->gemm);
}

static tt_status write_state(const char *path, const tti_run_state *r) {
    cJSON *root = cJSON_CreateObject();
    tt_status s = root ? state_json(root, r) : tti_fail(TT_E_NOMEM, "out of host memory");
    if (s == TT_OK) s = tti_json_write(path, root);
    cJSON_Delete(root);
    return s;
}

static tt_status get_uint(tti_json_at at, const char *key, uint64_t *out) {
    int64_t v;
    TT_TRY(tti_json_need(at, key));
    TT_TRY(tti_json_int_in(at, key, &v, 0, 0, INT64_C(1) << 53));
    *out = (uint64_t)v;
    return TT_OK;
}

static tt_status get_sum(tti_json_at at, const char *key, uint64_t *out) {
    const char *text;
    char *end;
    TT_TRY(tti_json_str(at, key, &text, ""));
    *out = strtoull(text, &end, 16);
    if (strlen(text) == 16 && *end == 0) return TT_OK;
    return tti_fail(TT_E_FORMAT, "%s: %s: expected 16 hexadecimal digits", at.file, key);
}

static tt_status get_text(tti_json_at at, const char *key, char **out) {
    const char *text;
    TT_TRY(tti_json_need(at, key));
    TT_TRY(tti_json_str(at, key, &text, NULL));
    *out = tti_strdup(text);
    return *out ? TT_OK : TT_E_NOMEM;
}

static tt_status read_state(tti_run_state *r, tti_json_at at) {
    uint64_t format;
    TT_TRY(get_uint(at, "format", &format));
    if (format != 1)
        return tti_fail(TT_E_UNSUPPORTED, "%s: format %" PRIu64 "; this version reads 1", at.file,
                        format);
    TT_TRY(get_uint(at, "step", &r->step));
    r->has_best = tti_json_get(at.object, "best_step") != NULL;
    if (r->has_best) {
        TT_TRY(get_uint(at, "best_step", &r->best_step));
        TT_TRY(tti_json_float(at, "best_value", &r->best_value, 0));
    }
    TT_TRY(get_uint(at, "metrics_bytes", &r->metrics_bytes));
    TT_TRY(get_sum(at, "train_sum", &r->train_sum));
    TT_TRY(get_sum(at, "eval_sum", &r->eval_sum));
    TT_TRY(get_text(at, "config", &r->config));
    return get_text(at, "gemm", &r->gemm);
}

tt_status tti_checkpoint_read(tti_run_state *out, const char *path) {
    *out = (tti_run_state){0};
    char *file = tti_path_join(path, run_file);
    cJSON *root = NULL;
    if (!file) return TT_E_NOMEM;
    tt_status s = tti_json_file(&root, file, TTI_JSON_MAX);
    if (s == TT_OK) s = read_state(out, (tti_json_at){root, file});
    if (s != TT_OK) tti_run_state_free(out);
    tti_json_free(root);
    tti_free(file);
    return s;
}

/* ---- SUMS ---- */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

tt_status tti_file_names(char ***names, size_t *n, const char *dir) {
    size_t cap = 0;
    tt_status s = TT_OK;
    *names = NULL;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d) return tti_fail(TT_E_IO, "%s: cannot be read: %s", dir, strerror(errno));
    for (struct dirent *e; s == TT_OK && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        s = TTI_GROW(*names, cap, *n + 1);
        if (s == TT_OK && !((*names)[*n] = tti_strdup(e->d_name))) s = TT_E_NOMEM;
        if (s == TT_OK) ++*n;
    }
    closedir(d);
    if (s == TT_OK && *n > 1) qsort(*names, *n, sizeof **names, compare_names);
    if (s != TT_OK) tti_file_names_free(*names, *n);
    return s;
}

void tti_file_names_free(char **names, size_t n) {
    for (size_t i = 0; i < n; i++) tti_free(names[i]);
    tti_free(names);
}

static tt_status sum_line(tti_str *out, const char *dir, const char *name) {
    uint64_t sum, size;
    char *path = tti_path_join(dir, name);
    tt_status s = path ? tti_digest_file(&sum, &size, path) : TT_E_NOMEM;
    if (s == TT_OK) tti_str_printf(out, "%016" PRIx64 " %" PRIu64 " %s\n", sum, size, name);
    tti_free(path);
    return s == TT_OK ? out->status : s;
}

static tt_status write_sums(const char *dir) {
    char **names, *path = NULL;
    size_t n;
    tti_str text = {0};
    tt_status s = tti_file_names(&names, &n, dir);
    if (s != TT_OK) return s;
    for (size_t i = 0; i < n; i++) TT_GO(sum_line(&text, dir, names[i]));
    path = tti_path_join(dir, sums_file);
    TT_GO(path ? TT_OK : TT_E_NOMEM);
    s = tti_file_write(path, text.p, text.len);
done:
    tti_free(path);
    tti_str_free(&text);
    tti_file_names_free(names, n);
    return s;
}

/* One line of SUMS against the file it names. */
static tt_status check_line(const char *dir, const char *line, size_t n) {
    char *end, *end2;
    uint64_t want = strtoull(line, &end, 16), size = strtoull(end, &end2, 10), got, got_size;
    if (end != line + 16 || *end != ' ' || *end2 != ' ' || end2 >= line + n)
        return tti_fail(TT_E_FORMAT, "%s/%s: expected \"digest bytes name\"", dir, sums_file);
    char *name = tti_strndup(end2 + 1, (size_t)(line + n - end2 - 1));
    char *path = name && !strchr(name, '/') ? tti_path_join(dir, name) : NULL;
    tt_status s = path ? tti_digest_file(&got, &got_size, path) : TT_E_FORMAT;
    if (s == TT_OK && got_size != size)
        s = tti_fail(TT_E_FORMAT, "%s: %" PRIu64 " bytes, %" PRIu64 " were written", path, got_size,
                     size);
    else if (s == TT_OK && got != want)
        s = tti_fail(TT_E_FORMAT, "%s: its content is not what was written", path);
    tti_free(name);
    tti_free(path);
    return s;
}

tt_status tti_checkpoint_check(const char *path) {
    char *file = tti_path_join(path, sums_file), *text = NULL;
    size_t size;
    bool state = false;
    if (!file) return TT_E_NOMEM;
    tt_status s;
    TT_GO(tti_file_read(&text, &size, file, 1 << 20));
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        if (p[n] != '\n') TT_GO(tti_fail(TT_E_FORMAT, "%s: cut off", file));
        TT_GO(check_line(path, p, n));
        state = state || (n > 9 && strncmp(p + n - 9, " run.json", 9) == 0);
        p += n + 1;
    }
    if (!state) s = tti_fail(TT_E_FORMAT, "%s: %s is not listed", file, run_file);
done:
    tti_free(file);
    tti_free(text);
    return s;
}

/* ---- writing ---- */

static tt_status fill(const char *dir, const tti_run_state *r, tti_session *s, tti_model *m,
                      const tti_tokenizer *t, const tti_export *e) {
    char *run = tti_path_join(dir, run_file), *optimizer = tti_path_join(dir, optimizer_file);
    tt_status st = run && optimizer ? TT_OK : TT_E_NOMEM;
    if (st == TT_OK) st = tti_export_write(dir, m, t, e);
    if (st == TT_OK) st = tti_optimizer_state_write(optimizer, s, m);
    if (st == TT_OK) st = write_state(run, r);
    if (st == TT_OK) st = write_sums(dir);
    tti_free(run);
    tti_free(optimizer);
    return st;
}

tt_status tti_checkpoint_write(const char *output, const tti_run_state *r, tti_session *s,
                               tti_model *m, const tti_tokenizer *t, const tti_export *e) {
    TT_TRY(tti_session_flush(s));
    char *path = tti_checkpoint_path(output, r->step), *aside = NULL;
    tt_status st = path ? tti_dir_begin(&aside, path) : TT_E_NOMEM;
    if (st == TT_OK) st = fill(aside, r, s, m, t, e);
    if (st == TT_OK) st = tti_dir_commit(aside, path);
    if (st != TT_OK) tti_dir_abort(aside);
    tti_free(aside);
    tti_free(path);
    return st;
}

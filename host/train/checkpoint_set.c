// SPDX-License-Identifier: Apache-2.0
/* checkpoint_set.c - all checkpoints of an output folder: listed, chosen, removed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/train/checkpoint.h"
#include "host/train/checkpoint_internal.h"

static const char prefix[] = "checkpoint-";

/* The step in the name of a checkpoint folder; *rest is what follows the digits. */
static bool step_of(const char *name, uint64_t *step, const char **rest) {
    size_t n = sizeof prefix - 1;
    if (strncmp(name, prefix, n) != 0) return false;
    size_t digits = strspn(name + n, "0123456789");
    if (digits == 0 || digits > 18 || (name[n] == '0' && digits > 1)) return false;
    *step = strtoull(name + n, NULL, 10);
    *rest = name + n + digits;
    return true;
}

static int compare_steps(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

tt_status tti_checkpoint_list(uint64_t **steps, size_t *n, const char *output) {
    char **names;
    size_t count;
    *steps = NULL;
    *n = 0;
    if (!tti_dir_exists(output)) return TT_OK;
    TT_TRY(tti_file_names(&names, &count, output));
    *steps = tti_calloc(count, sizeof **steps);
    tt_status s = *steps ? TT_OK : TT_E_NOMEM;
    for (size_t i = 0; s == TT_OK && i < count; i++) {
        uint64_t step;
        const char *rest;
        if (step_of(names[i], &step, &rest) && *rest == 0) (*steps)[(*n)++] = step;
    }
    if (s == TT_OK && *n > 1) qsort(*steps, *n, sizeof **steps, compare_steps);
    tti_file_names_free(names, count);
    return s;
}

tt_status tti_checkpoint_latest(uint64_t *step, bool *found, const char *output) {
    uint64_t *steps;
    size_t n;
    *found = false;
    TT_TRY(tti_checkpoint_list(&steps, &n, output));
    tt_status s = TT_OK;
    while (n > 0 && !*found && s == TT_OK) {
        char *path = tti_checkpoint_path(output, steps[--n]);
        if (!path) {
            s = TT_E_NOMEM;
        } else if (tti_checkpoint_check(path) == TT_OK) {
            *step = steps[n];
            *found = true;
        } else {
            tti_warn("%s is damaged and passed over: %s", path, tt_error());
        }
        tti_free(path);
    }
    tti_free(steps);
    return s;
}

/* Renamed first, so that a kill leaves no half of a checkpoint under its name. */
static tt_status remove_one(const char *output, uint64_t step) {
    char *path = tti_checkpoint_path(output, step);
    tti_str aside = {0};
    if (path) tti_str_printf(&aside, "%s.part-%ld", path, (long)getpid());
    tt_status s = path ? aside.status : TT_E_NOMEM;
    if (s == TT_OK && rename(path, aside.p) != 0)
        s = tti_fail(TT_E_IO, "%s: cannot be removed: %s", path, strerror(errno));
    if (s == TT_OK) s = tti_dir_remove(aside.p);
    tti_str_free(&aside);
    tti_free(path);
    return s;
}

tt_status tti_checkpoint_prune(const char *output, size_t keep, const tti_run_state *r) {
    uint64_t *steps;
    size_t n;
    TT_TRY(tti_checkpoint_list(&steps, &n, output));
    tt_status s = TT_OK;
    for (size_t i = 0; s == TT_OK && i + keep < n; i++)
        if (!r->has_best || steps[i] != r->best_step) s = remove_one(output, steps[i]);
    tti_free(steps);
    return s;
}

tt_status tti_checkpoint_drop_after(const char *output, uint64_t newest) {
    uint64_t *steps;
    size_t n;
    TT_TRY(tti_checkpoint_list(&steps, &n, output));
    tt_status s = TT_OK;
    for (size_t i = 0; s == TT_OK && i < n; i++)
        if (steps[i] > newest) s = remove_one(output, steps[i]);
    tti_free(steps);
    return s;
}

tt_status tti_checkpoint_recover(const char *output) {
    char **names;
    size_t n;
    if (!tti_dir_exists(output)) return TT_OK;
    TT_TRY(tti_file_names(&names, &n, output));
    tt_status s = TT_OK;
    for (size_t i = 0; s == TT_OK && i < n; i++) {
        uint64_t step;
        const char *rest;
        bool left = step_of(names[i], &step, &rest) && *rest == '.';
        if (!left && strncmp(names[i], "final.", 6) != 0) continue;
        char *path = left ? tti_checkpoint_path(output, step) : tti_path_join(output, "final");
        s = path ? tti_dir_recover(path) : TT_E_NOMEM;
        tti_free(path);
    }
    tti_file_names_free(names, n);
    return s;
}

static tt_status copy_file(const char *from, const char *to, const char *name) {
    char *source = tti_path_join(from, name), *target = tti_path_join(to, name);
    tti_map m = {0};
    tti_outfile o = {0};
    tt_status s = source && target ? tti_map_open(&m, source) : TT_E_NOMEM;
    if (s == TT_OK) s = tti_outfile_begin(&o, target);
    for (size_t at = 0, n; s == TT_OK && at < m.size; at += n) {
        n = TT_MIN(m.size - at, (size_t)TTI_MAP_PIECE);
        s = tti_outfile_write(&o, m.data + at, n);
        tti_map_drop(&m);
    }
    if (s == TT_OK) s = tti_outfile_commit(&o);
    tti_outfile_abort(&o);
    tti_map_close(&m);
    tti_free(source);
    tti_free(target);
    return s;
}

tt_status tti_checkpoint_export(const char *path, const char *to) {
    char **names, *aside = NULL;
    size_t n;
    TT_TRY(tti_file_names(&names, &n, path));
    tt_status s = tti_dir_begin(&aside, to);
    for (size_t i = 0; s == TT_OK && i < n; i++)
        if (!tti_checkpoint_is_own(names[i])) s = copy_file(path, aside, names[i]);
    if (s == TT_OK) s = tti_dir_commit(aside, to);
    if (s != TT_OK) tti_dir_abort(aside);
    tti_free(aside);
    tti_file_names_free(names, n);
    return s;
}

// SPDX-License-Identifier: Apache-2.0
/* test_files.c - digests, metrics.jsonl, sets of checkpoints that hold no model. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/train/checkpoint.h"
#include "host/train/digest.h"
#include "host/train/metrics_log.h"

static char folder[64];

static void make_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/tt_files_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void) { tti_dir_remove(folder); }

TestSuite(files, .init = make_folder, .fini = remove_folder);

Test(files, digests_do_not_depend_on_portions_and_see_every_bit) {
    uint8_t text[61];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * 37);
    for (size_t n = 0; n <= sizeof text; n++) {
        tti_digest whole, parts, flipped;
        tti_digest_begin(&whole);
        tti_digest_add(&whole, text, n);
        for (size_t cut = 0; cut <= n; cut++) {
            tti_digest_begin(&parts);
            tti_digest_add(&parts, text, cut / 2);
            tti_digest_add(&parts, text + cut / 2, cut - cut / 2);
            tti_digest_add(&parts, text + cut, n - cut);
            cr_expect_eq(tti_digest_end(&parts), tti_digest_end(&whole));
        }
        for (size_t bit = 0; bit < 8 * n; bit++) {
            text[bit / 8] ^= (uint8_t)(1 << bit % 8);
            tti_digest_begin(&flipped);
            tti_digest_add(&flipped, text, n);
            text[bit / 8] ^= (uint8_t)(1 << bit % 8);
            cr_expect_neq(tti_digest_end(&flipped), tti_digest_end(&whole));
        }
        tti_digest_begin(&flipped); /* a shorter text, and zeros at the end, differ too */
        tti_digest_add(&flipped, text, n);
        tti_digest_add(&flipped, "", 1);
        cr_expect_neq(tti_digest_end(&flipped), tti_digest_end(&whole));
    }
}

static void expect_content(const char *path, const char *want) {
    char *text;
    size_t size;
    cr_assert_eq(tti_file_read(&text, &size, path, 1 << 20), TT_OK);
    cr_expect_str_eq(text, want);
    tti_free(text);
}

static void append(tti_metrics_log *l, const char *text) {
    tti_str line = {0};
    tti_str_puts(&line, text);
    cr_assert_eq(tti_metrics_log_line(l, &line), TT_OK);
    tti_str_free(&line);
}

Test(files, metrics_are_cut_to_the_checkpoint) {
    char *path = tti_path_join(folder, "m.jsonl");
    tti_metrics_log l;
    cr_assert_eq(tti_metrics_log_open(&l, path, 0), TT_OK);
    append(&l, "{1}");
    append(&l, "{2}");
    cr_expect_eq(l.size, 8);
    tti_metrics_log_close(&l);
    cr_assert_eq(tti_metrics_log_open(&l, path, 4), TT_OK);
    append(&l, "{3}");
    cr_expect_eq(tti_metrics_log_sync(&l), TT_OK);
    tti_metrics_log_close(&l);
    expect_content(path, "{1}\n{3}\n");
    cr_assert_eq(tti_metrics_log_open(&l, path, 100), TT_OK, "shorter than it was: kept");
    cr_expect_eq(l.size, 8);
    tti_metrics_log_close(&l);
    cr_assert_eq(tti_metrics_log_open(&l, path, 0), TT_OK);
    tti_metrics_log_close(&l);
    expect_content(path, "");
    cr_expect_eq(tti_metrics_log_open(&l, "/nowhere/m.jsonl", 0), TT_E_IO);
    tti_free(path);
}

static void put(const char *name, const char *file, const char *text) {
    char *dir = tti_path_join(folder, name), *path = tti_path_join(dir, file);
    cr_assert_eq(tti_mkdirs(dir), TT_OK);
    cr_assert_eq(tti_file_write(path, text, strlen(text)), TT_OK);
    tti_free(dir);
    tti_free(path);
}

static bool there(const char *name) {
    char *dir = tti_path_join(folder, name);
    bool is = tti_dir_exists(dir);
    tti_free(dir);
    return is;
}

Test(files, old_checkpoints_go_and_the_best_stays) {
    static const char *const names[] = {"checkpoint-5",         "checkpoint-10", "checkpoint-100",
                                        "checkpoint-20",        "checkpoint-x",  "checkpoint-07",
                                        "checkpoint-30.part-99"};
    for (size_t i = 0; i < TT_COUNT(names); i++) put(names[i], "f", "x");
    uint64_t *steps;
    size_t n;
    cr_assert_eq(tti_checkpoint_list(&steps, &n, folder), TT_OK);
    cr_assert_eq(n, 4);
    cr_expect(steps[0] == 5 && steps[1] == 10 && steps[2] == 20 && steps[3] == 100);
    tti_free(steps);
    tti_run_state r = {.has_best = true, .best_step = 5};
    cr_assert_eq(tti_checkpoint_prune(folder, 2, &r), TT_OK, "%s", tt_error());
    cr_expect(there("checkpoint-5") && there("checkpoint-20") && there("checkpoint-100"));
    cr_expect(!there("checkpoint-10") && there("checkpoint-x") && there("checkpoint-07"));
    cr_assert_eq(tti_checkpoint_drop_after(folder, 20), TT_OK);
    cr_expect(there("checkpoint-20") && !there("checkpoint-100"));
    cr_assert_eq(tti_checkpoint_recover(folder), TT_OK);
    cr_expect(!there("checkpoint-30.part-99"), "left by a killed writer");
    cr_assert_eq(tti_checkpoint_list(&steps, &n, "/nowhere"), TT_OK);
    cr_expect_eq(n, 0);
    tti_free(steps);
}

Test(files, damage_is_told) {
    uint64_t sum, size, step;
    bool found;
    char text[128], *run;
    put("checkpoint-7", "run.json", "{}");
    run = tti_path_join(folder, "checkpoint-7");
    char *file = tti_path_join(run, "run.json");
    cr_assert_eq(tti_digest_file(&sum, &size, file), TT_OK);
    snprintf(text, sizeof text, "%016llx %llu run.json\n", (unsigned long long)sum,
             (unsigned long long)size);
    put("checkpoint-7", "SUMS", text);
    cr_expect_eq(tti_checkpoint_check(run), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_checkpoint_latest(&step, &found, folder), TT_OK);
    cr_expect(found && step == 7);
    static const struct {
        const char *file, *content, *says;
    } damage[] = {
        {"run.json", "{ ", "its content is not what was written"},
        {"run.json", "{}\n", "3 bytes, 2 were written"},
        {"SUMS", "", "run.json is not listed"},
        {"SUMS", "00 2 run.json\n", "expected \"digest bytes name\""},
        {"SUMS", "0123456789abcdef 2 run.json", "cut off"},
        {"SUMS", "0123456789abcdef 2 gone\n", "gone"},
    };
    for (size_t i = 0; i < TT_COUNT(damage); i++) {
        put("checkpoint-7", "run.json", "{}");
        put("checkpoint-7", "SUMS", text);
        put("checkpoint-7", damage[i].file, damage[i].content);
        cr_expect_neq(tti_checkpoint_check(run), TT_OK, "damage %zu", i);
        cr_expect(strstr(tt_error(), damage[i].says), "damage %zu: %s", i, tt_error());
        cr_assert_eq(tti_checkpoint_latest(&step, &found, folder), TT_OK);
        cr_expect_not(found);
    }
    tti_run_state r;
    cr_expect_eq(tti_checkpoint_read(&r, run), TT_E_FORMAT, "nothing in run.json");
    tti_free(file);
    tti_free(run);
}

// SPDX-License-Identifier: Apache-2.0
/* support.h - a folder with a tiny model and texts, and runs of it through the public interface. */
#ifndef TT_TESTS_UNIT_API_SUPPORT_H
#define TT_TESTS_UNIT_API_SUPPORT_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "tokentune/tokentune.h"

static char folder[64];

static char *in_folder(const char *name) {
    static char path[8][160];
    static int i;
    snprintf(path[i = (i + 1) % 8], sizeof path[0], "%s/%s", folder, name);
    return path[i];
}

static void write_file(const char *name, const void *data, size_t size) {
    cr_assert_eq(tti_file_write(in_folder(name), data, size), TT_OK, "%s", tt_error());
}

static void copy_model(const char *name) {
    char path[256];
    snprintf(path, sizeof path, TT_TEST_DATA "/cases/bert-cls-full-k30/model/%s", name);
    tti_map m;
    cr_assert_eq(tti_map_open(&m, path), TT_OK, "%s", tt_error());
    snprintf(path, sizeof path, "model/%s", name);
    write_file(path, m.data, m.size);
    tti_map_close(&m);
}

/* A vocabulary of 96 words; texts have the label of their first word, or as a number its index. */
static void make_inputs(void) {
    tti_str vocab = {0}, classes = {0}, numbers = {0};
    snprintf(folder, sizeof folder, "/tmp/tt_api_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(tti_mkdirs(in_folder("model")), TT_OK);
    copy_model("config.json");
    copy_model("model.safetensors");
    tti_str_puts(&vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (int i = 0; i < 91; i++) tti_str_printf(&vocab, "w%d\n", i);
    tti_str_puts(&classes, "text\tlabel\n");
    tti_str_puts(&numbers, "text\tlabel\n");
    srand(3);
    for (int i = 0; i < 60; i++) {
        tti_str text = {0};
        tti_str_printf(&text, "w%d", i % 3);
        for (int n = rand() % 12; n > 0; n--) tti_str_printf(&text, " w%d", 3 + rand() % 88);
        tti_str_printf(&classes, "%s\t%s\n", text.p,
                       (const char *[]){"red", "green", "blue"}[i % 3]);
        tti_str_printf(&numbers, "%s\t%d\n", text.p, i % 3);
        tti_str_free(&text);
    }
    write_file("model/vocab.txt", vocab.p, vocab.len);
    write_file("data.tsv", classes.p, classes.len);
    write_file("numbers.tsv", numbers.p, numbers.len);
    tti_str_free(&vocab);
    tti_str_free(&classes);
    tti_str_free(&numbers);
}

static void remove_inputs(void) { tti_dir_remove(folder); }

/* o's run of folder/data.tsv into folder/<out>, with up to eight settings of its own. */
static inline tt_status train(const char *out, tt_train_opts o, const char *const *extra,
                              size_t n) {
    char text[3][192];
    const char *all[16] = {"train.batch=4", "train.lr=3e-3", "train.warmup=2", "train.epochs=12",
                           "train.keep_last=1"};
    size_t count = 5;
    snprintf(text[0], sizeof text[0], "model.path=%s/model", folder);
    snprintf(text[1], sizeof text[1], "data.train=%s/data.tsv", folder);
    snprintf(text[2], sizeof text[2], "output.dir=%s/%s", folder, out);
    for (int i = 0; i < 3; i++) all[count++] = text[i];
    for (size_t i = 0; i < n; i++) all[count++] = extra[i];
    o.settings = all;
    o.nsettings = count;
    return tt_train(&o);
}

#endif

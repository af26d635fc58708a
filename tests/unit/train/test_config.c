// SPDX-License-Identifier: Apache-2.0
/* test_config.c - run descriptions: values, overrides, and the one line that says what is wrong. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/train/config_internal.h"

#define NEED "model:\n  path: m\ndata:\n  train: t.jsonl\noutput:\n  dir: o\n"

static char file[64];

static void write_text(const char *text) {
    snprintf(file, sizeof file, "/tmp/tt_config_%d.yaml", (int)getpid());
    cr_assert_eq(tti_file_write(file, text, strlen(text)), TT_OK);
}

static tt_status load(tti_config *c, const char *text, const char *override) {
    write_text(text);
    tt_status s = tti_config_load(c, file, &override, override != NULL);
    unlink(file);
    return s;
}

Test(config, reads_values_of_all_types) {
    tti_config c;
    cr_assert_eq(load(&c,
                      "model: {path: a b, pooling: mean, fresh_head: yes}\n"
                      "data:\n"
                      "  train: [x.tsv, \"y: z.tsv\"]\n"
                      "  eval: dev.tsv # one file needs no list\n"
                      "  labels:\n    - no\n    - yes\n"
                      "  label: 3\n"
                      "task: classify\n"
                      "train:\n  lr: 3e-5\n  steps: 7\n  warmup: 0.06\n"
                      "output: {dir: out}\n",
                      NULL),
                 TT_OK, "%s", tt_error());
    cr_expect_str_eq(c.model.path, "a b");
    cr_expect_eq(c.model.pooling, TTI_POOLING_MEAN);
    cr_expect(c.model.fresh_head);
    cr_expect_eq(c.data.train.n, 2);
    cr_expect_str_eq(c.data.train.v[1], "y: z.tsv");
    cr_expect(c.data.eval.n == 1 && strcmp(c.data.eval.v[0], "dev.tsv") == 0);
    cr_expect(c.data.labels.n == 2 && strcmp(c.data.labels.v[0], "no") == 0);
    cr_expect_str_eq(c.data.label, "3");
    cr_expect_eq(c.train.lr, 3e-5);
    cr_expect_eq(c.train.steps, 7);
    cr_expect_eq(c.train.warmup, 0.06);
    cr_expect_eq(c.train.batch, 16, "a default");
    cr_expect_eq(c.model.hidden_dropout, -1, "not set");
    cr_expect_null(c.device);
    tti_config_free(&c);
}

Test(config, overrides_come_last) {
    static const struct {
        const char *given, *text;
    } cases[] = {
        {"train.lr=1e-3", "train.lr=0.001"},
        {"method.targets=a,b c,d", "method.targets=\"a\",\"b c\",\"d\""},
        {"method.targets=[a, \"b,c\"]", "method.targets=\"a\",\"b,c\""},
        {"data.train=x: y #z.csv", "data.train=\"x: y #z.csv\""},
        {"output.dir=a\"b\\c", "output.dir=\"a\\\"b\\\\c\""},
        {"model.fresh_head=on", "model.fresh_head=true"},
        {"task=regress", "task=regress"},
        {"device=0:1", "device=\"0:1\""},
        {"memory.limit=6G", "memory.limit=6442450944"},
        {"memory.limit=512MiB", "memory.limit=536870912"},
        {"memory.limit=1.5k", "memory.limit=1536"},
        {"memory.limit=0", "memory.limit=0"},
        {"memory.recompute=block", "memory.recompute=block"},
        {"method.name=qlora", "method.name=qlora"},
        {"storage.keys=recompute", "storage.keys=recompute"},
        {"storage.gradients=bf16", "storage.gradients=bf16"},
        {"train.optimizer=adamw8bit", "train.optimizer=adamw8bit"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_config c;
        cr_assert_eq(load(&c, NEED "train:\n  lr: 1\n", cases[i].given), TT_OK, "%s: %s",
                     cases[i].given, tt_error());
        tti_str text = {0};
        tti_config_text(&text, &c, false);
        cr_expect(strstr(text.p, cases[i].text), "%s not in\n%s", cases[i].text, text.p);
        tti_str_free(&text);
        tti_config_free(&c);
    }
}

/* "line: rest" expected after the file name; the message must be exactly one line. */
Test(config, names_file_line_key_and_what_was_expected) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "1: expected keys and values"},
        {"- a\n", "1: expected keys and values"},
        {"just words\n", "1: expected keys and values"},
        {"train:\n  lr: abc\n", "2: train.lr: expected a number above 0 and at most 100"},
        {"train:\n\n  lr: 0\n", "3: train.lr: expected a number above 0"},
        {"train:\n  lr: -1e-5\n", "2: train.lr: expected a number above 0"},
        {"train:\n  lr: nan\n", "2: train.lr: expected a number above 0"},
        {"train:\n  lr: inf\n", "2: train.lr: expected a number above 0"},
        {"train:\n  lr: [1]\n",
         "2: train.lr: expected a number above 0 and at most 100, found a list"},
        {"train:\n  lr:\n",
         "2: train.lr: expected a number above 0 and at most 100, found nothing"},
        {"train:\n  batch: 0\n", "2: train.batch: expected a whole number from 1 to 65536"},
        {"train:\n  batch: 1.5\n", "2: train.batch: expected a whole number"},
        {"train:\n  batch: 99999999999999999999\n", "2: train.batch: expected a whole number"},
        {"train:\n  beta1: 1\n", "2: train.beta1: expected a number from 0 and below 1"},
        {"select:\n  keep: 0\n", "2: select.keep: expected a number above 0"},
        {"select:\n  keep: {a: 1}\n",
         "2: select.keep: expected a number above 0 and at most 1e+06, found a section"},
        {"train:\n  schedule: step\n",
         "2: train.schedule: expected one of linear, cosine, constant"},
        {"train:\n  schedule: 1\n", "2: train.schedule: expected one of linear"},
        {"model:\n  fresh_head: maybe\n", "2: model.fresh_head: expected true or false"},
        {"model:\n  path: \"\"\n", "2: model.path: expected a text that is not empty"},
        {"method:\n  targets: []\n", "2: method.targets: expected a text or a list of texts"},
        {"method:\n  targets:\n    - a\n    - [b]\n",
         "4: method.targets: expected a text or a list"},
        {"train:\n  learning_rate: 1\n",
         "2: train.learning_rate: unknown key; tokentune train --help"},
        {"train:\n  batchs: 1\n", "2: train.batchs: unknown key; did you mean train.batch?"},
        {"data:\n  lr: 1\n", "2: data.lr: unknown key; did you mean train.lr?"},
        {"trian:\n  lr: 1\n", "1: trian: unknown key"},
        {"train: 3\n", "1: train: expected a section of indented keys, found \"3\""},
        {"task:\n  name: 1\n", "1: task: expected one of classify, regress, causal, found"},
        {"train:\n  lr: 1\n  lr: 2\n", "3: train.lr: given twice, first in line 2"},
        {"train:\n  lr: 1\ntrain:\n  batch: 2\n", "3: train: section given twice"},
        {"? [a]\n: 1\n", "1: expected the name of a key"},
        {"train:\n  lr: 1\n bad: 2\n", "3: expected YAML"},
        {"train:\n\tlr: 1\n", "2: expected YAML"},
        {"a: \"b\n", "2: expected YAML"},
        {"a: \xff\n", "expected YAML"},
        {"data:\n  text: \"a\\0b\"\n",
         "2: data.text: expected a text that is not empty, found a NUL"},
        {"task: *x\n", "1: expected YAML"},
        {"data:\n  eval: a\n  eval_count: 3\n", "model.path: missing"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_config c;
        tt_status s = load(&c, cases[i].text, NULL);
        cr_expect_eq(s, TT_E_FORMAT, "case %zu: %d", i, (int)s);
        const char *m = tt_error();
        cr_expect(strncmp(m, file, strlen(file)) == 0, "case %zu: %s", i, m);
        cr_expect(strstr(m, cases[i].says), "case %zu: %s\nexpected %s", i, m, cases[i].says);
        cr_expect_null(strchr(m, '\n'), "case %zu: %s", i, m);
    }
}

Test(config, names_overrides_that_fail) {
    static const struct {
        const char *given, *says;
    } cases[] = {
        {"train.lr=abc", "train.lr=abc: expected a number above 0"},
        {"train.lr=", "train.lr=: expected a number above 0"},
        {"train.lr", "train.lr: expected key=value"},
        {"=3", "=3: expected key=value"},
        {"train.lr=1x", "train.lr=1x: expected a number above 0"},
        {"train.batch=0x10", "train.batch=0x10: expected a whole number from 1"},
        {"train.l=3", "train.l: unknown key; did you mean train.lr?"},
        {"lr=3", "lr: unknown key; did you mean train.lr?"},
        {"train=3", "train: unknown key"},
        {"train.batch=0", "train.batch=0: expected a whole number from 1"},
        {"method.targets=", "expected a text or a list of texts"},
        {"method.targets=[a", "method.targets=[a: expected a text or a list"},
        {"memory.limit=6Q", "memory.limit=6Q: expected a number of bytes, as 8G or 512M"},
        {"memory.limit=-6G", "memory.limit=-6G: expected a number of bytes"},
        {"memory.limit=1e30", "memory.limit=1e30: expected a number of bytes"},
        {"storage.kept=q8", "storage.kept=q8: expected one of auto, f32, bf16, f16"},
        {"storage.weights=nf4", "storage.weights: expected auto, f32, bf16 or f16 for method.name"},
        {"output.dir=", "output.dir=: expected a text that is not empty"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_config c;
        tt_status s = load(&c, NEED, cases[i].given);
        cr_expect(s == TT_E_ARG || s == TT_E_FORMAT, "case %zu: %d", i, (int)s);
        cr_expect(strstr(tt_error(), cases[i].says), "case %zu: %s", i, tt_error());
        cr_expect_null(strchr(tt_error(), '\n'));
    }
}

Test(config, checks_what_depends) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"model:\n  path: m\ndata:\n  train: t\n", "output.dir: missing"},
        {"model:\n  path: m\noutput:\n  dir: t\n", "data.train: missing"},
        {"model:\n  path: m\ndata:\n  train: t\n  eval: e\n  eval_count: 3\noutput:\n  dir: o\n",
         "only one of data.eval"},
        {NEED "task: regress\nmethod:\n  rank: 3\n", NULL},
        {NEED "storage:\n  head: q8\n", "storage.head: expected auto, f32, bf16 or f16"},
        {NEED "method:\n  name: lora\nstorage:\n  head: q8\n  weights: nf4\n", NULL},
        {NEED "method:\n  name: qlora\n  adapter: a\nmemory:\n  limit: 2G\n", NULL},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_config c;
        tt_status s = load(&c, cases[i].text, NULL);
        cr_expect_eq(s, cases[i].says ? TT_E_FORMAT : TT_OK, "case %zu: %s", i, tt_error());
        if (cases[i].says) cr_expect(strstr(tt_error(), cases[i].says), "%s", tt_error());
        if (s == TT_OK) tti_config_free(&c);
    }
    tti_config c;
    cr_expect_eq(tti_config_load(&c, "/nowhere/a.yaml", NULL, 0), TT_E_IO);
    cr_expect(strstr(tt_error(), "/nowhere/a.yaml"), "%s", tt_error());
}

Test(config, a_resumed_run_must_be_the_same) {
    tti_config a, b;
    tti_str text = {0};
    cr_assert_eq(load(&a, NEED, NULL), TT_OK);
    tti_config_text(&text, &a, true);
    cr_expect_eq(tti_config_same_run(&a, text.p), TT_OK, "%s", tt_error());
    cr_assert_eq(load(&b, NEED, "train.keep_last=5"), TT_OK);
    cr_expect_eq(tti_config_same_run(&b, text.p), TT_OK, "%s", tt_error());
    tti_config_free(&b);
    cr_assert_eq(load(&b, NEED, "train.lr=1e-4"), TT_OK);
    cr_expect_eq(tti_config_same_run(&b, text.p), TT_E_ARG);
    cr_expect(strstr(tt_error(), "train.lr=") && strstr(tt_error(), "5.00"), "%s", tt_error());
    cr_expect_eq(tti_config_same_run(&a, "model.path=\"m\"\n"), TT_E_ARG);
    cr_expect(strstr(tt_error(), "not given"), "%s", tt_error());
    tti_str_free(&text);
    tti_config_free(&a);
    tti_config_free(&b);
}

Test(config, help_names_every_key) {
    tti_str help = {0};
    tti_config_help(&help);
    for (size_t i = 0; i < tti_keys_n; i++) cr_expect(strstr(help.p, tti_keys[i].key));
    tti_str_free(&help);
}

Test(config, survives_every_failing_allocation) {
    write_text(NEED "method:\n  targets: [a, b]\n");
    const char *over[] = {"data.labels=x,y", "train.lr=1e-4"};
    tt_status s = TT_E_NOMEM;
    long n = 1;
    for (; n < 20000 && s != TT_OK; n += 1 + n / 16) {
        tti_config c;
        tti_alloc_fail_at(n);
        s = tti_config_load(&c, file, over, 2);
        tti_alloc_fail_at(0);
        if (s == TT_OK) tti_config_free(&c);
        cr_expect(s == TT_OK || s == TT_E_NOMEM, "allocation %ld: %d %s", n, (int)s, tt_error());
    }
    cr_expect_eq(s, TT_OK);
    unlink(file);
}

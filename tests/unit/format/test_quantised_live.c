// SPDX-License-Identifier: Apache-2.0
/* test_quantised_live.c - transformers with bitsandbytes loads what is written here. Needs
 * TT_PYTHON, a Python that has both; skipped otherwise. */
#include <criterion/criterion.h>
#include "host/format/hf_config.h"
#include "host/format/quantised.h"
#include "tests/unit/format/scratch.h"
#include "tests/unit/storage/support.h"

#define FIXTURE TT_TEST_DATA "/unit/format/fixtures/nested"

TestSuite(quantised_live, .init = scratch_begin, .fini = scratch_end);

static bool is_linear(const char *name) { return strstr(name, "_proj.weight") != NULL; }

/* Other numbers than the fixture's, of the same shape. */
static void *quantised(const tti_st *st, const char *name, bool nested, tti_layout *l) {
    bool found;
    tti_layout shape;
    cr_assert_eq(tti_quantised_find(st, name, &found, &shape), TT_OK, "%s", tt_error());
    cr_assert(found);
    *l = tti_layout_of(TTI_NF4, shape.rows, shape.cols, 64, nested);
    float *x = numbers("spread", (uint32_t)strlen(name), l->rows * l->cols);
    void *q = malloc(l->bytes);
    cr_assert(q);
    cr_assert_eq(tti_quantise(l, x, q), TT_OK, "%s", tt_error());
    free(x);
    return q;
}

/* A folder as the fixture, with the weights of linear layers written by us; sums get
 * "name sum\\n" of each, as make_quantised.py --load prints them. */
static void write_model(const tti_st *st, bool nested, tti_str *sums) {
    tti_st_writer *w;
    cr_assert_eq(tti_st_writer_begin(&w, scratch("model.safetensors")), TT_OK);
    for (int data = 0; data < 2; data++)
        for (size_t i = 0; i < tti_st_count(st); i++) {
            const tti_st_tensor *t = tti_st_at(st, i);
            tt_status s = TT_OK;
            if (tti_quantised_owner(t->name)) continue;
            if (!is_linear(t->name)) {
                s = data ? tti_st_writer_write(w, t->data, t->bytes)
                         : tti_st_writer_declare(w, t->name, t->dtype, t->rank, t->dim);
            } else {
                tti_layout l;
                void *q = quantised(st, t->name, nested, &l);
                s = data ? tti_quantised_write(w, &l, q, "float32")
                         : tti_quantised_declare(w, t->name, &l);
                float *x = malloc(l.rows * l.cols * sizeof *x);
                cr_assert(x);
                tti_dequantise(&l, q, 0, l.rows * l.cols, x);
                if (data)
                    tti_str_printf(sums, "%s %016llx\n", t->name,
                                   (unsigned long long)total(x, l.rows * l.cols * 4));
                free(x);
                free(q);
            }
            cr_assert_eq(s, TT_OK, "%s: %s", t->name, tt_error());
        }
    cr_assert_eq(tti_st_writer_commit(w), TT_OK, "%s", tt_error());
    tti_st_writer_free(w);
}

static void write_config(bool nested) {
    tti_hf_config *c;
    cJSON *extra = cJSON_CreateObject();
    const tti_quant_config q = {.type = TTI_NF4, .nested = nested};
    cr_assert_eq(tti_hf_config_read(&c, FIXTURE), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_quantised_set_config(extra, &q), TT_OK);
    const tti_hf_config_edit edit = {.extra = extra};
    cr_assert_eq(tti_hf_config_write(c->json, &edit, scratch("config.json")), TT_OK, "%s",
                 tt_error());
    tti_json_free(extra);
    tti_hf_config_free(c);
}

static void check(const char *python, bool nested) {
    tti_st *st;
    tti_str sums = {0};
    char command[2000];
    cr_assert_eq(tti_st_open(&st, FIXTURE), TT_OK, "%s", tt_error());
    write_model(st, nested, &sums);
    write_config(nested);
    snprintf(command, sizeof command,
             "'%s' '%s/ref/make_quantised.py' --load '%s' > '%s' 2> /dev/null", python,
             TT_TEST_DATA, scratch_folder, scratch("out.json"));
    const int rc = system(command);
    cr_expect_eq(rc, 0, "%s: %d", command, rc);
    cJSON *out = NULL;
    if (rc == 0)
        cr_assert_eq(tti_json_file(&out, scratch("out.json"), 1 << 20), TT_OK, "%s", tt_error());
    const cJSON *list = out ? tti_json_get(out, "sums") : NULL, *line;
    int n = 0;
    cJSON_ArrayForEach(line, list) {
        n++;
        cr_expect(strstr(sums.p, line->valuestring), "transformers has %s, ours are\n%s",
                  line->valuestring, sums.p);
    }
    cr_expect_eq(n, 7, "%d weights in 4 bits", n);
    tti_json_free(out);
    tti_str_free(&sums);
    tti_st_close(st);
}

Test(quantised_live, transformers_loads_what_is_written) {
    const char *python = getenv("TT_PYTHON");
    char command[1000];
    if (!python || !*python) cr_skip_test("TT_PYTHON names no Python with bitsandbytes");
    snprintf(command, sizeof command, "'%s' -c 'import bitsandbytes, transformers' 2> /dev/null",
             python);
    if (system(command)) cr_skip_test("no bitsandbytes or transformers there");
    check(python, true);
    check(python, false);
}

// SPDX-License-Identifier: Apache-2.0
/* test_quantised.c - checkpoints that transformers saved in 4 bits are read; what is written is
 * read; parts that are missing, cut or damaged are refused with a reason. */
#include <criterion/criterion.h>
#include <math.h>
#include "host/format/hf_config.h"
#include "host/format/quantised.h"
#include "tests/unit/format/scratch.h"
#include "tests/unit/storage/support.h"

#define FIXTURES TT_TEST_DATA "/unit/format/fixtures/"

TestSuite(quantised, .init = scratch_begin, .fini = scratch_end);

static tti_st *opened(const char *path) {
    tti_st *st = NULL;
    cr_assert_eq(tti_st_open(&st, path), TT_OK, "%s", tt_error());
    return st;
}

/* ---- what transformers wrote ---- */

static void check_sum(const tti_st *st, const char *name, unsigned long long sum, bool nested) {
    bool found;
    tti_layout l;
    cr_assert_eq(tti_quantised_find(st, name, &found, &l), TT_OK, "%s", tt_error());
    cr_assert(found, "%s", name);
    cr_expect_eq(l.type, TTI_NF4);
    cr_expect_eq(l.block, 64);
    cr_expect_eq(l.has_nested, nested, "%s", name);
    const size_t count = l.rows * l.cols;
    void *q = malloc(l.bytes);
    float *x = malloc(count * sizeof *x);
    cr_assert(q && x);
    cr_assert_eq(tti_quantised_fill(st, name, &l, q), TT_OK, "%s", tt_error());
    tti_dequantise(&l, q, 0, count, x);
    cr_expect_eq(total(x, count * 4), sum, "%s", name);
    tti_quantised_drop(st, name);
    memset(q, 255, l.bytes);
    cr_assert_eq(tti_quantised_fill(st, name, &l, q), TT_OK, "%s", tt_error());
    tti_dequantise(&l, q, 0, count, x);
    cr_expect_eq(total(x, count * 4), sum, "%s after its pages were dropped", name);
    free(q);
    free(x);
}

static void check_folder(const char *folder, bool nested) {
    char *text, name[200];
    size_t size, n = 0;
    unsigned long long sum;
    tti_str path = {0};
    tti_str_puts(&path, folder);
    tti_st *st = opened(path.p);
    tti_str_puts(&path, "/sums.txt");
    cr_assert_eq(tti_file_read(&text, &size, path.p, 1 << 16), TT_OK, "%s", tt_error());
    for (const char *line = text; *line; line = strchr(line, '\n') + 1, n++) {
        cr_assert_eq(sscanf(line, "%199s %llx", name, &sum), 2);
        check_sum(st, name, sum, nested);
    }
    cr_expect_eq(n, 7);
    bool found;
    tti_layout l;
    static const char *const plain[] = {"lm_head.weight", "model.norm.weight", "no.such.weight"};
    for (size_t i = 0; i < TT_COUNT(plain); i++) {
        cr_expect_eq(tti_quantised_find(st, plain[i], &found, &l), TT_OK, "%s", tt_error());
        cr_expect(!found, "%s", plain[i]);
    }
    size_t parts = 0;
    for (size_t i = 0; i < tti_st_count(st); i++) {
        const size_t owner = tti_quantised_owner(tti_st_at(st, i)->name);
        parts += owner > 0;
        if (!owner) continue;
        memcpy(name, tti_st_at(st, i)->name, owner);
        name[owner] = 0;
        cr_expect(tti_st_find(st, name), "%s", name);
    }
    cr_expect_eq(parts, nested ? 35 : 21, "%zu", parts);
    tti_free(text);
    tti_st_close(st);
    tti_str_free(&path);
}

Test(quantised, checkpoints_of_transformers) {
    check_folder(FIXTURES "nested", true);
    check_folder(FIXTURES "fp4", false);
    check_folder(FIXTURES "stored16", false);
}

/* ---- writing ---- */

static tt_status write_one(const char *path, const tti_layout *l, const void *src) {
    tti_st_writer *w;
    TT_TRY(tti_st_writer_begin(&w, path));
    static const size_t one = 1;
    tt_status s = tti_st_writer_declare(w, "before", TTI_ST_F32, 1, &one);
    if (s == TT_OK) s = tti_quantised_declare(w, "m.weight", l);
    if (s == TT_OK) s = tti_st_writer_declare(w, "after", TTI_ST_F32, 1, &one);
    if (s == TT_OK) s = tti_st_writer_write_f32(w, (float[]){1}, 1);
    if (s == TT_OK) s = tti_quantised_write(w, l, src, "float32");
    if (s == TT_OK) s = tti_st_writer_write_f32(w, (float[]){2}, 1);
    if (s == TT_OK) s = tti_st_writer_commit(w);
    tti_st_writer_free(w);
    return s;
}

static void round_trip(tti_dtype type, size_t rows, size_t cols, size_t block, bool nested) {
    const tti_layout l = tti_layout_of(type, rows, cols, block, nested);
    float *x = numbers("usual", 4, rows * cols);
    void *a = malloc(l.bytes), *b = malloc(l.bytes);
    cr_assert(a && b);
    cr_assert_eq(tti_quantise(&l, x, a), TT_OK, "%s", tt_error());
    const char *path = scratch("q.safetensors");
    cr_assert_eq(write_one(path, &l, a), TT_OK, "%s", tt_error());
    tti_st *st = opened(path);
    bool found;
    tti_layout back;
    cr_assert_eq(tti_quantised_find(st, "m.weight", &found, &back), TT_OK, "%s", tt_error());
    cr_assert(found);
    cr_expect(back.type == type && back.rows == rows && back.cols == cols && back.block == block &&
              back.has_nested == nested && back.bytes == l.bytes);
    memset(b, 3, l.bytes);
    cr_assert_eq(tti_quantised_fill(st, "m.weight", &back, b), TT_OK, "%s", tt_error());
    cr_expect(!memcmp(a, b, l.bytes), "%s [%zu, %zu] block %zu", tti_dtype_name(type), rows, cols,
              block);
    tti_st_close(st);
    free(x);
    free(a);
    free(b);
}

Test(quantised, what_is_written_is_read) {
    round_trip(TTI_NF4, 16, 64, 64, true);
    round_trip(TTI_NF4, 16, 64, 64, false);
    round_trip(TTI_NF4, 300, 77, 32, true);
    round_trip(TTI_NF4, 1, 1, 4096, false);
    round_trip(TTI_NF4, 3, 5, 64, true);
    round_trip(TTI_Q8, 16, 64, 64, false);
    round_trip(TTI_Q8, 3, 5, 128, false);
}

Test(quantised, the_text_of_quant_state_is_what_bitsandbytes_parses) {
    const tti_layout l = tti_layout_of(TTI_NF4, 2, 64, 64, true);
    static uint8_t q[4000];
    static float x[128];
    for (int i = 0; i < 128; i++) x[i] = 0.5f;
    cr_assert_leq(l.bytes, sizeof q);
    cr_assert_eq(tti_quantise(&l, x, q), TT_OK);
    cr_assert_eq(write_one(scratch("q.safetensors"), &l, q), TT_OK, "%s", tt_error());
    tti_st *st = opened(scratch("q.safetensors"));
    const tti_st_tensor *t = tti_st_find(st, "m.weight.quant_state.bitsandbytes__nf4");
    static const char want[] = "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": "
                               "\"float32\", \"shape\": [2, 64], \"nested_blocksize\": 256, "
                               "\"nested_dtype\": \"float32\", \"nested_offset\": 0.5}";
    cr_assert(t && t->dtype == TTI_ST_U8 && t->rank == 1);
    cr_expect(!memcmp(t->data, want, sizeof want - 1), "%.*s", (int)t->bytes,
              (const char *)t->data);
    for (size_t i = sizeof want - 1; i < t->bytes; i++)
        cr_expect_eq(((const char *)t->data)[i], ' ');
    t = tti_st_find(st, "m.weight");
    cr_expect(t && t->dtype == TTI_ST_U8 && t->rank == 2 && t->dim[0] == 64 && t->dim[1] == 1);
    tti_st_close(st);
    q[l.tables] ^= 1;
    expect_error(write_one(scratch("q.safetensors"), &l, q), TT_E_UNSUPPORTED, "other than NF4");
    const tti_layout plain = tti_layout_plain(TTI_F16, 2, 64);
    expect_error(write_one(scratch("q.safetensors"), &plain, q), TT_E_ARG, "f16 is not");
}

/* ---- refusals ---- */

#define STATE_BUT(text) ".quant_state.bitsandbytes__nf4", TTI_ST_U8, 0, 0, text
#define REST "\"nested_blocksize\": 256, \"nested_dtype\": \"float32\", \"nested_offset\": 0.1}"
#define HEAD "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"float32\", "

/* One part of q_proj, [48, 48], 36 blocks, replaced. */
typedef struct {
    const char *part;
    tti_st_dtype dtype; /* OTHER: left out */
    size_t count;
    float value; /* of each element, F32 */
    const char *text;
    tt_status status;
    const char *says;
} variant;

static const variant variants[] = {
    {".absmax", TTI_ST_U8, 35, 0, NULL, TT_E_FORMAT, "U8 of shape [35]; the weight needs 36"},
    {".absmax", TTI_ST_F32, 36, 1, NULL, TT_E_FORMAT, "F32 of shape [36]; the weight needs 36 el"},
    {".absmax", TTI_ST_OTHER, 0, 0, NULL, TT_E_FORMAT, "has no absmax beside it"},
    {".quant_map", TTI_ST_F32, 15, 1, NULL, TT_E_FORMAT, "quant_map: F32 of shape [15]"},
    {".quant_map", TTI_ST_F32, 256, 1, NULL, TT_E_FORMAT, "needs 16"},
    {".quant_map", TTI_ST_F32, 16, NAN, NULL, TT_E_NUMERIC, "quant_map: element 0 is"},
    {".quant_map", TTI_ST_OTHER, 0, 0, NULL, TT_E_FORMAT, "has no quant_map"},
    {".nested_absmax", TTI_ST_F32, 2, 1, NULL, TT_E_FORMAT, "nested_absmax: F32 of shape [2]"},
    {".nested_absmax", TTI_ST_F32, 1, NAN, NULL, TT_E_NUMERIC, "nested_absmax: element 0 is"},
    {".nested_absmax", TTI_ST_F32, 1, INFINITY, NULL, TT_E_NUMERIC, "element 0 is inf"},
    {".nested_absmax", TTI_ST_I32, 1, 0, NULL, TT_E_FORMAT, "I32 of shape [1]; the weight needs 1"},
    {".nested_absmax", TTI_ST_OTHER, 0, 0, NULL, TT_E_FORMAT, "there is no nested_absmax"},
    {".nested_quant_map", TTI_ST_F32, 255, 1, NULL, TT_E_FORMAT, "needs 256 elements of F32"},
    {".nested_quant_map", TTI_ST_F32, 256, 3.4e38f, NULL, TT_OK, ""},
    {".nested_quant_map", TTI_ST_OTHER, 0, 0, NULL, TT_E_FORMAT, "has no nested_quant_map"},
    {"", TTI_ST_OTHER, 0, 0, NULL, TT_E_FORMAT, "the weight that it describes is missing"},
    {"", TTI_ST_U8, 1151, 0, NULL, TT_E_FORMAT, "1151 bytes; quant_state says nf4 of shape [48, "},
    {".quant_state.bitsandbytes__nf4", TTI_ST_OTHER, 0, 0, NULL, TT_E_FORMAT, "no quant_state"},
    {".quant_state.bitsandbytes__nf4", TTI_ST_F32, 8, 0, NULL, TT_E_FORMAT, "row of bytes"},
    {STATE_BUT("{"), TT_E_FORMAT, "nf4:1:1: not valid JSON"},
    {STATE_BUT("[1]"), TT_E_FORMAT, "expected a JSON object"},
    {STATE_BUT("{\"quant_type\": \"fp4\", \"blocksize\": 64, \"shape\": [48, 48], " REST),
     TT_E_FORMAT, "quant_type: not that of"},
    {STATE_BUT("{\"blocksize\": 64, \"shape\": [48, 48], " REST), TT_E_FORMAT, "quant_type: miss"},
    {STATE_BUT("{\"quant_type\": \"nf4\", \"shape\": [48, 48], " REST), TT_E_FORMAT,
     "blocksize: missing"},
    {STATE_BUT("{\"quant_type\": \"nf4\", \"blocksize\": 96, \"shape\": [48, 48], " REST),
     TT_E_FORMAT, "blocksize: expected a power of two"},
    {STATE_BUT("{\"quant_type\": \"nf4\", \"blocksize\": 16, \"shape\": [48, 48], " REST),
     TT_E_FORMAT, "blocksize"},
    {STATE_BUT("{\"quant_type\": \"nf4\", \"blocksize\": 128, \"shape\": [48, 48], " REST),
     TT_E_FORMAT, "U8 of shape [36]; the weight needs 18"},
    {STATE_BUT(HEAD REST), TT_E_FORMAT, "shape: missing"},
    {STATE_BUT(HEAD "\"shape\": [48], " REST), TT_E_FORMAT, "shape: expected [rows, columns]"},
    {STATE_BUT(HEAD "\"shape\": [48, 0], " REST), TT_E_FORMAT, "shape: expected [rows, columns]"},
    {STATE_BUT(HEAD "\"shape\": [48, 4.5], " REST), TT_E_FORMAT, "shape: expected [rows, col"},
    {STATE_BUT(HEAD "\"shape\": [48, \"48\"], " REST), TT_E_FORMAT, "shape: expected [rows"},
    {STATE_BUT(HEAD "\"shape\": [9007199254740992, 9007199254740992], " REST), TT_E_FORMAT,
     "shape: more elements than can be"},
    {STATE_BUT(HEAD "\"shape\": [48, 49], " REST), TT_E_FORMAT, "shape [48, 49], 1176 bytes"},
    {STATE_BUT(HEAD "\"shape\": [48, 48], \"nested_blocksize\": 256}"), TT_E_FORMAT,
     "nested_offset: missing"},
    {STATE_BUT(HEAD "\"shape\": [48, 48], \"nested_offset\": 1e300}"), TT_E_FORMAT,
     "nested_offset: not a finite number"},
    {STATE_BUT(HEAD "\"shape\": [48, 48], \"nested_offset\": \"0.1\"}"), TT_E_FORMAT,
     "nested_offset: expected"},
    {STATE_BUT(HEAD "\"shape\": [48, 48], \"nested_offset\": 0.1, \"nested_blocksize\": 128}"),
     TT_E_UNSUPPORTED, "nested_blocksize 128; only 256"},
    {STATE_BUT(HEAD "\"shape\": [48, 48], \"nested_offset\": 0.1, \"nested_dtype\": \"bfloat16\"}"),
     TT_E_FORMAT, "nested_dtype"},
    {STATE_BUT(HEAD "\"shape\": [48, 48], \"nested_offset\": 3e38}"), TT_OK, ""},
};

static const char weight[] = "model.layers.0.self_attn.q_proj.weight";

/* Bytes of the tensor as the variant has it; with w NULL it is declared in d, else written to w. */
static void emit(tti_st_writer *w, bool data, const tti_st_tensor *t, const variant *v) {
    static uint8_t bytes[4096];
    tti_st_dtype dtype = t->dtype;
    size_t count = t->bytes, size = 1;
    const void *from = t->data;
    const size_t n = sizeof weight - 1;
    if (!strncmp(t->name, weight, n) && !strcmp(t->name + n, v->part)) {
        if (v->dtype == TTI_ST_OTHER) return;
        dtype = v->dtype;
        size = dtype == TTI_ST_U8 ? 1 : 4;
        count = v->text ? strlen(v->text) : v->count;
        cr_assert_leq(count * size, sizeof bytes);
        for (size_t i = 0; i < count && size == 4; i++) memcpy(bytes + 4 * i, &v->value, 4);
        if (v->text) memcpy(bytes, v->text, count);
        from = bytes;
    } else {
        size = t->bytes / t->count;
        count = t->count;
    }
    if (data)
        cr_assert_eq(tti_st_writer_write(w, from, count * size), TT_OK, "%s", tt_error());
    else
        cr_assert_eq(tti_st_writer_declare(w, t->name, dtype, 1, &count), TT_OK, "%s", tt_error());
}

static void check_variant(const tti_st *good, const variant *v) {
    tti_st_writer *w;
    const char *path = scratch("bad.safetensors");
    cr_assert_eq(tti_st_writer_begin(&w, path), TT_OK);
    for (int data = 0; data < 2; data++)
        for (size_t i = 0; i < tti_st_count(good); i++) emit(w, data, tti_st_at(good, i), v);
    cr_assert_eq(tti_st_writer_commit(w), TT_OK, "%s", tt_error());
    tti_st_writer_free(w);
    tti_st *st = opened(path);
    bool found;
    tti_layout l;
    tt_status s = tti_quantised_find(st, weight, &found, &l);
    if (s == TT_OK && found) {
        void *q = malloc(l.bytes);
        cr_assert(q);
        s = tti_quantised_fill(st, weight, &l, q);
        free(q);
    }
    expect_error(s, v->status, v->says);
    if (s != TT_OK) cr_expect(strstr(tt_error(), "bad.safetensors"), "%s", tt_error());
    tti_st_close(st);
}

Test(quantised, damaged_parts_are_refused) {
    tti_st *good = opened(FIXTURES "nested");
    for (size_t i = 0; i < TT_COUNT(variants); i++) check_variant(good, &variants[i]);
    tti_st_close(good);
}

static const char *other_file(const char *name, tti_st_dtype dtype, const char *beside) {
    static const size_t dim[2] = {2, 2}, row = 2;
    tti_st_writer *w;
    const char *path = scratch("other.safetensors");
    cr_assert_eq(tti_st_writer_begin(&w, path), TT_OK);
    if (name) cr_assert_eq(tti_st_writer_declare(w, name, dtype, 2, dim), TT_OK);
    cr_assert_eq(tti_st_writer_declare(w, beside, TTI_ST_F32, 1, &row), TT_OK);
    cr_assert_eq(tti_st_writer_write(w, (uint8_t[12]){0}, name ? 12 : 8), TT_OK);
    cr_assert_eq(tti_st_writer_commit(w), TT_OK);
    tti_st_writer_free(w);
    return path;
}

Test(quantised, other_ways_of_quantising_are_named) {
    static const struct {
        const char *name, *beside, *says;
        tt_status status;
    } cases[] = {
        {"a.b.weight", "a.b.SCB", "LLM.int8", TT_E_UNSUPPORTED},
        {"a.b.weight", "a.b.weight.SCB", "LLM.int8", TT_E_UNSUPPORTED},
        {NULL, "a.b.qweight", "GPTQ and AWQ", TT_E_UNSUPPORTED},
        {"a.b.weight", "a.b.weight.absmax", "scales, but no quant_state", TT_E_FORMAT},
        {"a.b.weight", "a.b.bias", "", TT_OK},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_st *st = opened(other_file(cases[i].name, TTI_ST_I8, cases[i].beside));
        bool found;
        tti_layout l;
        expect_error(tti_quantised_find(st, "a.b.weight", &found, &l), cases[i].status,
                     cases[i].says);
        cr_expect(!found);
        tti_st_close(st);
    }
    cr_expect_eq(tti_quantised_owner("a.weight.nested_absmax"), 8);
    cr_expect_eq(tti_quantised_owner("a.weight.q8_scales"), 8);
    cr_expect_eq(tti_quantised_owner("a.weight"), 0);
    cr_expect_eq(tti_quantised_owner(".absmax"), 0);
}

static tt_status read_all(void) {
    tti_st *st;
    TT_TRY(tti_st_open(&st, FIXTURES "nested"));
    bool found = false;
    tti_layout l = {0};
    static uint8_t q[8192];
    tt_status s = tti_quantised_find(st, weight, &found, &l);
    if (s == TT_OK) s = tti_quantised_fill(st, weight, &l, q);
    if (s == TT_OK) s = write_one(scratch("again.safetensors"), &l, q);
    tti_st_close(st);
    return s;
}

Test(quantised, lack_of_memory_is_reported) { expect_nomem_until_ok(read_all); }

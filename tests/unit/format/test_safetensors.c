// SPDX-License-Identifier: Apache-2.0
/* test_safetensors.c - what is written is read; broken files are refused with a reason. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/format/safetensors.h"
#include "tests/unit/format/scratch.h"

TestSuite(safetensors, .init = scratch_begin, .fini = scratch_end);

static void append_file(tti_str *out, const char *header, size_t header_len, const void *data,
                        size_t bytes) {
    uint8_t n[8];
    for (int i = 0; i < 8; i++) n[i] = (uint8_t)(header_len >> (8 * i));
    tti_str_add(out, n, 8);
    tti_str_puts(out, header);
    tti_str_add(out, data, bytes);
}

/* Writes name with this header and so many bytes 0, 1, 2, .. of data. */
static const char *make(const char *name, const char *header, size_t bytes) {
    tti_str s = {0};
    uint8_t data[256];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)i;
    append_file(&s, header, strlen(header), data, bytes);
    cr_assert_eq(tti_file_write(scratch(name), s.p, s.len), TT_OK);
    tti_str_free(&s);
    return scratch(name);
}

Test(safetensors, round_trip) {
    static const size_t shape[3] = {2, 3, 1}, none[2] = {0, 4};
    static const float values[6] = {0, -1.5f, 3.25f, 1e30f, -1e-30f, 65504};
    tti_st_writer *w;
    cr_assert_eq(tti_st_writer_begin(&w, scratch("a.safetensors")), TT_OK);
    cr_expect_eq(tti_st_writer_declare(w, "byte", TTI_ST_U8, 0, NULL), TT_OK);
    cr_expect_eq(tti_st_writer_declare(w, "x", TTI_ST_F32, 3, shape), TT_OK);
    cr_expect_eq(tti_st_writer_declare(w, "empty", TTI_ST_F32, 2, none), TT_OK);
    cr_expect_eq(tti_st_writer_declare(w, "b\"\xC3\xA4", TTI_ST_BF16, 1, shape), TT_OK);
    cr_expect_eq(tti_st_writer_declare(w, "d", TTI_ST_F64, 1, shape), TT_OK);
    cr_expect_eq(tti_st_writer_declare(w, "n", TTI_ST_I64, 1, shape), TT_OK);
    cr_expect_eq(tti_st_writer_meta(w, "made by", "a test"), TT_OK);
    cr_expect_eq(tti_st_writer_write(w, "\x07", 1), TT_OK);
    cr_expect_eq(tti_st_writer_write_f32(w, values, 2), TT_OK);
    cr_expect_eq(tti_st_writer_write_f32(w, values + 2, 4), TT_OK);
    cr_expect_eq(tti_st_writer_write_f32(w, values + 1, 2), TT_OK);
    cr_expect_eq(tti_st_writer_write_f32(w, values + 1, 2), TT_OK);
    cr_expect_eq(tti_st_writer_write(w, (int64_t[]){-5, 1LL << 40}, 16), TT_OK);
    cr_assert_eq(tti_st_writer_commit(w), TT_OK, "%s", tt_error());
    tti_st_writer_free(w);

    tti_st *st;
    float x[6];
    int64_t n[2];
    cr_assert_eq(tti_st_open(&st, scratch("a.safetensors")), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_st_count(st), 6);
    cr_expect_str_eq(tti_st_at(st, 1)->name, "x");
    const tti_st_tensor *t = tti_st_find(st, "x");
    cr_assert(t && t->rank == 3 && t->dim[1] == 3 && t->count == 6 && t->bytes == 24);
    cr_expect((uintptr_t)t->data % 4 != 0, "the test is to read unaligned data");
    cr_assert_eq(tti_st_read_f32(t, x, 0, 6), TT_OK);
    cr_expect(!memcmp(x, values, sizeof x));
    cr_assert_eq(tti_st_read_f32(t, x, 2, 3), TT_OK);
    cr_expect(!memcmp(x, values + 2, 3 * sizeof *x));
    cr_expect_eq(tti_st_read_f32(t, x, 2, 5), TT_E_SHAPE);
    cr_expect_eq(tti_st_read_f32(t, x, 7, SIZE_MAX), TT_E_SHAPE);
    cr_expect_eq(tti_st_read_f32(tti_st_find(st, "empty"), x, 0, 0), TT_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(tti_st_read_f32(tti_st_find(st, i ? "d" : "b\"\xC3\xA4"), x, 0, 2), TT_OK);
        cr_expect(x[0] == -1.5f && x[1] == 3.25f);
    }
    cr_assert_eq(tti_st_read_i64(tti_st_find(st, "n"), n, 0, 2), TT_OK);
    cr_expect(n[0] == -5 && n[1] == 1LL << 40);
    cr_assert_eq(tti_st_read_i64(tti_st_find(st, "byte"), n, 0, 1), TT_OK);
    cr_expect_eq(n[0], 7);
    expect_error(tti_st_read_f32(tti_st_find(st, "n"), x, 0, 1), TT_E_UNSUPPORTED,
                 "tensor n: is I64");
    expect_error(tti_st_read_i64(t, n, 0, 1), TT_E_UNSUPPORTED, "tensor x: is F32");
    cr_expect_null(tti_st_find(st, "y"));
    cr_expect_str_eq(tti_st_metadata(st, "format"), "pt");
    cr_expect_str_eq(tti_st_metadata(st, "made by"), "a test");
    cr_expect_null(tti_st_metadata(st, "x"));
    tti_st_close(st);
}

Test(safetensors, half_precision_is_exact) {
    for (uint32_t h = 0; h < 65536; h++) {
        const uint16_t u = (uint16_t)h;
        const float f = tti_f16_to_f32(u), b = tti_bf16_to_f32(u);
        if (isnan(f))
            cr_expect(isnan(tti_f16_to_f32(tti_f32_to_f16(f))));
        else
            cr_expect_eq(tti_f32_to_f16(f), u, "f16 %04x", h);
        if (isnan(b))
            cr_expect(isnan(tti_bf16_to_f32(tti_f32_to_bf16(b))));
        else
            cr_expect_eq(tti_f32_to_bf16(b), u, "bf16 %04x", h);
        /* half way to the next number goes to the even one, a little more or less to the near one
         */
        if ((u & 0x7FFF) >= 0x7BFF) continue;
        const float next = tti_f16_to_f32((uint16_t)(u + 1)), mid = (f + next) / 2;
        cr_expect_eq(tti_f32_to_f16(mid), (u & 1) ? u + 1 : u, "between f16 %04x and next", h);
        cr_expect_eq(tti_f32_to_f16(nextafterf(mid, f)), u, "below the middle after %04x", h);
        cr_expect_eq(tti_f32_to_f16(nextafterf(mid, next)), u + 1, "above it, %04x", h);
    }
    static const struct {
        float x;
        uint16_t f16, bf16;
    } cases[] = {
        {65519.996f, 0x7BFF, 0x4780},  {65520, 0x7C00, 0x4780},   {1e9f, 0x7C00, 0x4E6E},
        {0x1p-25f, 0, 0x3300},         {0x1.8p-25f, 1, 0x3340},   {-0.0f, 0x8000, 0x8000},
        {INFINITY, 0x7C00, 0x7F80},    {-1e9f, 0xFC00, 0xCE6E},   {1.00390625f, 0x3C04, 0x3F80},
        {1.01171875f, 0x3C0C, 0x3F82}, {3.4e38f, 0x7C00, 0x7F80}, {0x1p-149f, 0, 0},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        cr_expect_eq(tti_f32_to_f16(cases[i].x), cases[i].f16, "%g: %04x", (double)cases[i].x,
                     tti_f32_to_f16(cases[i].x));
        cr_expect_eq(tti_f32_to_bf16(cases[i].x), cases[i].bf16, "%g: %04x", (double)cases[i].x,
                     tti_f32_to_bf16(cases[i].x));
    }
}

#define T(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{\"a\":" T(dtype, shape, offsets) "}"

static const struct {
    const char *header;
    size_t bytes; /* of data */
    tt_status status;
    const char *says;
} broken_headers[] = {
    {"", 0, TT_E_FORMAT, "empty, expected JSON"},
    {"{\"a\": ", 0, TT_E_FORMAT, "header of "},
    {"{}x", 0, TT_E_FORMAT, "text after the end"},
    {"[]", 0, TT_E_FORMAT, "expected a JSON object"},
    {"{\"a\":3}", 0, TT_E_FORMAT, "tensor a: expected an object"},
    {"{\"__metadata__\":3}", 0, TT_E_FORMAT, "__metadata__: expected an object"},
    {"{\"__metadata__\":{\"x\":1}}", 0, TT_E_FORMAT, "__metadata__: x: expected a string"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, TT_E_FORMAT, "__metadata__: twice"},
    {ONE("F99", "[1]", "[0,4]"), 4, TT_E_FORMAT, "tensor a: dtype \"F99\" is not known"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, TT_E_FORMAT, "dtype: expected a"},
    {ONE("F32", "1", "[0,4]"), 4, TT_E_FORMAT, "tensor a: shape: expected an array"},
    {ONE("F32", "[-1]", "[0,4]"), 4, TT_E_FORMAT, "whole numbers from 0, found -1"},
    {ONE("F32", "[1.5]", "[0,4]"), 4, TT_E_FORMAT, "whole numbers from 0, found 1.5"},
    {ONE("F32", "[1e40]", "[0,4]"), 4, TT_E_FORMAT, "whole numbers from 0, found 1e+40"},
    {ONE("F32", "[\"1\"]", "[0,4]"), 4, TT_E_FORMAT, "found the string \"1\""},
    {ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, TT_E_FORMAT, "more than 8 dimensions"},
    {ONE("F32", "[4503599627370496,4503599627370496]", "[0,4]"), 4, TT_E_FORMAT, "too many"},
    {ONE("F32", "[4611686018427387904]", "[0,4]"), 4, TT_E_FORMAT, "found 4.61168601842739e+18"},
    {ONE("F32", "[9007199254740992,1024]", "[0,0]"), 0, TT_E_FORMAT, "hold 0 bytes"},
    {ONE("F32", "[1]", "3"), 4, TT_E_FORMAT, "tensor a: data_offsets: expected"},
    {ONE("F32", "[1]", "[0]"), 4, TT_E_FORMAT, "data_offsets: expected"},
    {ONE("F32", "[1]", "[4,0]"), 4, TT_E_FORMAT, "data_offsets: expected"},
    {ONE("F32", "[1]", "[-4,0]"), 4, TT_E_FORMAT, "data_offsets: expected"},
    {ONE("F32", "[1]", "[0,\"4\"]"), 4, TT_E_FORMAT, "data_offsets: expected"},
    {ONE("F32", "[2]", "[0,8]"), 7, TT_E_FORMAT, "reach beyond the end of the data (7 bytes)"},
    {ONE("F32", "[2]", "[0,8]"), 0, TT_E_FORMAT, "cut short"},
    {ONE("F32", "[2]", "[0,1e300]"), 8, TT_E_FORMAT, "data_offsets: expected"},
    {ONE("F32", "[2,3]", "[0,20]"), 20, TT_E_FORMAT, "does not fit F32 of shape [2, 3]"},
    {ONE("F4", "[3]", "[0,2]"), 2, TT_E_FORMAT, "does not fit F4"},
    {ONE("F32", "[1]", "[0,4]"), 8, TT_E_FORMAT, "4 bytes after the last tensor"},
    {ONE("F32", "[1]", "[4,8]"), 8, TT_E_FORMAT, "tensor a: begins at byte 4, leaving a hole"},
    {"{\"a\":" T("F32", "[2]", "[0,8]") ",\"b\":" T("F32", "[2]", "[4,12]") "}", 12, TT_E_FORMAT,
     "tensor b: begins at byte 4, inside the tensor before it"},
    {"{\"a\":" T("U8", "[1]", "[0,1]") ",\"b\":" T("U8", "[1]", "[2,3]") "}", 3, TT_E_FORMAT,
     "tensor b: begins at byte 2, leaving a hole"},
    {"{\"a\":" T("U8", "[1]", "[0,1]") ",\"a\":" T("U8", "[1]", "[1,2]") "}", 2, TT_E_FORMAT,
     "tensor a: twice"},
    {"{\"a\\u0000b\":" T("U8", "[1]", "[0,1]") "}", 1, TT_E_FORMAT, "NUL"},
    {"{}", 0, TT_OK, ""},
    {"{}      ", 0, TT_OK, ""},
    {ONE("F32", "[]", "[0,4]"), 4, TT_OK, ""},
    {ONE("F8_E4M3", "[4]", "[0,4]"), 4, TT_OK, ""},
    {ONE("F4", "[4]", "[0,2]"), 2, TT_OK, ""},
    {ONE("F32", "[0,9]", "[0,0]"), 0, TT_OK, ""},
    {"{\"b\":" T("U8", "[1]", "[1,2]") ",\"e\":" T("U8", "[0]", "[1,1]") ",\"a\":" T("U8", "[1]",
                                                                                     "[0,1]") "}",
     2, TT_OK, ""},
};

Test(safetensors, broken_headers) {
    for (size_t i = 0; i < TT_COUNT(broken_headers); i++) {
        tti_st *st;
        const char *path =
            make("broken.safetensors", broken_headers[i].header, broken_headers[i].bytes);
        tt_status s = tti_st_open(&st, path);
        cr_expect_eq(s, broken_headers[i].status, "case %zu: %s", i,
                     s == TT_OK ? "opened" : tt_error());
        if (s != TT_OK) {
            expect_error(s, broken_headers[i].status, broken_headers[i].says);
            expect_error(s, broken_headers[i].status, "broken.safetensors");
            cr_expect_null(st);
        }
        tti_st_close(st);
    }
}

Test(safetensors, broken_files) {
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } cases[] = {
        {"", 0, "0 bytes, too short"},
        {"\x02\0\0\0\0\0\0", 7, "7 bytes, too short"},
        {"\x03\0\0\0\0\0\0\0{}", 10, "to be 3 bytes long, but the file has 10"},
        {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "18446744073709551615"},
        {"PK\x03\x04 a zip file, as torch.save writes", 37, "not a safetensors file"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "git-lfs pointer"},
    };
    tti_st *st;
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        const char *path = scratch("f.safetensors");
        cr_assert_eq(tti_file_write(path, cases[i].bytes, cases[i].n), TT_OK);
        expect_error(tti_st_open(&st, path), TT_E_FORMAT, cases[i].says);
    }
    expect_error(tti_st_open(&st, scratch("none")), TT_E_IO, "cannot open");
    cr_assert_eq(tti_mkdirs(scratch("dir")), TT_OK);
    expect_error(tti_st_open(&st, scratch("dir")), TT_E_IO, "holds neither model.safetensors");
    cr_assert_eq(tti_file_write(scratch("dir/pytorch_model.bin"), "", 0), TT_OK);
    expect_error(tti_st_open(&st, scratch("dir")), TT_E_UNSUPPORTED, "pytorch_model.bin only");
}

Test(safetensors, shards) {
    make("s1.safetensors", "{\"a\":" T("U8", "[2]", "[0,2]") ",\"x\":" T("U8", "[1]", "[2,3]") "}",
         3);
    make("s2.safetensors", "{\"b\":" T("U8", "[1]", "[0,1]") ",\"x\":" T("U8", "[2]", "[1,3]") "}",
         3);
    static const struct {
        const char *index;
        tt_status status;
        const char *says;
    } cases[] = {
        {"{\"weight_map\":{\"b\":\"s2.safetensors\",\"a\":\"s1.safetensors\","
         "\"x\":\"s2.safetensors\"}}",
         TT_OK, ""},
        {"{}", TT_E_FORMAT, "weight_map: missing"},
        {"{\"weight_map\":[]}", TT_E_FORMAT, "weight_map: expected an object"},
        {"{\"weight_map\":{}}", TT_E_FORMAT, "weight_map: empty"},
        {"{\"weight_map\":{\"a\":1}}", TT_E_FORMAT, "a: expected a file name"},
        {"{\"weight_map\":{\"a\":\"s3.safetensors\"}}", TT_E_IO, "shard s3.safetensors is missing"},
        {"{\"weight_map\":{\"a\":\"../s1.safetensors\"}}", TT_E_FORMAT, "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", TT_E_FORMAT, "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"s2.safetensors\"}}", TT_E_FORMAT,
         "tensor a is not in its shard s2.safetensors"},
        {"{\"weight_map\":{\"a\":\"s1.safetensors\",\"a\":\"s1.safetensors\"}}", TT_E_FORMAT,
         "a: twice"},
        {"{\"weight_map\":", TT_E_FORMAT, "model.safetensors.index.json:1:14: not valid JSON"},
        {"3", TT_E_FORMAT, "expected a JSON object, found 3"},
    };
    tti_st *st;
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        const char *path = scratch("model.safetensors.index.json");
        cr_assert_eq(tti_file_write(path, cases[i].index, strlen(cases[i].index)), TT_OK);
        for (int folder = 0; folder < 2; folder++) {
            tt_status s = tti_st_open(&st, folder ? scratch(".") : path);
            cr_expect_eq(s, cases[i].status, "case %zu", i);
            if (s != TT_OK) {
                expect_error(s, cases[i].status, cases[i].says);
                continue;
            }
            cr_expect_eq(tti_st_count(st), 3);
            cr_expect_str_eq(tti_st_at(st, 0)->name, "b");
            cr_expect_eq(tti_st_find(st, "x")->count, 2, "of the shard that the index says");
            cr_expect_eq(((const uint8_t *)tti_st_find(st, "a")->data)[1], 1);
            cr_expect_null(tti_st_metadata(st, "format"));
            tti_st_close(st);
        }
    }
}

Test(safetensors, writer_refuses) {
    static const size_t two = 2, huge[2] = {SIZE_MAX, 2};
    tti_st_writer *w;
    float x[3] = {1, 2, 3};
    expect_error(tti_st_writer_begin(&w, scratch("none/a")), TT_E_IO, "none/a: cannot create");
    for (int i = 0; i < 7; i++) {
        cr_assert_eq(tti_st_writer_begin(&w, scratch("w")), TT_OK);
        cr_assert_eq(tti_st_writer_declare(w, "a", TTI_ST_F16, 1, &two), TT_OK);
        switch (i) {
        case 0:
            expect_error(tti_st_writer_declare(w, "a", TTI_ST_F32, 1, &two), TT_E_ARG,
                         "tensor a: declared twice");
            break;
        case 1:
            expect_error(tti_st_writer_declare(w, "b", TTI_ST_F32, 2, huge), TT_E_ARG, "too many");
            break;
        case 2: expect_error(tti_st_writer_commit(w), TT_E_ARG, "0 of 4 declared bytes"); break;
        case 3:
            expect_error(tti_st_writer_write_f32(w, x, 3), TT_E_ARG, "more data than declared");
            break;
        case 4: expect_error(tti_st_writer_write(w, x, 5), TT_E_ARG, "more data than the 4"); break;
        case 5:
            cr_expect_eq(tti_st_writer_write_f32(w, x, 1), TT_OK);
            expect_error(tti_st_writer_declare(w, "b", TTI_ST_F32, 1, &two), TT_E_ARG, "after");
            break;
        case 6:
            expect_error(tti_st_writer_meta(w, "format", "np"), TT_E_ARG, "format: twice");
            break;
        }
        tti_st_writer_free(w);
        cr_expect(!tti_file_exists(scratch("w")), "case %d left a file", i);
    }
}

/* The bytes are those of the format, and the same each time. */
Test(safetensors, golden) {
    static const size_t shape[2] = {1, 2};
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},\"w\":{\"dtype\":\"F32\","
                                 "\"shape\":[1,2],\"data_offsets\":[0,8]}} ";
    tti_str want = {0};
    cr_expect_eq((sizeof header - 1) % 8, 0);
    append_file(&want, header, sizeof header - 1, (float[]){1, -2}, 8);
    for (int i = 0; i < 2; i++) {
        tti_st_writer *w;
        char *got;
        size_t n;
        cr_assert_eq(tti_st_writer_begin(&w, scratch("g")), TT_OK);
        cr_assert_eq(tti_st_writer_declare(w, "w", TTI_ST_F32, 2, shape), TT_OK);
        cr_assert_eq(tti_st_writer_write(w, (float[]){1, -2}, 8), TT_OK);
        cr_assert_eq(tti_st_writer_commit(w), TT_OK);
        tti_st_writer_free(w);
        cr_assert_eq(tti_file_read(&got, &n, scratch("g"), 1 << 20), TT_OK);
        cr_expect(n == want.len && !memcmp(got, want.p, n), "%.*s", (int)n - 8, got + 8);
        tti_free(got);
    }
    tti_str_free(&want);
}

static tt_status write_and_read(void) {
    tti_st_writer *w = NULL;
    tti_st *st = NULL;
    tt_status s;
    char name[32];
    TT_GO(tti_st_writer_begin(&w, scratch("oom.safetensors")));
    for (size_t i = 0; i < 40; i++) { /* so many that tables grow */
        snprintf(name, sizeof name, "tensor.%zu", i);
        TT_GO(tti_st_writer_declare(w, name, TTI_ST_F32, 1, &i));
    }
    for (size_t i = 0; i < 40; i++) {
        float x[40] = {0};
        TT_GO(tti_st_writer_write_f32(w, x, i));
    }
    TT_GO(tti_st_writer_commit(w));
    TT_GO(tti_st_open(&st, scratch("oom.safetensors")));
    s = tti_st_count(st) == 40 ? TT_OK : TT_E_INTERNAL;
done:
    tti_st_writer_free(w);
    tti_st_close(st);
    return s;
}

Test(safetensors, allocation_failure) { expect_nomem_until_ok(write_and_read); }

/* Bytes of the process that lie in mapped files, now. */
static size_t resident(void) {
    char *text;
    size_t size, all = 0, shared = 0;
    cr_assert_eq(tti_file_read(&text, &size, "/proc/self/statm", 4096), TT_OK, "%s", tt_error());
    cr_assert_eq(sscanf(text, "%*s %zu %zu", &all, &shared), 2);
    tti_free(text);
    return shared * (size_t)sysconf(_SC_PAGESIZE);
}

Test(safetensors, dropped_pages_leave_and_come_back) {
    static const size_t count = 3 << 20, few = 3;
    static float x[1 << 16], y[1 << 16];
    tti_st_writer *w;
    cr_assert_eq(tti_st_writer_begin(&w, scratch("big.safetensors")), TT_OK);
    cr_assert_eq(tti_st_writer_declare(w, "a", TTI_ST_U8, 1, &few), TT_OK);
    cr_assert_eq(tti_st_writer_declare(w, "b", TTI_ST_F32, 1, &count), TT_OK);
    cr_assert_eq(tti_st_writer_declare(w, "none", TTI_ST_F32, 1, (size_t[]){0}), TT_OK);
    cr_assert_eq(tti_st_writer_write(w, "abc", 3), TT_OK);
    for (size_t i = 0; i < count; i += TT_COUNT(x)) {
        for (size_t j = 0; j < TT_COUNT(x); j++) x[j] = (float)(i + j);
        cr_assert_eq(tti_st_writer_write(w, x, sizeof x), TT_OK);
    }
    cr_assert_eq(tti_st_writer_commit(w), TT_OK);
    tti_st_writer_free(w);
    tti_st *st;
    cr_assert_eq(tti_st_open(&st, scratch("big.safetensors")), TT_OK, "%s", tt_error());
    const tti_st_tensor *b = tti_st_find(st, "b");
    for (size_t i = 0; i < count; i += TT_COUNT(y))
        cr_assert_eq(tti_st_read_f32(b, y, i, TT_COUNT(y)), TT_OK);
    const size_t before = resident();
    for (size_t i = 0; i < tti_st_count(st); i++) tti_st_drop(tti_st_at(st, i));
    const size_t after = resident();
    cr_expect_geq(before, after + (10 << 20), "%zu bytes before, %zu after", before, after);
    cr_assert_eq(tti_st_read_f32(b, y, count - TT_COUNT(y), TT_COUNT(y)), TT_OK);
    cr_expect(!memcmp(x, y, sizeof x));
    tti_st_close(st);
}

// SPDX-License-Identifier: Apache-2.0
/* test_quantise.c - NF4 is bitsandbytes' bit for bit; other types keep their error bounds; pieces
 * are the same as the whole; bad numbers are refused. */
#include "tests/unit/storage/support.h"

#include <sys/wait.h>
#include <unistd.h>
#include "host/core/file.h"

static void expect_error(tt_status got, tt_status want, const char *says) {
    cr_expect_eq(got, want, "status %d, expected %d (%s): %s", got, want, says, tt_error());
    if (got != TT_OK)
        cr_expect(strstr(tt_error(), says), "\"%s\" does not say \"%s\"", tt_error(), says);
}

/* ---- bitsandbytes ---- */

typedef struct {
    char kind[16];
    unsigned seed, nested, offset;
    size_t rows, cols, block;
    unsigned long long data, scales, second, widened;
} nf4_case;

static void check_case(const nf4_case *c) {
    const size_t count = c->rows * c->cols;
    const tti_layout l = tti_layout_of(TTI_NF4, c->rows, c->cols, c->block, c->nested != 0);
    float *x = numbers(c->kind, c->seed, count), *back = malloc((count + 1) * sizeof *back);
    uint8_t *q = malloc(l.bytes);
    cr_assert(q && back);
    cr_assert_eq(tti_quantise(&l, x, q), TT_OK, "%s", tt_error());
    tti_dequantise(&l, q, 0, count, back);
    char name[100];
    snprintf(name, sizeof name, "%s %u [%zu, %zu] block %zu%s", c->kind, c->seed, c->rows, c->cols,
             c->block, c->nested ? " nested" : "");
    cr_expect_eq(total(q, (count + 1) / 2), c->data, "%s: codes", name);
    cr_expect_eq(total(q + l.scales, l.blocks * (c->nested ? 1 : 4)), c->scales, "%s: scales",
                 name);
    cr_expect_eq(total(q + l.nested, l.nested_blocks * 4), c->second, "%s: nested scales", name);
    float offset;
    memcpy(&offset, q + l.tables + (TTI_CODE + TTI_NESTED_CODE) * 4, 4);
    cr_expect_eq(tti_bits_of(offset), c->offset, "%s: offset %g", name, (double)offset);
    cr_expect_eq(total(back, count * 4), c->widened, "%s: widened", name);
    free(x);
    free(back);
    free(q);
}

static void check_file(const char *path) {
    char *text;
    size_t size, n = 0;
    cr_assert_eq(tti_file_read(&text, &size, path, 1 << 20), TT_OK, "%s", tt_error());
    for (const char *line = text; *line; line = strchr(line, '\n') + 1, n++) {
        nf4_case c;
        cr_assert_eq(sscanf(line, "%15s %u %zu %zu %zu %u %llx %llx %llx %x %llx", c.kind, &c.seed,
                            &c.rows, &c.cols, &c.block, &c.nested, &c.data, &c.scales, &c.second,
                            &c.offset, &c.widened),
                     11, "%s: line %zu", path, n + 1);
        check_case(&c);
    }
    cr_expect_geq(n, 50, "%s: %zu cases", path, n);
    tti_free(text);
}

Test(quantise, nf4_as_bitsandbytes) {
    check_file(TT_TEST_DATA "/unit/storage/fixtures/nf4_cases.txt");
}

/* Against the installed bitsandbytes, with other numbers each time; TT_PYTHON names a Python. */
Test(quantise, nf4_as_bitsandbytes_now) {
    const char *python = getenv("TT_PYTHON");
    if (!python || !*python) cr_skip_test("TT_PYTHON names no Python with bitsandbytes");
    char path[] = "/tmp/tt-nf4-XXXXXX", command[2000];
    const int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    const unsigned seed = (unsigned)getpid() % 100000 + 1;
    snprintf(command, sizeof command,
             "'%s' -c 'import bitsandbytes' 2>/dev/null || exit 77; '%s' "
             "'%s/ref/make_quantised.py' --cases %s --seed %u 2>/dev/null",
             python, python, TT_TEST_DATA, path, seed);
    const int rc = system(command);
    if (WIFEXITED(rc) && WEXITSTATUS(rc) == 77) {
        unlink(path);
        cr_skip_test("no bitsandbytes there");
    }
    cr_expect_eq(rc, 0, "make_quantised.py --seed %u: %d", seed, rc);
    if (rc == 0) check_file(path);
    unlink(path);
}

Test(quantise, nested_code_is_what_its_definition_says) {
    float code[TTI_NESTED_CODE];
    tti_nested_code(code);
    for (int i = 1; i < TTI_NESTED_CODE; i++) cr_expect_gt(code[i], code[i - 1], "%d", i);
    cr_expect_eq(code[127], 0.0f);
    cr_expect_eq(code[255], 1.0f);
    cr_expect_eq(tti_bits_of(code[0]), 0xBF7E3333u, "%a", (double)code[0]);
    cr_expect(fabsf(code[128] - 5.5e-7f) < 1e-12f);
    for (int i = 0; i < 127; i++) cr_expect_eq(code[i], -code[254 - i], "%d", i);
}

/* ---- error bounds ---- */

Test(quantise, bounds) {
    static const struct {
        tti_dtype type;
        const char *kind;
        double relative; /* of the block's largest magnitude; plain types: of the number */
        double absolute;
    } cases[] = {
        {TTI_Q8, "usual", 0.5001 / 127, 0},
        {TTI_Q8, "spread", 0.5001 / 127, 0},
        {TTI_Q8, "zeros", 0.5001 / 127, 0},
        {TTI_Q8, "any", 0.5001 / 127, 0},
        {TTI_Q8, "tiny", 0.5001 / 127, 0x1p-142},
        {TTI_Q8, "constant", 0x1p-23, 0},
        {TTI_NF4, "usual", 0.152, 0},
        {TTI_NF4, "zeros", 0.152, 0},
        {TTI_BF16, "usual", 0x1p-8, 0},
        {TTI_BF16, "tiny", 0x1p-8, 0x1p-134},
        {TTI_F16, "usual", 0x1p-11, 0x1p-25},
        {TTI_F16, "tiny", 0x1p-11, 0x1p-25},
        {TTI_F32, "usual", 0, 0},
        {TTI_F32, "any", 0, 0},
    };
    for (size_t k = 0; k < TT_COUNT(cases); k++) {
        const size_t rows = 13, cols = 111, count = rows * cols;
        const bool blocks = tti_dtype_quantised(cases[k].type);
        const tti_layout l = tti_layout_of(cases[k].type, rows, cols, 64, false);
        float *x = numbers(cases[k].kind, 77, count), *y = malloc(count * sizeof *y);
        void *q = malloc(l.bytes);
        cr_assert(y && q);
        cr_assert_eq(tti_quantise(&l, x, q), TT_OK, "%s", tt_error());
        tti_dequantise(&l, q, 0, count, y);
        for (size_t i = 0; i < count; i++) {
            double size = fabs((double)x[i]);
            for (size_t j = i / 64 * 64; blocks && j < TT_MIN(i / 64 * 64 + 64, count); j++)
                size = fmax(size, fabs((double)x[j]));
            const double error = fabs((double)y[i] - (double)x[i]);
            cr_expect(error <= cases[k].relative * size + cases[k].absolute,
                      "%s %s: element %zu: %g became %g", tti_dtype_name(cases[k].type),
                      cases[k].kind, i, (double)x[i], (double)y[i]);
        }
        free(x);
        free(y);
        free(q);
    }
}

/* ---- pieces ---- */

static void check_pieces(tti_dtype type, size_t rows, size_t cols, size_t block, bool nested,
                         size_t step) {
    const tti_layout l = tti_layout_of(type, rows, cols, block, nested);
    const size_t count = rows * cols;
    float *x = numbers("usual", 5, count);
    uint8_t *whole = malloc(l.bytes), *other = malloc(l.bytes);
    cr_assert(whole && other);
    memset(whole, 1, l.bytes);
    memset(other, 2, l.bytes);
    cr_assert_eq(tti_quantise(&l, x, whole), TT_OK, "%s", tt_error());
    tti_quantiser q;
    cr_assert_eq(tti_quantiser_begin(&q, &l, other), TT_OK);
    for (size_t i = 0; i < count; i += step)
        cr_assert_eq(tti_quantiser_add(&q, x + i, TT_MIN(step, count - i)), TT_OK, "%s",
                     tt_error());
    cr_assert_eq(tti_quantiser_end(&q), TT_OK, "%s", tt_error());
    cr_expect(!memcmp(whole, other, l.bytes), "%s [%zu, %zu] in pieces of %zu",
              tti_dtype_name(type), rows, cols, step);

    /* cut into slabs and joined again; a slab widens to the rows that it holds */
    const size_t cut = tti_layout_cut(&l), n = TT_MAX(cut, rows / 3 / cut * cut);
    float *y = malloc(count * sizeof *y), *part = malloc(count * sizeof *part);
    cr_assert(y && part);
    tti_dequantise(&l, whole, 0, count, y);
    memset(other, 0, l.bytes);
    for (size_t row = 0; row < rows; row += n) {
        const size_t m = TT_MIN(n, rows - row);
        const tti_layout piece = tti_layout_rows(&l, row, m);
        uint8_t *p = malloc(piece.bytes);
        cr_assert(p);
        tti_cut(&l, whole, row, m, p);
        tti_dequantise(&piece, p, 0, m * cols, part);
        cr_expect(!memcmp(part, y + row * cols, m * cols * sizeof *y), "%s: rows %zu to %zu",
                  tti_dtype_name(type), row, row + m);
        tti_join(&l, other, row, m, p);
        free(p);
    }
    cr_expect(!memcmp(whole, other, l.bytes), "%s [%zu, %zu] cut and joined", tti_dtype_name(type),
              rows, cols);

    /* any range of elements */
    for (size_t i = 0; i < count; i += 37) {
        const size_t m = TT_MIN((size_t)(word(9, (uint32_t)i) % 150), count - i);
        tti_dequantise(&l, whole, i, m, part);
        cr_expect(!memcmp(part, y + i, m * sizeof *y), "elements %zu to %zu", i, i + m);
    }
    free(x);
    free(y);
    free(part);
    free(whole);
    free(other);
}

Test(quantise, pieces) {
    check_pieces(TTI_NF4, 48, 64, 64, false, 640);
    check_pieces(TTI_NF4, 600, 96, 64, true, 64 * 7);
    check_pieces(TTI_NF4, 1024, 64, 64, true, 4096);
    check_pieces(TTI_NF4, 5, 77, 32, true, 32);
    check_pieces(TTI_Q8, 33, 50, 64, false, 64);
    check_pieces(TTI_Q8, 40, 128, 64, false, 1280);
    check_pieces(TTI_BF16, 9, 7, 0, false, 10);
    check_pieces(TTI_F16, 9, 7, 0, false, 10);
    check_pieces(TTI_F32, 9, 7, 0, false, 10);
}

Test(quantise, padding_is_zero) {
    const tti_layout l = tti_layout_of(TTI_NF4, 3, 50, 64, true);
    float *x = numbers("usual", 3, 150);
    uint8_t *q = malloc(l.bytes);
    cr_assert(q);
    memset(q, 255, l.bytes);
    cr_assert_eq(tti_quantise(&l, x, q), TT_OK);
    for (size_t i = 75; i < l.scales; i++) cr_expect_eq(q[i], 0);
    for (size_t i = l.scales + 3; i < l.nested; i++) cr_expect_eq(q[i], 0);
    for (size_t i = l.nested + 4; i < l.tables; i++) cr_expect_eq(q[i], 0);
    for (size_t i = l.tables + 273 * 4; i < l.bytes; i++) cr_expect_eq(q[i], 0);
    free(x);
    free(q);
}

/* ---- refusals ---- */

Test(quantise, numbers_that_are_not_finite_are_named) {
    static const tti_dtype types[] = {TTI_F32, TTI_F16, TTI_BF16, TTI_Q8, TTI_NF4};
    float *x = numbers("usual", 1, 500);
    static uint8_t q[8000];
    for (size_t k = 0; k < TT_COUNT(types); k++)
        for (size_t i = 0; i < 500; i += 71) {
            const tti_layout l = tti_layout_plain(types[k], 5, 100);
            const float kept = x[i];
            char says[40];
            cr_assert_leq(l.bytes, sizeof q);
            x[i] = k & 1 ? NAN : -INFINITY;
            snprintf(says, sizeof says, "element %zu is ", i);
            expect_error(tti_quantise(&l, x, q), TT_E_NUMERIC, says);
            x[i] = kept;
        }
    const tti_layout half = tti_layout_plain(TTI_F16, 5, 100),
                     upper = tti_layout_plain(TTI_BF16, 5, 100);
    x[7] = 70000;
    expect_error(tti_quantise(&half, x, q), TT_E_NUMERIC, "element 7 is 70000, beyond the range");
    x[7] = 3.4e38f;
    expect_error(tti_quantise(&upper, x, q), TT_E_NUMERIC, "element 7 is 3.4e+38, beyond");
    const tti_layout nested = tti_layout_of(TTI_NF4, 5, 100, 64, true);
    for (size_t i = 0; i < 500; i++) x[i] = 3e38f;
    expect_error(tti_quantise(&nested, x, q), TT_E_NUMERIC, "8 scales overflows");
    free(x);
}

Test(quantise, pieces_that_do_not_fit_are_refused) {
    const tti_layout l = tti_layout_of(TTI_NF4, 3, 64, 64, true);
    float *x = numbers("usual", 1, 192);
    static uint8_t out[8000];
    tti_quantiser q = {0};
    tti_quantiser_free(&q);
    tti_alloc_fail_at(1);
    cr_expect_eq(tti_quantiser_begin(&q, &l, out), TT_E_NOMEM);
    tti_alloc_fail_at(0);
    cr_assert_eq(tti_quantiser_begin(&q, &l, out), TT_OK);
    expect_error(tti_quantiser_add(&q, x, 60), TT_E_ARG, "multiple of 64");
    cr_expect_eq(tti_quantiser_add(&q, x, 64), TT_OK);
    expect_error(tti_quantiser_add(&q, x, 192), TT_E_ARG, "behind the first 64");
    expect_error(tti_quantiser_end(&q), TT_E_ARG, "64 of 192");
    tti_quantiser_free(&q);
    free(x);
}

Test(quantise, layouts_do_not_overlap) {
    static const size_t shapes[][2] = {{1, 1}, {1, 64}, {3, 130}, {128, 256}, {7, 999}};
    for (int t = 0; t < TTI_DTYPES; t++)
        for (size_t i = 0; i < TT_COUNT(shapes); i++) {
            const tti_layout l = tti_layout_plain((tti_dtype)t, shapes[i][0], shapes[i][1]);
            const size_t count = l.rows * l.cols;
            tti_dtype back;
            cr_expect(tti_dtype_parse(tti_dtype_name((tti_dtype)t), &back) && (int)back == t);
            if (!tti_dtype_quantised((tti_dtype)t)) {
                cr_expect_eq(l.bytes, count * (t == TTI_F32 || t == TTI_I32 ? 4 : 2));
                continue;
            }
            const size_t cut = tti_layout_cut(&l);
            cr_expect_eq(cut * l.cols % (64 * (l.has_nested ? 256 : 1)), 0);
            cr_expect_eq(l.blocks, (count + 63) / 64);
            cr_expect_geq(l.scales, t == TTI_NF4 ? (count + 1) / 2 : count);
            cr_expect_eq(l.scales % 64, 0);
            cr_expect_eq(l.bytes % 64, 0);
            if (t == TTI_Q8) continue;
            cr_expect_geq(l.nested, l.scales + l.blocks);
            cr_expect_geq(l.tables, l.nested + l.nested_blocks * 4);
            cr_expect_geq(l.bytes, l.tables + 273 * 4);
        }
}

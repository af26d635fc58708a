// SPDX-License-Identifier: Apache-2.0
/* Choices: forced, standard, measured, kept in the cache, shared by processes, saved and restored;
 * and what tti_gemm_run refuses. */
#include <sys/wait.h>
#include "tests/unit/gemm/support.h"

TestSuite(gemm_choose, .init = td_setup, .fini = td_teardown);

static const tti_gemm_shape small = {false, true, 40, 48, 32, TTI_F32};

static char *cache_file(const tti_device *d) {
    char *path = NULL;
    OK(tti_gemm_cache_path(&path, d));
    cr_assert(path);
    return path;
}

static char *read_cache(const tti_device *d) {
    char *path = cache_file(d), *text;
    size_t size;
    OK(tti_file_read(&text, &size, path, 1 << 20));
    tti_free(path);
    return text;
}

/* One choice by a new service; gives its name in a static buffer. */
static const char *choose_anew(tti_device *d, const char *force, const tti_gemm_shape *s) {
    static char name[48];
    tti_gemm *g;
    tti_gemm_plan plan;
    OK(tti_gemm_new(&g, d, force));
    OK(tti_gemm_choose(g, s, &plan));
    snprintf(name, sizeof name, "%s", tti_gemm_plan_name(g, &plan));
    tti_gemm_free(g);
    return name;
}

/* What is chosen without measuring. */
static bool is_usual(const tti_device *d, const char *name) {
    return !strncmp(name, tti_device_caps(d)->cpu ? "tile " : "clblast", 5);
}

Test(gemm_choose, forced_by_name_and_environment) {
    tti_device *d = td_open();
    tti_gemm *g = NULL;
    cr_expect_str_eq(choose_anew(d, "clblast", &small), "clblast");
    cr_expect_eq(strncmp(choose_anew(d, "tile", &small), "tile ", 5), 0);
    setenv("TT_GEMM", "clblast", 1);
    cr_expect_str_eq(choose_anew(d, NULL, &small), "clblast");
    cr_expect_eq(strncmp(choose_anew(d, "tile", &small), "tile ", 5), 0);
    td_expect_error(tti_gemm_new(&g, d, "mkl"), TT_E_ARG, "one of auto, clblast, tile", "name");
    setenv("TT_GEMM", "Tile", 1);
    td_expect_error(tti_gemm_new(&g, d, NULL), TT_E_ARG, "TT_GEMM: \"Tile\"", "environment");
    cr_expect_null(g);
    tti_device_close(d);
}

Test(gemm_choose, without_tuning_nothing_is_measured_or_written) {
    tti_device *d = td_open();
    setenv("TT_GEMM_TUNE", "0", 1);
    const size_t built = tti_programs_built(d);
    cr_expect(is_usual(d, choose_anew(d, NULL, &small)));
    cr_expect_eq(tti_programs_built(d), built);
    char *path = cache_file(d);
    cr_expect_not(tti_file_exists(path));
    tti_free(path);
    tti_device_close(d);
}

/* The cache decides: what it says is used, even a choice that no measurement would make. */
Test(gemm_choose, cache_is_written_and_believed) {
    tti_device *d = td_open();
    const tti_gemm_class class = tti_gemm_class_of(&small);
    char measured[48];
    snprintf(measured, sizeof measured, "%s", choose_anew(d, "auto", &small));
    char *text = read_cache(d), *path = cache_file(d);
    cr_expect(strstr(text, "\nauto nt 64 64 32 tile "), "%s", text);
    tti_free(text);
    const size_t built = tti_programs_built(d);
    cr_expect_str_eq(choose_anew(d, "auto", &small), measured);
    cr_expect_eq(tti_programs_built(d), built, "measured a second time");
    tti_gemm_choices odd = {0};
    OK(tti_gemm_choices_put(&odd, &(tti_gemm_choice){-1, class, 1, 0}));
    tti_gemm_cache_write(&odd, path, tti_device_key(d));
    cr_expect_str_eq(choose_anew(d, "auto", &small), "clblast");
    cr_expect_eq(strncmp(choose_anew(d, "tile", &small), "tile ", 5), 0, "forced, not cached");
    tti_gemm_choices_clear(&odd);
    tti_free(path);
    tti_device_close(d);
}

Test(gemm_choose, spoilt_cache_is_measured_again) {
    tti_device *d = td_open();
    const tti_gemm_class class = tti_gemm_class_of(&small);
    char *path = cache_file(d);
    tti_gemm_choices odd = {0};
    OK(tti_gemm_choices_put(&odd, &(tti_gemm_choice){-1, class, 1, 0}));
    for (int i = 0; i < 8; i++) {
        tti_gemm_cache_write(&odd, path, i == 0 ? "another device" : tti_device_key(d));
        char *text = read_cache(d);
        size_t n = strlen(text);
        if (i == 1) n -= 1;                                      /* cut */
        if (i == 2) n /= 2;                                      /* cut in the middle */
        if (i == 3) n = 0;                                       /* empty */
        if (i == 4) text[n / 2] ^= 1;                            /* a bit of a choice */
        if (i == 5) text[n - 2] ^= 1;                            /* a bit of the hash */
        if (i == 6) text[0] = 0;                                 /* binary */
        if (i == 7) memcpy(strstr(text, "gemm 3"), "gemm 2", 6); /* another version */
        if (i > 0) OK(tti_file_write(path, text, n));
        tti_free(text);
        cr_expect_eq(strncmp(choose_anew(d, "auto", &small), "tile ", 5), 0, "case %d believed", i);
        text = read_cache(d);
        cr_expect(strstr(text, "\nauto nt 64 64 32 tile "), "case %d not rewritten: %s", i, text);
        tti_free(text);
    }
    tti_gemm_choices_clear(&odd);
    tti_free(path);
    tti_device_close(d);
}

/* Child: waits for the start, chooses, reports the choices and how many programs it has built. */
static void child(int start, int report) {
    char line[256] = "no device", byte;
    alarm(120); /* whatever hangs ends, and the test fails */
    tti_device *d = NULL;
    tti_gemm *g = NULL;
    tti_gemm_plan a, b;
    const tti_gemm_shape other = {true, false, 70, 80, 90, TTI_F32};
    if (read(start, &byte, 1) == 0 && tti_device_open(&d, NULL) == TT_OK) {
        snprintf(line, sizeof line, "failed");
        if (tti_gemm_new(&g, d, NULL) == TT_OK && tti_gemm_choose(g, &small, &a) == TT_OK &&
            tti_gemm_choose(g, &other, &b) == TT_OK)
            snprintf(line, sizeof line, "%d %d %d %d built %d", a.provider, a.variant, b.provider,
                     b.variant, tti_programs_built(d) > 0);
    }
    ssize_t n = write(report, line, sizeof line);
    tti_gemm_free(g);
    tti_device_close(d);
    _exit(n == sizeof line ? 0 : 1);
}

/* Two processes without a cache start at once: one measures, the other reads what it found. This
 * one opens no device: OpenCL does not survive a fork. */
Test(gemm_choose, two_processes_agree) {
    int start[2], report[2];
    pid_t pid[2];
    char line[2][256];
    cr_assert(pipe(start) == 0 && pipe(report) == 0);
    for (int i = 0; i < 2; i++) {
        pid[i] = fork();
        cr_assert(pid[i] >= 0);
        if (pid[i] == 0) {
            close(start[1]);
            child(start[0], report[1]);
        }
    }
    close(start[1]); /* both go */
    close(report[1]);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(read(report[0], line[i], sizeof line[i]), (ssize_t)sizeof line[i]);
        waitpid(pid[i], NULL, 0);
    }
    if (strcmp(line[0], "no device") == 0) tti_device_close(td_open()); /* skips, or fails */
    char *one = strstr(line[0], "built"), *two = strstr(line[1], "built");
    cr_assert(one && two, "%s; %s", line[0], line[1]);
    cr_expect_eq(strncmp(line[0], line[1], (size_t)(one - line[0])), 0, "%s; %s", line[0], line[1]);
    cr_expect_neq(strcmp(one, two), 0, "both or none measured: %s; %s", line[0], line[1]);
}

Test(gemm_choose, a_cache_that_cannot_be_written_does_no_harm) {
    setenv("TT_CACHE_DIR", "/proc/nowhere", 1);
    tti_device *d = td_open();
    cr_expect_eq(strncmp(choose_anew(d, "auto", &small), "tile ", 5), 0);
    tti_device_close(d);
}

Test(gemm_choose, lack_of_memory) {
    tti_device *d = td_open();
    tti_mem_fail_at(2);
    cr_expect(is_usual(d, choose_anew(d, "auto", &small)));
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WORKSPACE), 0, "measuring left memory behind");
    char *path = cache_file(d);
    cr_expect_not(tti_file_exists(path), "a choice that was not measured was kept");
    tti_free(path);
    for (long n = 1; n < 200; n++) {
        tti_gemm *g = NULL;
        tti_gemm_plan plan;
        tti_alloc_fail_at(n);
        tt_status s = tti_gemm_new(&g, d, "tile");
        if (s == TT_OK) s = tti_gemm_choose(g, &small, &plan);
        tti_alloc_fail_at(0);
        cr_expect(s == TT_OK || s == TT_E_NOMEM, "allocation %ld: %s", n, tt_error());
        tti_gemm_free(g);
        cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WORKSPACE), 0);
    }
    tti_device_close(d);
}

Test(gemm_choose, saved_and_loaded) {
    tti_device *d = td_open();
    tti_gemm *g, *h;
    tti_gemm_plan plan, again;
    const tti_gemm_shape other = {true, false, 700, 8, 300, TTI_F32};
    char *text, *copy;
    OK(tti_gemm_new(&g, d, "auto"));
    OK(tti_gemm_choices_save(g, &text));
    cr_expect_str_eq(text, "");
    tti_free(text);
    OK(tti_gemm_choose(g, &small, &plan));
    OK(tti_gemm_choose(g, &other, &plan));
    OK(tti_gemm_choices_save(g, &text));
    OK(tti_gemm_new(&h, d, "auto"));
    OK(tti_gemm_choices_load(h, text));
    OK(tti_gemm_choices_save(h, &copy));
    cr_expect_str_eq(copy, text);
    OK(tti_gemm_choose(h, &other, &again));
    cr_expect_eq(again.variant, plan.variant);
    /* loaded choices win over the cache */
    OK(tti_gemm_choices_load(h, "auto nt 64 64 32 clblast -\n"));
    OK(tti_gemm_choose(h, &small, &again));
    cr_expect_str_eq(tti_gemm_plan_name(h, &again), "clblast");
    tti_free(text);
    tti_free(copy);
    static const char *const bad[] = {"auto nt 64 64 32 clblast",
                                      "auto nt 64 64 33 clblast -",
                                      "auto nx 64 64 32 clblast -",
                                      "auto nt 64 64 32 cublas -",
                                      "tile nt 64 64 32 clblast -",
                                      "auto nt 64 64 32 tile 9x9x9",
                                      "auto nt 64 64 32 clblast - x",
                                      "auto  nt 64 64 32 clblast -",
                                      "\n",
                                      "out",
                                      "out cublas",
                                      "auto nt 99999999999999999999999999999 64 32 clblast -"};
    for (size_t i = 0; i < TT_COUNT(bad); i++)
        td_expect_error(tti_gemm_choices_load(h, bad[i]), TT_E_FORMAT, "line 1", bad[i]);
    tti_gemm_free(h);
    tti_gemm_free(g);
    tti_device_close(d);
}

/* A device of GPU shape chooses among the kernels for GPUs. */
Test(gemm_choose, gpu_shaped_device) {
    setenv("TT_WG", "64", 1);
    tti_device *d = td_open();
    tti_gemm *g;
    tti_gemm_plan plan;
    OK(tti_gemm_new(&g, d, "tile"));
    OK(tti_gemm_choose(g, &small, &plan));
    cr_expect_eq(strncmp(tti_gemm_plan_name(g, &plan), "tile g", 6), 0, "%s",
                 tti_gemm_plan_name(g, &plan));
    const td_case t = {.s = small, .alpha = 1, .mode = BIAS};
    td_data x = td_data_new(&t, 1);
    float *c = td_run(g, d, &plan, &t, &x);
    td_near("gpu", &t, c, &x, 4e-6);
    free(c);
    td_data_free(&x);
    tti_gemm_free(g);
    setenv("TT_GEMM_TUNE", "0", 1);
    cr_expect_str_eq(choose_anew(d, "auto", &small), "clblast");
    tti_device_close(d);
}

Test(gemm_choose, tuning_reports_every_candidate) {
    tti_device *d = td_open();
    tti_gemm *g;
    char *text = NULL;
    size_t size;
    OK(tti_gemm_new(&g, d, NULL));
    FILE *f = open_memstream(&text, &size);
    OK(tti_gemm_tune(g, &small, 1, f));
    fclose(f);
    cr_expect(strstr(text, "nt 64x64x32") && strstr(text, "clblast") && strstr(text, "chosen"),
              "%s", text);
    free(text);
    tti_gemm_result r[TTI_GEMM_RESULTS];
    size_t n, chosen = 0;
    OK(tti_gemm_tune_one(g, &small, r, &n));
    for (size_t i = 0; i < n; i++) {
        chosen += r[i].chosen;
        cr_expect(r[i].gflops > 0, "%s: %s", r[i].name, r[i].why);
    }
    cr_expect_eq(chosen, 1);
    tti_gemm_free(g);
    tti_device_close(d);
}

/* ---- calls that are refused ---- */

typedef struct {
    const char *what, *part;
    tt_status status;
    void (*spoil)(tti_gemm_call *c, tti_gemm_plan *p, cl_mem *scratch);
} refusal;

#define SPOIL(name, change)                                                 \
    static void name(tti_gemm_call *c, tti_gemm_plan *p, cl_mem *scratch) { \
        (void)c, (void)p, (void)scratch;                                    \
        change;                                                             \
    }
SPOIL(short_lda, c->lda = 31)
SPOIL(short_ldc, c->ldc = 47)
SPOIL(no_b, c->b = NULL)
SPOIL(small_a, c->lda = 33)
SPOIL(small_bias, c->bias = *scratch)
SPOIL(c_is_a, c->c = c->a)
SPOIL(more_rows, c->shape.m = 41)
SPOIL(other_form, c->shape.tb = false)
SPOIL(two_sums, c->accumulate = true; c->act = TTI_ACT_RELU)
SPOIL(bad_act, c->act = (tti_act)99)
SPOIL(no_scratch, *scratch = NULL)
SPOIL(no_plan, p->variant = 1000)
SPOIL(huge, c->lda = (size_t)1 << 40)

Test(gemm_choose, refused_calls) {
    static const refusal cases[] = {
        {"short lda", "A: leading dimension 31, rows of 32", TT_E_SHAPE, short_lda},
        {"short ldc", "C: leading dimension 47", TT_E_SHAPE, short_ldc},
        {"no B", "B: no buffer", TT_E_ARG, no_b},
        {"small A", "A: buffer of", TT_E_SHAPE, small_a},
        {"small bias", "bias: buffer of 4 bytes, needs 192", TT_E_SHAPE, small_bias},
        {"C is A", "C is one of the operands", TT_E_ARG, c_is_a},
        {"more rows", "over the planned", TT_E_ARG, more_rows},
        {"other form", "over the planned", TT_E_ARG, other_form},
        {"two sums", "accumulating with", TT_E_ARG, two_sums},
        {"activation", "activation 99", TT_E_ARG, bad_act},
        {"no scratch", "workspace of 0 bytes", TT_E_ARG, no_scratch},
        {"no plan", "nobody chose", TT_E_INTERNAL, no_plan},
        {"huge", "too many", TT_E_SHAPE, huge},
    };
    tti_device *d = td_open();
    tti_gemm *g;
    cl_mem a, b, c, tiny;
    OK(tti_gemm_new(&g, d, "clblast"));
    OK(tti_mem_new(&a, d, 40 * 32 * 4, TTI_MEM_OTHER, true));
    OK(tti_mem_new(&b, d, 48 * 32 * 4, TTI_MEM_OTHER, true));
    OK(tti_mem_new(&c, d, 40 * 48 * 4, TTI_MEM_OTHER, true));
    OK(tti_mem_new(&tiny, d, 4, TTI_MEM_OTHER, true));
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_gemm_plan plan;
        OK(tti_gemm_choose(g, &small, &plan));
        tti_gemm_call call = {
            .shape = small, .lda = 32, .ldb = 32, .ldc = 48, .alpha = 1, .a = a, .b = b, .c = c};
        cl_mem scratch = tiny;
        if (cases[i].spoil != no_scratch) plan.workspace = 0;
        cases[i].spoil(&call, &plan, &scratch);
        td_expect_error(tti_gemm_run(g, &plan, &call, scratch), cases[i].status, cases[i].part,
                        cases[i].what);
    }
    tti_mem_free(d, a), tti_mem_free(d, b), tti_mem_free(d, c), tti_mem_free(d, tiny);
    tti_gemm_free(g);
    tti_device_close(d);
}

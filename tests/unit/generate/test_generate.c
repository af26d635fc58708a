// SPDX-License-Identifier: Apache-2.0
/* Greedy generation against transformers (tests/generate, written by
 * tests/ref/make_generate_cases.py): token for token, alone and in company. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/format/json.h"
#include "host/generate/generate.h"

enum { MOST = 16, NEW = 24, CAPACITY = 64 };

typedef struct {
    tti_device *d;
    tti_gemm *gemm;
    tti_model *model;
    tti_tokenizer *t;
    cJSON *expected;
    int32_t *end;
    size_t nend, n;
    tti_prompt prompt[MOST];
} bench;

static char *data(const char *name, const char *file) {
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/generate/%s%s%s", TT_TEST_DATA, name, *file ? "/" : "", file);
    return p;
}

#define OK(expr) cr_assert_eq((expr), TT_OK, "%s: %s", name, tt_error())

static int32_t *numbers(const cJSON *list, size_t *n) {
    *n = (size_t)cJSON_GetArraySize(list);
    int32_t *out = malloc((*n + 1) * sizeof *out);
    for (size_t i = 0; i < *n; i++) out[i] = cJSON_GetArrayItem(list, (int)i)->valueint;
    return out;
}

static bench open_case(const char *name, bool adapter) {
    bench b = {0};
    if (tti_device_open(&b.d, NULL) != TT_OK) {
        cr_assert(!getenv("TT_REQUIRE_DEVICE"), "no device: %s", tt_error());
        cr_skip_test("no device: %s", tt_error());
    }
    tti_model_opts o = tti_model_defaults();
    o.task = TTI_TASK_CAUSAL;
    o.frozen = true;
    if (adapter) {
        o.method = TTI_METHOD_LORA;
        o.adapter = data(name, "adapter");
    }
    OK(tti_gemm_new(&b.gemm, b.d, "tile"));
    OK(tti_model_load(&b.model, b.d, data(name, ""), &o));
    OK(tti_json_file(&b.expected, data(name, "expected.json"), TTI_JSON_MAX));
    OK(tti_end_ids_read(&b.end, &b.nend, data(name, "")));
    const cJSON *list = cJSON_GetObjectItem(b.expected, "prompts");
    b.n = (size_t)cJSON_GetArraySize(list);
    cr_assert(b.n > 0 && b.n <= MOST);
    for (size_t i = 0; i < b.n; i++) {
        b.prompt[i].ids = numbers(cJSON_GetArrayItem(list, (int)i), &b.prompt[i].n);
        b.prompt[i].max_new = NEW;
    }
    return b;
}

static void close_case(bench *b) {
    for (size_t i = 0; i < b->n; i++) free((void *)(uintptr_t)b->prompt[i].ids);
    tti_json_free(b->expected);
    tti_free(b->end);
    tti_tokenizer_free(b->t);
    tti_model_free(b->model);
    tti_gemm_free(b->gemm);
    tti_device_close(b->d);
}

static tti_generate_opts options(const bench *b) {
    tti_generate_opts o = {.sampling = tti_sampling_defaults()};
    o.end_ids = b->end;
    o.nend_ids = b->nend;
    return o;
}

static void compare(const char *name, const char *how, const bench *b, const char *key,
                    const tti_completion *out) {
    const cJSON *list = cJSON_GetObjectItem(b->expected, key);
    for (size_t i = 0; i < b->n; i++) {
        size_t n, at = 0;
        int32_t *want = numbers(cJSON_GetArrayItem(list, (int)i), &n);
        while (at < n && at < out[i].n && want[at] == out[i].ids[at]) at++;
        cr_expect(at == n && n == out[i].n,
                  "%s, %s, %s: prompt %zu: %zu tokens, not %zu; token %zu is not the same", name,
                  how, key, i, out[i].n, n, at);
        cr_expect_eq(out[i].end, n < NEW || at < n ? TTI_END_TOKEN : out[i].end, "%s, %s: end",
                     name, how);
        free(want);
    }
}

static void check(const char *name, const char *how, bench *b, const tti_engine_opts *opts) {
    static const char *const keys[] = {"greedy", "penalised"};
    tti_engine *e;
    OK(tti_engine_new(&e, b->d, b->gemm, b->model, opts));
    for (int k = 0; k < 2; k++) {
        tti_generate_opts o = options(b);
        tti_completion out[MOST] = {0};
        if (k) o.sampling.repetition = 1.3f;
        OK(tti_generate(e, b->t, &o, b->prompt, b->n, out));
        compare(name, how, b, keys[k], out);
        for (size_t i = 0; i < b->n; i++) tti_completion_free(&out[i]);
    }
    tti_engine_free(e);
}

static void check_case(const char *name, bool adapter) {
    static const struct {
        const char *how;
        tti_engine_opts o;
    } ways[] = {{"alone", {.slots = 1, .capacity = CAPACITY}},
                {"three at once", {.slots = 3, .capacity = CAPACITY}},
                {"all at once, in pieces", {.slots = 8, .capacity = CAPACITY, .rows = 13}}};
    bench b = open_case(name, adapter);
    for (size_t w = 0; w < TT_COUNT(ways); w++) check(name, ways[w].how, &b, &ways[w].o);
    close_case(&b);
}

static const char *const families[] = {"llama",  "llama-tied", "mistral", "qwen2", "qwen3",
                                       "gemma2", "gemma3",     "phi3",    "gpt2"};

Test(generate, greedy_is_that_of_transformers) {
    for (size_t i = 0; i < TT_COUNT(families); i++) check_case(families[i], false);
}

Test(generate, with_an_adapter) { check_case("lora", true); }

/* GPUs take other kernels for attention and for products of few rows. */
Test(generate, shaped_like_a_gpu) {
    setenv("TT_WG", "64", 1);
    check_case("llama", false);
    check_case("gpt2", false);
}

/* ---- text ---- */

typedef struct {
    tti_str text[MOST];
    bool done[MOST];
} shown;

static tt_status collect(void *ctx, size_t i, const char *text, size_t n, bool done) {
    shown *s = ctx;
    cr_expect(!s->done[i], "text behind the end of %zu", i);
    tti_str_add(&s->text[i], text, n);
    s->done[i] = done;
    return TT_OK;
}

static bool valid(const tti_str *s) {
    for (size_t i = 0; i < s->len;) {
        const unsigned char c = (unsigned char)s->p[i];
        const size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        if (c >= 0x80 && c < 0xC2) return false;
        for (size_t k = 1; k < n; k++)
            if (i + k >= s->len || ((unsigned char)s->p[i + k] & 0xC0) != 0x80) return false;
        i += n;
    }
    return true;
}

Test(generate, text_is_that_of_all_tokens) {
    const char *name = "text";
    bench b = open_case(name, false);
    tti_engine *e;
    shown s = {0};
    tti_completion out[MOST] = {0};
    const tti_engine_opts eo = {.slots = 2, .capacity = CAPACITY};
    OK(tti_tokenizer_load(&b.t, data(name, "")));
    OK(tti_engine_new(&e, b.d, b.gemm, b.model, &eo));
    tti_generate_opts o = options(&b);
    o.on_text = collect;
    o.ctx = &s;
    OK(tti_generate(e, b.t, &o, b.prompt, b.n, out));
    compare(name, "two at once", &b, "greedy", out);
    for (size_t i = 0; i < b.n; i++) {
        tti_str all = {0}, front = {0};
        OK(tti_tokenizer_decode(b.t, b.prompt[i].ids, b.prompt[i].n, true, &front));
        tti_str_add(&front, out[i].text.p, out[i].text.len);
        const char *want =
            cJSON_GetArrayItem(cJSON_GetObjectItem(b.expected, "text"), (int)i)->valuestring;
        tti_str_puts(&front, "");
        cr_expect_str_eq(front.p ? front.p : "", want, "prompt %zu: \"%s\"", i, front.p);
        cr_expect(s.done[i] && s.text[i].len == out[i].text.len, "prompt %zu: shown", i);
        cr_expect(valid(&s.text[i]), "prompt %zu: not UTF-8", i);
        tti_str_free(&all);
        tti_str_free(&front);
        tti_str_free(&s.text[i]);
        tti_completion_free(&out[i]);
    }
    tti_engine_free(e);
    close_case(&b);
}

/* The same seed gives the same text whatever the batch; another one another. */
Test(generate, draws_do_not_depend_on_the_batch) {
    const char *name = "llama";
    bench b = open_case(name, false);
    tti_completion out[3][MOST] = {0};
    for (size_t k = 0; k < 3; k++) {
        tti_engine *e;
        const tti_engine_opts eo = {.slots = k ? 4 : 1, .capacity = CAPACITY};
        tti_generate_opts o = options(&b);
        o.sampling.temperature = 1.5f;
        o.sampling.top_k = 20;
        o.sampling.seed = k == 2 ? 8 : 7;
        OK(tti_engine_new(&e, b.d, b.gemm, b.model, &eo));
        OK(tti_generate(e, NULL, &o, b.prompt, b.n, out[k]));
        tti_engine_free(e);
    }
    size_t other = 0;
    for (size_t i = 0; i < b.n; i++) {
        const bool same = out[0][i].n == out[1][i].n &&
                          !memcmp(out[0][i].ids, out[1][i].ids, out[0][i].n * sizeof(int32_t));
        cr_expect(same, "prompt %zu: other draws in company", i);
        other += out[0][i].n != out[2][i].n ||
                 memcmp(out[0][i].ids, out[2][i].ids, out[0][i].n * sizeof(int32_t)) != 0;
        for (int k = 0; k < 3; k++) tti_completion_free(&out[k][i]);
    }
    cr_expect(other > b.n / 2, "another seed changed %zu of %zu", other, b.n);
    close_case(&b);
}

/* A prompt that goes on where an earlier one ended reads only what is new. */
Test(generate, kept_tokens_are_not_read_again) {
    const char *name = "qwen3";
    bench b = open_case(name, false);
    tti_engine *e;
    const tti_engine_opts eo = {.slots = 1, .capacity = CAPACITY};
    tti_completion whole = {0}, rest = {0};
    tti_generate_opts o = options(&b);
    o.nend_ids = 0;
    OK(tti_engine_new(&e, b.d, b.gemm, b.model, &eo));
    tti_prompt p = {.ids = b.prompt[2].ids, .n = b.prompt[2].n, .max_new = 10};
    OK(tti_generate(e, NULL, &o, &p, 1, &whole));
    cr_expect_eq(tti_engine_kept(e, 0), p.n + 9);
    p.kept = p.n - 5;
    OK(tti_generate(e, NULL, &o, &p, 1, &rest));
    cr_expect(whole.n == 10 && rest.n == 10 && !memcmp(whole.ids, rest.ids, 10 * sizeof(int32_t)));
    tti_completion_free(&whole);
    tti_completion_free(&rest);
    tti_engine_free(e);
    close_case(&b);
}

/* ---- what cannot be done ---- */

static void expect(tt_status got, tt_status want, const char *part) {
    cr_expect_eq(got, want, "status %d, not %d: %s", got, want, tt_error());
    cr_expect(strstr(tt_error(), part), "\"%s\" lacks \"%s\"", tt_error(), part);
}

Test(generate, refusals) {
    const char *name = "llama";
    bench b = open_case(name, false);
    tti_engine *e, *none;
    tti_engine_opts eo = {.slots = 1, .capacity = 97};
    tti_completion out = {0};
    tti_generate_opts o = options(&b);
    expect(tti_engine_new(&none, b.d, b.gemm, b.model, &eo), TT_E_ARG, "context is 96");
    eo.capacity = 20;
    OK(tti_engine_new(&e, b.d, b.gemm, b.model, &eo));
    const int32_t ids[32] = {5, 6, 7}, far[] = {5, 96};
    tti_prompt p = {.ids = ids, .n = 21, .max_new = 1};
    expect(tti_generate(e, NULL, &o, &p, 1, &out), TT_E_DATA, "do not fit the context");
    p.n = 0;
    expect(tti_generate(e, NULL, &o, &p, 1, &out), TT_E_DATA, "no tokens");
    p = (tti_prompt){.ids = far, .n = 2, .max_new = 3};
    expect(tti_generate(e, NULL, &o, &p, 1, &out), TT_E_DATA, "token id 96");
    o.sampling.top_p = 1.5f;
    p.ids = ids;
    expect(tti_generate(e, NULL, &o, &p, 1, &out), TT_E_ARG, "top-p 1.5");
    o.sampling.top_p = 1;
    OK(tti_generate(e, NULL, &o, &p, 1, &out));          /* it goes on after all that */
    p = (tti_prompt){.ids = ids, .n = 20, .max_new = 1}; /* the last token need not be kept */
    OK(tti_generate(e, NULL, &o, &p, 1, &out));
    tti_completion_free(&out);
    tti_engine_free(e);
    close_case(&b);
}

Test(generate, end_tokens) {
    char dir[] = "/tmp/tt-generate-XXXXXX", path[64];
    cr_assert(mkdtemp(dir));
    static const struct {
        const char *file, *text;
        tt_status status;
        size_t n;
    } steps[] = {{NULL, NULL, TT_OK, 0},
                 {"config.json", "{\"eos_token_id\": 7}", TT_OK, 1},
                 {"generation_config.json", "{\"eos_token_id\": []}", TT_OK, 1},
                 {"generation_config.json", "{\"eos_token_id\": [3, 4]}", TT_OK, 2},
                 {"generation_config.json", "{\"eos_token_id\": [3, -1]}", TT_E_FORMAT, 0},
                 {"generation_config.json", "{\"eos_token_id\": \"x\"}", TT_E_FORMAT, 0}};
    for (size_t i = 0; i < TT_COUNT(steps); i++) {
        int32_t *ids;
        size_t n;
        if (steps[i].file) {
            snprintf(path, sizeof path, "%s/%s", dir, steps[i].file);
            cr_assert_eq(tti_file_write(path, steps[i].text, strlen(steps[i].text)), TT_OK);
        }
        cr_expect_eq(tti_end_ids_read(&ids, &n, dir), steps[i].status, "step %zu", i);
        cr_expect_eq(n, steps[i].n, "step %zu: %zu", i, n);
        tti_free(ids);
    }
    tti_dir_remove(dir);
}

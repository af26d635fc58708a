// SPDX-License-Identifier: Apache-2.0
/* fuzz_tokenizer.c - arbitrary bytes as tokenizer.json, and as text for the committed tokenizers.
 * Build with clang -fsanitize=fuzzer,address,undefined, or with -DTT_FUZZ_MAIN to run files. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(tti_tokenizer *t, const char *p, size_t n) {
    static tti_encoding e;
    tti_str text = {0};
    tti_encode_opts o = {n % 17 > 3 ? n % 17 : 0, n % 2 == 0};
    if (tti_tokenizer_encode(t, p, n, n % 3 ? NULL : p, n / 2, &o, &e) == TT_OK)
        (void)tti_tokenizer_decode(t, e.ids, e.n, n % 5 == 0, &text);
    tti_str_free(&text);
}

static void as_file(const uint8_t *data, size_t size) {
    static char path[] = "/tmp/tt-fuzz-XXXXXX";
    static int fd = -1;
    tti_tokenizer *t;
    if (fd < 0) fd = mkstemp(path);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    if (tti_tokenizer_load(&t, path) != TT_OK) return;
    use(t, (const char *)data, TT_MIN(size, (size_t)2000));
    use(t, "Hello, w\xC3\xB6rld \xE6\xBC\xA2 \xFF 12", 21);
    tti_tokenizer_free(t);
}

static void as_text(const uint8_t *data, size_t size) {
    static const char *const names[] = {"bert_lower", "roberta",   "llama3",      "llama2",
                                        "unigram",    "wordlevel", "precompiled", "clip"};
    static tti_tokenizer *t[TT_COUNT(names)];
    for (size_t i = 0; i < TT_COUNT(names); i++) {
        char path[200];
        snprintf(path, sizeof path, "tests/ref/tokenizer_cases/%s", names[i]);
        if (!t[i] && tti_tokenizer_load(&t[i], path) != TT_OK) abort();
        use(t[i], (const char *)data, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size && data[0] == '{')
        as_file(data, size);
    else
        as_text(data, size);
    return 0;
}

#ifdef TT_FUZZ_MAIN
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *data;
        size_t n;
        if (tti_file_read(&data, &n, argv[i], (size_t)1 << 26) != TT_OK) return 1;
        LLVMFuzzerTestOneInput((const uint8_t *)data, n);
        tti_free(data);
    }
    return 0;
}
#endif

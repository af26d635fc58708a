// SPDX-License-Identifier: Apache-2.0
/* fuzz_config.c - libFuzzer entry: any bytes are JSON that is printed and read again, a config.json
 * and an adapter_config.json. */
#include <stdlib.h>
#include <string.h>
#include "host/format/hf_config.h"
#include "host/format/peft.h"
#include "tests/fuzz/fuzz_file.h"

/* What is printed is JSON, and prints the same again. */
static void print_twice(const uint8_t *data, size_t size) {
    cJSON *a, *b;
    if (tti_json_parse(&a, (const char *)data, size, "fuzz") != TT_OK) return;
    tti_str first = {0}, second = {0};
    tti_json_print(&first, a);
    if (!strstr(first.p, "Infinity")) { /* of 1e999: no JSON, but what Python writes */
        if (tti_json_parse(&b, first.p, first.len, "printed") != TT_OK) abort();
        tti_json_print(&second, b);
        if (strcmp(first.p, second.p)) abort();
        tti_json_free(b);
    }
    tti_json_free(a);
    tti_str_free(&first);
    tti_str_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    print_twice(data, size);
    char path[64];
    int fd = fuzz_file(path, data, size);
    if (fd < 0) return 0;
    tti_hf_config *config;
    tti_peft_config *peft;
    (void)!tti_hf_config_read(&config, path);
    if (tti_peft_read(&peft, path) == TT_OK) {
        static const char module[] = "bert.encoder.layer.1.attention.self.query";
        bool hit;
        int r;
        double scale;
        (void)!tti_peft_matches(peft, module, false, &hit);
        (void)!tti_peft_rank(peft, module, &r, &scale);
    }
    tti_hf_config_free(config);
    tti_peft_free(peft);
    close(fd);
    return 0;
}

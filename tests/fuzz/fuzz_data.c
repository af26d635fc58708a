// SPDX-License-Identifier: Apache-2.0
/* fuzz_data.c - libFuzzer entry: two bytes choose format and options, the rest is a data file. */
#include <stdlib.h>
#include <string.h>
#include "host/data/dataset.h"
#include "tests/fuzz/fuzz_file.h"

static void use(tti_dataset *ds) {
    tti_dataset *held = NULL;
    const size_t n = tti_dataset_count(ds);
    for (size_t i = 0; i < n; i++) {
        tti_sample s = tti_dataset_at(ds, i);
        if (strlen(s.text) != s.text_len || (s.text2 && strlen(s.text2) != s.text2_len)) abort();
        if (s.label >= 0 && (size_t)s.label >= tti_dataset_classes(ds)) abort();
    }
    if (tti_dataset_split(ds, &held, n / 3 + 1, 1) == TT_OK &&
        tti_dataset_count(held) + tti_dataset_count(ds) != n)
        abort();
    tti_dataset_free(held);
    if (tti_dataset_classes(ds)) (void)tti_dataset_shots(ds, 1, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const columns[][3] = {
        {NULL, NULL, NULL}, {"1", NULL, "2"}, {"2", "1", "3"}, {"text", "a", "label"}};
    if (size < 2) return 0;
    const char *const *c = columns[data[0] >> 2 & 3];
    tti_dataset_opts o = {.data = {.format = TTI_DATA_JSONL + (data[0] & 3),
                                   .header = data[0] >> 4 & 1 ? TTI_DATA_HEADER_YES : 0,
                                   .text = c[0],
                                   .text2 = c[1],
                                   .label = c[2],
                                   .max_row = data[1] & 1 ? 64 : 0},
                          .regression = data[1] & 2,
                          .unlabelled = data[1] & 4};
    char path[64];
    const char *paths[1] = {path};
    int fd = fuzz_file(path, data + 2, size - 2);
    if (fd < 0) return 0;
    tti_dataset *ds;
    if (tti_dataset_load(&ds, paths, 1, &o) == TT_OK) use(ds);
    tti_dataset_free(ds);
    close(fd);
    return 0;
}

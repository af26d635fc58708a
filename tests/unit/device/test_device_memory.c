// SPDX-License-Identifier: Apache-2.0
/* Listing and opening a device; device memory: ledger, limits, failures, copies. */
#include <sys/stat.h>
#include "tests/unit/device/support.h"

TestSuite(device, .init = td_setup, .fini = td_teardown);

Test(device, listing_is_sound) {
    tti_device_info *list;
    size_t n;
    char note[512];
    OK(tti_device_list(&list, &n, note));
    bool usable = false;
    for (size_t i = 0; i < n; i++) {
        const tti_device_info *d = &list[i];
        cr_expect_eq(d->index, (int)i);
        cr_expect(d->name[0] && d->platform_name[0] && d->version[0], "device %zu: no names", i);
        cr_expect(strcmp(d->type, "custom") == 0 || d->compute_units > 0, "device %zu", i);
        cr_expect(d->usable == (d->why_not[0] == 0), "device %zu: %s", i, d->why_not);
        cr_expect(d->max_alloc <= d->memory, "device %zu", i);
        usable = usable || d->usable;
    }
    cr_expect(usable || note[0], "no usable device and no word on what to do");
    tti_free(list);
}

/* The loader reads this variable at the first call of this process. */
Test(device, no_driver_says_what_to_install) {
    char empty[64];
    snprintf(empty, sizeof empty, "%s/empty", td_root);
    cr_assert(mkdir(empty, 0755) == 0);
    setenv("OCL_ICD_VENDORS", empty, 1);
    tti_device_info *list;
    size_t n = 7;
    char note[512];
    OK(tti_device_list(&list, &n, note));
    cr_assert_eq(n, 0, "%zu devices without a driver", n);
    tti_free(list);
    static const char *const parts[] = {"pocl-opencl-icd", "without root", "OCL_ICD_VENDORS"};
    for (size_t i = 0; i < TT_COUNT(parts); i++)
        cr_expect(strstr(note, parts[i]), "\"%s\" lacks %s", note, parts[i]);
    tti_device *d = (tti_device *)note;
    td_expect_error(tti_device_open(&d, NULL), TT_E_DEVICE, "pocl-opencl-icd", "open");
    cr_expect_null(d, "open leaves no device behind");
}

Test(device, caps_fit_the_device_and_the_environment) {
    tti_device *d = td_open();
    const tti_caps *c = tti_device_caps(d);
    const tti_device_info *i = tti_device_get_info(d);
    cr_expect(c->wg >= 1 && (c->wg & (c->wg - 1)) == 0 && (size_t)c->wg <= i->max_wg, "%d", c->wg);
    cr_expect(!c->cpu || (c->wg == 1 && c->vw >= 8 && c->att_rows == 2 * c->vw), "%d %d", c->wg,
              c->vw);
    cr_expect(c->align >= 64 && c->align % TT_MAX(i->base_align, 1) == 0, "%zu", c->align);
    cr_expect(strstr(tti_device_key(d), i->name) && strstr(tti_device_key(d), i->driver));
    size_t memory = c->memory;
    tti_device_close(d);
    tti_device_close(NULL);

    setenv("TT_MAX_ALLOC", "1M", 1);
    setenv("TT_DEVICE_MEMORY", "3M", 1);
    setenv("TT_WG", "16", 1);
    setenv("TT_VW", "2", 1);
    d = td_open();
    c = tti_device_caps(d);
    cr_expect_eq(c->max_alloc, (size_t)1 << 20);
    cr_expect_eq(c->memory, (size_t)3 << 20);
    cr_expect(c->wg == 16 && c->vw == 2 && !c->cpu, "shaped like a GPU: %d %d", c->wg, c->vw);
    tti_device_close(d);
    setenv("TT_DEVICE_MEMORY", "9999999G", 1);
    d = td_open();
    cr_expect_eq(tti_device_caps(d)->memory, memory, "the variable only lowers");
    tti_device_close(d);

    static const char *const bad[][2] = {{"TT_MAX_ALLOC", "lots"}, {"TT_DEVICE_MEMORY", "0"},
                                         {"TT_WG", "3"},           {"TT_VW", "32"},
                                         {"TT_WG", "-4"},          {"TT_VW", "4x"}};
    for (size_t k = 0; k < TT_COUNT(bad); k++) {
        char *old = getenv(bad[k][0]) ? tti_strdup(getenv(bad[k][0])) : NULL;
        setenv(bad[k][0], bad[k][1], 1);
        td_expect_error(tti_device_open(&d, NULL), TT_E_ARG, bad[k][0], bad[k][1]);
        if (old) setenv(bad[k][0], old, 1);
        tti_free(old);
    }
}

Test(device, ledger_counts_and_refuses) {
    setenv("TT_MAX_ALLOC", "64K", 1);
    setenv("TT_DEVICE_MEMORY", "100K", 1);
    tti_device *d = td_open();
    cl_mem a = NULL, b = NULL, c = NULL;
    OK(tti_mem_new(&a, d, 65536, TTI_MEM_WEIGHTS, true));
    OK(tti_mem_new(&b, d, 1000, TTI_MEM_ACTIVATIONS, false));
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WEIGHTS), 65536);
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_ACTIVATIONS), 1000);
    cr_expect_eq(tti_mem_peak(d), 66536);
    td_expect_error(tti_mem_new(&c, d, 65537, TTI_MEM_GRADIENTS, false), TT_E_MEMORY,
                    "gradients: 65537 bytes asked for", "over the largest buffer");
    td_expect_error(tti_mem_new(&c, d, 50000, TTI_MEM_OPTIMIZER, false), TT_E_MEMORY,
                    "50000 bytes asked for with 66536 in use", "over the memory");
    td_expect_error(tti_mem_new(&c, d, SIZE_MAX, TTI_MEM_OTHER, false), TT_E_MEMORY, "asked for",
                    "absurd");
    td_expect_error(tti_mem_new(&c, d, 0, TTI_MEM_OTHER, false), TT_E_ARG, "0 bytes", "none");
    cr_expect_null(c);
    tti_mem_free(d, a);
    OK(tti_mem_new(&c, d, 50000, TTI_MEM_OPTIMIZER, false));
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WEIGHTS), 0);
    cr_expect_eq(tti_mem_peak(d), 66536, "the peak stays");
    cr_expect_eq(tti_mem_made(d), 3, "refused ones are not counted, freed ones are");
    tti_mem_free(d, c);
    tti_mem_free(d, b);
    tti_mem_free(d, NULL);
    for (int k = 0; k < TTI_MEM_CATEGORIES; k++)
        cr_expect_eq(tti_mem_allocated(d, (tti_mem_category)k), 0, "%d", k);
    tti_device_close(d);
}

Test(device, requested_failure_comes_once) {
    tti_device *d = td_open();
    cl_mem a = NULL, b = NULL;
    tti_mem_fail_at(2);
    OK(tti_mem_new(&a, d, 64, TTI_MEM_INPUTS, true));
    td_expect_error(tti_mem_new(&b, d, 64, TTI_MEM_WORKSPACE, true), TT_E_MEMORY,
                    "workspace: 64 bytes", "second");
    cr_expect_null(b);
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_WORKSPACE), 0);
    OK(tti_mem_new(&b, d, 64, TTI_MEM_WORKSPACE, true));
    tti_mem_free(d, b);
    tti_mem_free(d, a);
    tti_device_close(d);
}

Test(device, requested_failure_by_environment) {
    setenv("TT_FAIL_DEVICE_ALLOC", "1", 1);
    tti_device *d = td_open();
    cl_mem a = NULL;
    td_expect_error(tti_mem_new(&a, d, 64, TTI_MEM_OTHER, true), TT_E_MEMORY, "by request", "env");
    OK(tti_mem_new(&a, d, 64, TTI_MEM_OTHER, true));
    tti_mem_free(d, a);
    tti_device_close(d);
}

/* Each allocation of opening fails once: an error each time, nothing left behind. */
Test(device, host_memory_failure_anywhere_in_open) {
    tti_device *d = td_open();
    tti_device_close(d);
    int failed = 0;
    for (long n = 1; n < 200; n++) {
        tti_alloc_fail_at(n);
        tt_status s = tti_device_open(&d, NULL);
        tti_alloc_fail_at(0);
        cr_assert(s == TT_OK || s == TT_E_NOMEM, "allocation %ld: %d %s", n, s, tt_error());
        failed += s != TT_OK;
        if (s != TT_OK) {
            cr_expect_null(d);
            continue;
        }
        tti_device_close(d);
        break;
    }
    cr_expect(failed > 3, "only %d allocations could fail", failed);
}

static void expect_bytes(tti_device *d, cl_mem m, const unsigned char *want, size_t n,
                         const char *what) {
    unsigned char *got = malloc(n);
    cr_assert(got);
    OK(tti_mem_read(d, m, 0, got, n));
    for (size_t i = 0; i < n; i++)
        if (got[i] != want[i]) {
            cr_expect_fail("%s: byte %zu is %d, not %d", what, i, got[i], want[i]);
            break;
        }
    free(got);
}

Test(device, copies_and_zeroing_of_odd_parts) {
    tti_device *d = td_open();
    enum { N = 5003 };
    unsigned char want[N];
    cl_mem m;
    OK(tti_mem_new(&m, d, N, TTI_MEM_OTHER, true));
    memset(want, 0, N);
    expect_bytes(d, m, want, N, "zeroed");
    for (size_t i = 0; i < N; i++) want[i] = (unsigned char)(i * 7 + 1);
    OK(tti_mem_write(d, m, 0, want, N));
    static const size_t parts[][2] = {{0, 4}, {3, 1}, {4, 7}, {13, 1003}, {4096, 907}, {9, 0}};
    for (size_t i = 0; i < TT_COUNT(parts); i++) {
        OK(tti_mem_fill0(d, m, parts[i][0], parts[i][1]));
        memset(want + parts[i][0], 0, parts[i][1]);
        expect_bytes(d, m, want, N, "part");
    }
    OK(tti_mem_write(d, m, 5, "hello", 5));
    memcpy(want + 5, "hello", 5);
    expect_bytes(d, m, want, N, "written");
    unsigned char byte;
    td_expect_error(tti_mem_read(d, m, N, &byte, 1), TT_E_DEVICE, "CL_INVALID_VALUE", "beyond");
    td_expect_error(tti_mem_write(d, m, N - 1, "no", 2), TT_E_DEVICE, "CL_INVALID_VALUE", "beyond");
    tti_mem_free(d, m);
    tti_device_close(d);
}

/* The source of a write may be reused at once, however many writes are under way. */
Test(device, writes_take_their_own_copy) {
    tti_device *d = td_open();
    enum { SLOTS = 200, SIZE = 70001 };
    cl_mem m;
    OK(tti_mem_new(&m, d, (size_t)SLOTS * SIZE, TTI_MEM_OTHER, false));
    unsigned char *src = malloc(SIZE), *all = malloc((size_t)SLOTS * SIZE);
    cr_assert(src && all);
    for (size_t i = 0; i < SLOTS; i++) {
        size_t n = SIZE - i * 31;
        memset(src, (int)i, SIZE);
        OK(tti_mem_write(d, m, i * SIZE, src, n));
        memset(src, 0xEE, SIZE);
    }
    OK(tti_device_flush(d));
    OK(tti_device_finish(d));
    OK(tti_mem_read(d, m, 0, all, (size_t)SLOTS * SIZE));
    for (size_t i = 0; i < SLOTS; i++)
        for (size_t k = 0; k < SIZE - i * 31; k += 977)
            cr_assert_eq(all[i * SIZE + k], (unsigned char)i, "write %zu, byte %zu", i, k);
    free(all);
    free(src);
    tti_mem_free(d, m);
    tti_device_close(d);
}

Test(device, sub_buffers_share_the_parent) {
    tti_device *d = td_open();
    size_t align = tti_device_caps(d)->align;
    cl_mem m, part = NULL;
    OK(tti_mem_new(&m, d, align * 3, TTI_MEM_ACTIVATIONS, true));
    OK(tti_mem_sub(&part, d, m, align, align + 4));
    OK(tti_mem_write(d, part, 4, "tokens", 6));
    char text[6];
    OK(tti_mem_read(d, m, align + 4, text, 6));
    cr_expect(memcmp(text, "tokens", 6) == 0, "%.6s", text);
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_ACTIVATIONS), align * 3, "parts are not counted");
    tti_mem_release(d, part);
    tti_mem_release(d, NULL);
    part = NULL;
    td_expect_error(tti_mem_sub(&part, d, m, 4, 64), TT_E_ARG, "multiple of", "unaligned");
    td_expect_error(tti_mem_sub(&part, d, m, align, align * 3), TT_E_ARG, "the buffer has",
                    "beyond the end");
    cr_expect_null(part);
    tti_mem_free(d, m);
    tti_device_close(d);
}

static char gone[8];
static void CL_CALLBACK note_end(cl_mem m, void *name) {
    (void)m;
    gone[strlen(gone)] = *(const char *)name;
}

/* Some drivers crash where a part goes before a later one that overlaps it. */
Test(device, parts_go_in_reverse_order) {
    tti_device *d = td_open();
    const size_t align = tti_device_caps(d)->align;
    static char names[] = "abcd";
    cl_mem m, other, part[4];
    OK(tti_mem_new(&m, d, align * 4, TTI_MEM_ACTIVATIONS, true));
    OK(tti_mem_new(&other, d, align, TTI_MEM_ACTIVATIONS, true));
    OK(tti_mem_sub(&part[0], d, m, 0, align * 2));
    OK(tti_mem_sub(&part[1], d, m, align, align * 3));
    OK(tti_mem_sub(&part[2], d, other, 0, align));
    OK(tti_mem_sub(&part[3], d, m, align, align));
    for (int i = 0; i < 4; i++)
        OK(tti_cl(clSetMemObjectDestructorCallback(part[i], note_end, &names[i]), "callback"));
    tti_mem_release(d, part[1]);
    tti_mem_release(d, part[0]);
    cr_expect_str_eq(gone, "", "%s went before d", gone);
    tti_mem_release(d, part[2]); /* of another buffer */
    cr_expect_str_eq(gone, "c", "%s", gone);
    OK(tti_mem_sub(&part[2], d, m, 0, align)); /* goes before d */
    OK(tti_cl(clSetMemObjectDestructorCallback(part[2], note_end, &names[2]), "callback"));
    tti_mem_release(d, part[3]);
    cr_expect_str_eq(gone, "c", "%s", gone);
    tti_mem_release(d, part[2]);
    cr_expect_str_eq(gone, "ccdba", "%s", gone);
    tti_mem_free(d, other);
    tti_mem_free(d, m);
    tti_device_close(d);
}

// SPDX-License-Identifier: Apache-2.0
/* Which device a specification names, on made-up lists: no device needed. */
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "tests/unit/device/support.h"

TestSuite(pick, .init = td_setup, .fini = td_teardown);

#define GB ((uint64_t)1 << 30)

static const tti_device_info devices[] = {
    {.index = 0,
     .platform = 0,
     .device = 0,
     .type = "cpu",
     .platform_name = "PoCL",
     .name = "Ryzen",
     .vendor = "AMD",
     .compute_units = 16,
     .memory = 64 * GB,
     .usable = true},
    {.index = 1,
     .platform = 1,
     .device = 0,
     .type = "gpu",
     .platform_name = "Clover",
     .name = "Radeon old",
     .vendor = "AMD",
     .compute_units = 64,
     .memory = 48 * GB,
     .usable = false,
     .why_not = "its driver is older than OpenCL 1.2"},
    {.index = 2,
     .platform = 2,
     .device = 0,
     .type = "gpu",
     .platform_name = "Intel OpenCL",
     .name = "Iris",
     .vendor = "Intel",
     .compute_units = 96,
     .memory = 8 * GB,
     .usable = true},
    {.index = 3,
     .platform = 2,
     .device = 1,
     .type = "gpu",
     .platform_name = "Intel OpenCL",
     .name = "Arc A770",
     .vendor = "Intel",
     .compute_units = 512,
     .memory = 16 * GB,
     .usable = true},
    {.index = 4,
     .platform = 3,
     .device = 0,
     .type = "accelerator",
     .platform_name = "Other",
     .name = "Board",
     .vendor = "Maker",
     .compute_units = 900,
     .memory = 99 * GB,
     .usable = true},
    {.index = 5,
     .platform = 4,
     .device = 0,
     .type = "custom",
     .platform_name = "PoCL",
     .name = "Fixed",
     .vendor = "Maker",
     .compute_units = 1,
     .memory = GB,
     .usable = false,
     .why_not = "a custom device runs built-in kernels only"},
};

typedef struct {
    const char *spec, *env; /* NULL: not set */
    int want;               /* index, or -1 for an error */
    const char *part;       /* of the message */
} pick_case;

static const pick_case cases[] = {
    {NULL, NULL, 3, ""},
    {"", NULL, 3, ""},
    {NULL, "", 3, ""},
    {NULL, "cpu", 0, ""},
    {"gpu", "cpu", 3, ""}, /* the flag goes before the environment */
    {"GPU", NULL, 3, ""},
    {"accelerator", NULL, 4, ""},
    {"0", NULL, 0, ""},
    {"2", NULL, 2, ""},
    {"2:0", NULL, 2, ""},
    {"2:1", NULL, 3, ""},
    {"iris", NULL, 2, ""},
    {"INTEL", NULL, 3, ""}, /* several fit: the best of them */
    {"amd", NULL, 0, ""},   /* usable ones before a better one that is not */
    {"maker", NULL, 4, ""},
    {"1", NULL, -1, "older than OpenCL 1.2"},
    {"1:0", NULL, -1, "Radeon old is not usable"},
    {"radeon", NULL, -1, "older than OpenCL 1.2"},
    {"5", NULL, -1, "built-in kernels only"},
    {"6", NULL, -1, "device \"6\" fits none"},
    {"2:2", NULL, -1, "3 Arc A770 (gpu)"},
    {"-1", NULL, -1, "fits none"},
    {"99999999999999999999", NULL, -1, "fits none"},
    {"2:", NULL, -1, "fits none"},
    {":1", NULL, -1, "fits none"},
    {"tpu", NULL, -1, "1 Radeon old (gpu, not usable)"},
    {NULL, "tpu", -1, "(from TT_DEVICE)"},
};

static void set_env(const char *value) {
    if (value)
        setenv("TT_DEVICE", value, 1);
    else
        unsetenv("TT_DEVICE");
}

Test(pick, rules) {
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        const pick_case *c = &cases[i];
        set_env(c->env);
        size_t chosen = 77;
        tt_status s = tti_device_pick(devices, TT_COUNT(devices), c->spec, &chosen);
        if (c->want >= 0) {
            cr_expect_eq(s, TT_OK, "case %zu: %s", i, tt_error());
            cr_expect_eq(chosen, (size_t)c->want, "case %zu: chose %zu", i, chosen);
        } else {
            td_expect_error(s, TT_E_DEVICE, c->part, c->spec ? c->spec : c->env);
            cr_expect_eq(chosen, 77, "case %zu: touched its output", i);
        }
    }
}

Test(pick, order_of_types_and_nothing_usable) {
    set_env(NULL);
    size_t chosen;
    tti_device_info some[] = {devices[0], devices[4]};
    OK(tti_device_pick(some, 2, NULL, &chosen));
    cr_expect_eq(chosen, 1, "an accelerator goes before a CPU");
    OK(tti_device_pick(some, 1, NULL, &chosen));
    cr_expect_eq(chosen, 0);
    tti_device_info twins[] = {devices[0], devices[0]};
    OK(tti_device_pick(twins, 2, NULL, &chosen));
    cr_expect_eq(chosen, 0, "of equal ones the first");
    tti_device_info none[] = {devices[1], devices[5]};
    td_expect_error(tti_device_pick(none, 2, NULL, &chosen), TT_E_DEVICE, "no usable device",
                    "unusable only");
    td_expect_error(tti_device_pick(none, 0, "gpu", &chosen), TT_E_DEVICE, "no device here",
                    "empty list");
}

Test(pick, long_lists_are_cut_not_overrun) {
    set_env(NULL);
    tti_device_info many[64];
    for (size_t i = 0; i < TT_COUNT(many); i++) {
        many[i] = devices[2];
        many[i].index = (int)i;
        memset(many[i].name, 'x', sizeof many[i].name - 1);
    }
    size_t chosen;
    char spec[4000];
    memset(spec, 'q', sizeof spec - 1);
    spec[sizeof spec - 1] = 0;
    td_expect_error(tti_device_pick(many, TT_COUNT(many), spec, &chosen), TT_E_DEVICE, "fits none",
                    "long list");
}

Test(pick, bytes) {
    static const struct {
        const char *text;
        bool good;
        size_t want;
    } sizes[] = {{"0", true, 0},
                 {"1024", true, 1024},
                 {"3k", true, 3072},
                 {"512M", true, (size_t)512 << 20},
                 {"2G", true, (size_t)2 << 30},
                 {"", false, 0},
                 {"-1", false, 0},
                 {"1T", false, 0},
                 {"1.5G", false, 0},
                 {"7 M", false, 0},
                 {"G", false, 0},
                 {"99999999999999999999", false, 0},
                 {"17179869184G", false, 0}};
    for (size_t i = 0; i < TT_COUNT(sizes); i++) {
        size_t got = 0;
        bool good = tti_parse_bytes(sizes[i].text, &got);
        cr_expect_eq(good, sizes[i].good, "\"%s\"", sizes[i].text);
        if (good) cr_expect_eq(got, sizes[i].want, "\"%s\" is %zu", sizes[i].text, got);
    }
}

Test(pick, names_of_codes) {
    cr_expect_str_eq(tti_cl_name(CL_OUT_OF_RESOURCES), "CL_OUT_OF_RESOURCES");
    cr_expect_str_eq(tti_cl_name(-1001), "CL_PLATFORM_NOT_FOUND_KHR");
    cr_expect_str_eq(tti_cl_name(-777), "unknown OpenCL code");
    OK(tti_cl(CL_SUCCESS, "nothing"));
    td_expect_error(tti_cl(CL_MEM_OBJECT_ALLOCATION_FAILURE, "weights"), TT_E_MEMORY,
                    "weights: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4); use a smaller batch",
                    "memory");
    td_expect_error(tti_cl(CL_INVALID_KERNEL_ARGS, "kernel x"), TT_E_DEVICE,
                    "kernel x: CL_INVALID_KERNEL_ARGS (-52)", "device");
}

/* A user outside the device's group gets the group's name. Root may open anything, so the question
 * is asked in a child without rights. */
Test(pick, permission_names_the_group) {
    char dri[64], node[96], note[300];
    snprintf(dri, sizeof dri, "%s/dri", td_root);
    snprintf(node, sizeof node, "%s/renderD128", dri);
    cr_assert(mkdir(dri, 0755) == 0 && chmod(td_root, 0755) == 0);
    cr_expect(!tti_permission_note(note, sizeof note, td_root), "no device nodes at all");
    FILE *f = fopen(node, "w");
    cr_assert(f && fclose(f) == 0);
    cr_expect(!tti_permission_note(note, sizeof note, td_root), "a node that may be opened");
    struct group *video = getgrnam("video");
    bool given = video && chown(node, (uid_t)-1, video->gr_gid) == 0;
    cr_assert(chmod(node, 0) == 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(9);
        if (!tti_permission_note(note, sizeof note, td_root)) _exit(1);
        if (!strstr(note, "renderD128")) _exit(2);
        _exit(given && !strstr(note, "usermod -aG video") ? 3 : 0);
    }
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child ended with %d", status);
}

// SPDX-License-Identifier: Apache-2.0
/* The launcher's checks, and timing by kernel. */
#include <unistd.h>
#include "tests/unit/device/support.h"

TestSuite(launch, .init = td_setup, .fini = td_teardown);

typedef struct {
    tti_device *d;
    cl_mem x, y;
} setting;

enum { N = 1024 };

static setting begin(void) {
    setting t = {.d = td_open()};
    float ones[N];
    for (int i = 0; i < N; i++) ones[i] = 1.0f;
    OK(tti_mem_new(&t.x, t.d, sizeof ones, TTI_MEM_OTHER, false));
    OK(tti_mem_new(&t.y, t.d, sizeof ones, TTI_MEM_OTHER, true));
    OK(tti_mem_write(t.d, t.x, 0, ones, sizeof ones));
    return t;
}

static void end(setting *t) {
    tti_mem_free(t->d, t->x);
    tti_mem_free(t->d, t->y);
    tti_device_close(t->d);
}

static tti_launch scale(const setting *t) {
    tti_launch l = tti_kernel(t->d, "probe", "probe_scale", "");
    tti_arg_mem(&l, t->y);
    tti_arg_mem(&l, t->x);
    tti_arg_f32(&l, 2.0f);
    return l;
}

static tti_launch sum(const setting *t, const char *defines, size_t wg) {
    tti_launch l = tti_kernel(t->d, "probe", "probe_sum", defines);
    tti_arg_mem(&l, t->y);
    tti_arg_mem(&l, t->x);
    tti_arg_u32(&l, N);
    tti_arg_local(&l, wg * sizeof(float));
    return l;
}

Test(launch, arguments_are_checked) {
    setting t = begin();
    const size_t n = N, zero = 0;
    tti_launch l = tti_kernel(t.d, "probe", "probe_scale", "");
    tti_arg_mem(&l, t.y);
    tti_arg_mem(&l, t.x);
    td_expect_error(tti_run(&l, 1, &n, NULL), TT_E_INTERNAL,
                    "probe_scale of cl/probe.cl takes 3 arguments, 2 were set", "too few");
    l = scale(&t);
    tti_arg_i32(&l, 1);
    td_expect_error(tti_run(&l, 1, &n, NULL), TT_E_DEVICE, "argument 3", "too many");
    l = tti_kernel(t.d, "probe", "probe_scale", "");
    tti_arg_i32(&l, 5);
    tti_arg_mem(&l, t.x);
    tti_arg_f32(&l, 2.0f);
    td_expect_error(tti_run(&l, 1, &n, NULL), TT_E_DEVICE, "argument 0", "the first error stays");
    l = tti_kernel(t.d, "probe", "nothing", "");
    tti_arg_i32(&l, 5);
    td_expect_error(tti_run(&l, 1, &n, NULL), TT_E_DEVICE, "nothing", "no kernel");
    l = scale(&t);
    td_expect_error(tti_run(&l, 0, &n, NULL), TT_E_ARG, "0 dimensions", "dims");
    l = scale(&t);
    td_expect_error(tti_run(&l, 4, &n, NULL), TT_E_ARG, "4 dimensions", "dims");
    l = scale(&t);
    OK(tti_run(&l, 1, &zero, NULL));
    l = scale(&t);
    OK(tti_run_groups(&l, 0));
    l = scale(&t);
    OK(tti_run_groups(&l, 3));
    end(&t);
}

Test(launch, sizes_are_checked) {
    setting t = begin();
    const size_t n = N, seven = 7, none = 0, huge = (size_t)1 << 20;
    tti_launch l = scale(&t);
    td_expect_error(tti_run(&l, 1, &n, &seven), TT_E_ARG, "global size 1024 with local size 7",
                    "not a multiple");
    l = scale(&t);
    td_expect_error(tti_run(&l, 1, &n, &none), TT_E_ARG, "local size 0", "zero");
    l = scale(&t);
    td_expect_error(tti_run(&l, 1, &huge, &huge), TT_E_ARG, "at most", "beyond the device");
    const size_t eight = 8, four = 4;
    l = sum(&t, "-DWG=8", 8);
    td_expect_error(tti_run(&l, 1, &eight, &four), TT_E_ARG, "compiled for", "not the fixed one");
    l = sum(&t, "-DWG=8", 8);
    OK(tti_run(&l, 1, &eight, NULL)); /* takes the fixed one */
    float got;
    OK(tti_mem_read(t.d, t.y, 0, &got, sizeof got));
    cr_expect_eq(got, (float)N, "%g", (double)got);
    l = sum(&t, "-DWG=1", 1);
    size_t one = 1;
    OK(tti_run(&l, 1, &one, &one));
    OK(tti_mem_read(t.d, t.y, 0, &got, sizeof got));
    cr_expect_eq(got, (float)N, "%g", (double)got);
    end(&t);
}

/* More launches than events are kept, then the table. */
Test(launch, profile_counts_by_kernel) {
    setenv("TT_PROFILE", "1", 1);
    setting t = begin();
    cr_assert(tti_profiling(t.d));
    const size_t n = N, one = 1;
    for (int i = 0; i < 2500; i++) {
        tti_launch l = scale(&t);
        OK(tti_run(&l, 1, &n, NULL));
    }
    tti_launch l = sum(&t, "", 1);
    OK(tti_run(&l, 1, &one, NULL));
    cl_event e = NULL;
    float byte = 1;
    cr_assert_eq(
        clEnqueueWriteBuffer(tti_device_queue(t.d), t.x, CL_TRUE, 0, 4, &byte, 0, NULL, &e),
        CL_SUCCESS);
    tti_profile_take(t.d, "other", e);
    tti_profile_take(t.d, "other", NULL);
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    cr_assert(f);
    tti_profile_report(t.d, f);
    fclose(f);
    char *line = strstr(text, "probe_scale");
    long count = 0;
    cr_expect(line && sscanf(line, "probe_scale %ld", &count) == 1 && count == 2500, "%s", text);
    line = strstr(text, "\nall");
    cr_expect(line && sscanf(line, "\nall %ld", &count) == 1 && count == 2502, "%s", text);
    free(text);
    end(&t);
}

/* Every OpenCL object holds on to its context: after close ours must be the only reference. */
Test(launch, close_releases_everything) {
    setenv("TT_PROFILE", "1", 1);
    setting t = begin();
    const size_t n = N;
    cl_mem part;
    tti_launch l = scale(&t);
    OK(tti_run(&l, 1, &n, NULL));
    cl_kernel k;
    OK(tti_kernel_get(&k, t.d, "probe", "probe_sum", "-DWG=4"));
    cr_expect_eq(tti_kernel_get(&k, t.d, "broken", "broken", ""), TT_E_BUILD);
    cr_expect_eq(tti_kernel_get(&k, t.d, "probe", "nothing", ""), TT_E_DEVICE);
    OK(tti_mem_sub(&part, t.d, t.x, 0, 64));
    tti_mem_release(t.d, part);
    OK(tti_mem_fill0(t.d, t.y, 1, 7));
    cl_context context = tti_device_context(t.d);
    cr_assert_eq(clRetainContext(context), CL_SUCCESS);
    end(&t);
    cl_uint count = 0;
    /* a driver's own thread may let go of a command only after it has told that it ended */
    for (int i = 0; i < 200 && count != 1; i++) {
        if (i > 0) usleep(10000);
        cr_assert_eq(
            clGetContextInfo(context, CL_CONTEXT_REFERENCE_COUNT, sizeof count, &count, NULL),
            CL_SUCCESS);
    }
    cr_expect_eq(count, 1, "%u references to a closed device's context", count);
    clReleaseContext(context);
}

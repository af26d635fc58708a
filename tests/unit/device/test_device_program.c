// SPDX-License-Identifier: Apache-2.0
/* Programs: building, the cache in memory and on disk. */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "tests/unit/device/support.h"

TestSuite(program, .init = td_setup, .fini = td_teardown);

/* Runs probe_scale and checks what it computes; TT_OK when right. */
static tt_status scale(tti_device *d, const char *defines, float add) {
    enum { N = 300 };
    float x[N], y[N];
    cl_mem mx = NULL, my = NULL;
    tt_status s;
    for (int i = 0; i < N; i++) x[i] = (float)i;
    TT_GO(tti_mem_new(&mx, d, sizeof x, TTI_MEM_OTHER, false));
    TT_GO(tti_mem_new(&my, d, sizeof y, TTI_MEM_OTHER, true));
    TT_GO(tti_mem_write(d, mx, 0, x, sizeof x));
    tti_launch l = tti_kernel(d, "probe", "probe_scale", defines);
    tti_arg_mem(&l, my);
    tti_arg_mem(&l, mx);
    tti_arg_f32(&l, 3.0f);
    TT_GO(tti_run(&l, 1, &(size_t){N}, NULL));
    TT_GO(tti_mem_read(d, my, 0, y, sizeof y));
    for (int i = 0; i < N; i++)
        if (!(y[i] == 6.0f * (float)i + add)) s = TT_E_MISMATCH;
    if (s != TT_OK) tti_fail(s, "probe_scale computes something else");
done:
    tti_mem_free(d, mx);
    tti_mem_free(d, my);
    return s;
}

/* Opens, runs, closes; how many programs it took from source. */
static size_t built_by_a_run(const char *what) {
    tti_device *d = td_open();
    tt_status s = scale(d, "", 0.0f);
    cr_assert_eq(s, TT_OK, "%s: %s", what, tt_error());
    size_t built = tti_programs_built(d);
    tti_device_close(d);
    return built;
}

/* The only entry on disk. */
static void entry_path(char path[400]) {
    char dir[128];
    snprintf(dir, sizeof dir, "%s/programs", td_root);
    DIR *list = opendir(dir);
    cr_assert(list, "no %s", dir);
    int n = 0;
    for (struct dirent *e; (e = readdir(list));)
        if (e->d_name[0] != '.') n++, snprintf(path, 400, "%s/%.200s", dir, e->d_name);
    closedir(list);
    cr_assert_eq(n, 1, "%d entries in the cache", n);
}

Test(program, one_build_for_each_file_and_defines) {
    tti_device *d = td_open();
    cl_kernel a, b, c;
    OK(tti_kernel_get(&a, d, "probe", "probe_scale", ""));
    OK(tti_kernel_get(&b, d, "probe", "probe_scale", ""));
    OK(tti_kernel_get(&c, d, "probe", "probe_sum", ""));
    cr_expect(a == b && a != c);
    cr_expect_eq(tti_programs_built(d), 1);
    OK(tti_kernel_get(&c, d, "probe", "probe_scale", NULL));
    cr_expect(a == c, "no defines are empty defines");
    OK(tti_kernel_get(&b, d, "probe", "probe_scale", "-DADD=1.0f"));
    cr_expect(a != b);
    cr_expect_eq(tti_programs_built(d), 2);
    OK(scale(d, "", 0.0f));
    OK(scale(d, "-DADD=1.0f", 1.0f));
    cr_expect_eq(tti_programs_built(d), 2);
    tti_device_close(d);
}

Test(program, many_kernels_stay_found) {
    tti_device *d = td_open();
    OK(scale(d, "", 0.0f));
    tti_kernel_entry *first, *again;
    OK(tti_kernel_find(&first, d, "probe", "probe_scale", ""));
    cl_kernel k;
    double t = tti_now();
    for (int i = 0; i < 10000; i++) OK(tti_kernel_get(&k, d, "probe", "probe_scale", ""));
    double us = (tti_now() - t) * 1e6 / 10000;
    cr_expect(us < 20, "a look-up takes %.2f us", us);
    OK(tti_kernel_find(&again, d, "probe", "probe_scale", ""));
    cr_expect_eq(first, again);
    tti_device_close(d);
}

Test(program, a_second_run_builds_nothing) {
    cr_expect_eq(built_by_a_run("cold"), 1);
    cr_expect_eq(built_by_a_run("warm"), 0);
    setenv("TT_PROGRAM_CACHE", "0", 1);
    cr_expect_eq(built_by_a_run("switched off"), 1);
    unsetenv("TT_PROGRAM_CACHE");
    cr_expect_eq(built_by_a_run("warm again"), 0);
}

static char *slurp(const char *path, size_t *n) {
    char *data;
    OK(tti_file_read(&data, n, path, (size_t)1 << 30));
    return data;
}

static void spill(const char *path, const char *data, size_t n) {
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(data, 1, n, f) == n && fclose(f) == 0, "%s", path);
}

Test(program, damaged_entries_are_made_anew) {
    built_by_a_run("cold");
    char path[400];
    entry_path(path);
    size_t n;
    char *good = slurp(path, &n);
    cr_assert(n > 100);
    tti_hash key;
    memcpy(&key, good + 8, sizeof key);
    char *bad = malloc(n + 1);
    cr_assert(bad);
    static const char *const kinds[] = {
        "empty", "magic",     "key",      "length",    "sum",     "payload",         "last",
        "half",  "one short", "one more", "no header", "refused", "refused and long"};
    /* A whole entry with another payload needs another driver under the same version; rusticl 22.3
     * ends the process on such a binary. */
    tti_device *d = td_open();
    bool picky = strcmp(tti_device_get_info(d)->platform_name, "rusticl") == 0;
    tti_device_close(d);
    for (size_t i = 0; i < TT_COUNT(kinds) - (picky ? 2 : 0); i++) {
        size_t flip[] = {0, 3, 8, 24, 32, 48, n - 1};
        size_t length[] = {n / 2, n - 1, n + 1, 20};
        memcpy(bad, good, n);
        bad[n] = 0;
        if (i == 0)
            spill(path, bad, 0);
        else if (i < 7)
            bad[flip[i]] = (char)~bad[flip[i]], spill(path, bad, n);
        else if (i < 11)
            spill(path, bad, length[i - 7]);
        else if (i == 11)
            tti_cache_store(path, key, "not a program", 13);
        else
            memset(bad, 'x', n), tti_cache_store(path, key, bad, n);
        cr_expect_eq(built_by_a_run(kinds[i]), 1, "%s: was trusted", kinds[i]);
        cr_expect_eq(built_by_a_run(kinds[i]), 0, "%s: was not repaired", kinds[i]);
    }
    free(bad);
    tti_free(good);
}

Test(program, changed_sources_are_built_anew) {
    char dir[64], path[96];
    snprintf(dir, sizeof dir, "%s/cl", td_root);
    cr_assert(mkdir(dir, 0755) == 0);
    setenv("TT_CL_DIR", dir, 1);
    static const char *const names[] = {"probe.cl", "probe.clh"};
    for (size_t i = 0; i < TT_COUNT(names); i++) {
        size_t n;
        snprintf(path, sizeof path, TT_TEST_DATA "/unit/device/cl/%s", names[i]);
        char *text = slurp(path, &n);
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        spill(path, text, n);
        tti_free(text);
    }
    cr_expect_eq(built_by_a_run("cold"), 1);
    cr_expect_eq(built_by_a_run("warm"), 0);
    FILE *f = fopen(path, "a"); /* the included file */
    cr_assert(f && fputs("// changed\n", f) >= 0 && fclose(f) == 0);
    cr_expect_eq(built_by_a_run("changed include"), 1);
}

Test(program, no_cache_folder_is_no_obstacle) {
    char file[64];
    snprintf(file, sizeof file, "%s/file", td_root);
    spill(file, "x", 1);
    setenv("TT_CACHE_DIR", file, 1);
    cr_expect_eq(built_by_a_run("a file where the folder should be"), 1);
}

/* Both start cold at once, write the same entry, and compute the right thing. */
Test(program, two_processes_share_the_cache) {
    enum { PROCESSES = 3 };
    char pocl[64];
    snprintf(pocl, sizeof pocl, "%s/pocl", td_root); /* PoCL's own cache is cold too */
    cr_assert(mkdir(pocl, 0755) == 0);
    setenv("POCL_CACHE_DIR", pocl, 1);
    for (int round = 0; round < 2; round++) {
        pid_t pids[PROCESSES];
        for (int i = 0; i < PROCESSES; i++) {
            pids[i] = fork(); /* before this process has touched OpenCL */
            cr_assert(pids[i] >= 0);
            if (pids[i] > 0) continue;
            tti_device *d = NULL;
            tt_status s = tti_device_open(&d, NULL);
            if (s == TT_E_DEVICE) _exit(77);
            if (s == TT_OK) s = scale(d, "", 0.0f);
            bool built = s == TT_OK && tti_programs_built(d) != 0;
            tti_device_close(d);
            if (s != TT_OK) fprintf(stderr, "%s\n", tt_error());
            _exit(s != TT_OK ? 1 : round && built ? 2 : 0);
        }
        bool absent = false;
        for (int i = 0; i < PROCESSES; i++) {
            int status;
            cr_assert(waitpid(pids[i], &status, 0) == pids[i]);
            absent = absent || (WIFEXITED(status) && WEXITSTATUS(status) == 77);
            cr_expect(absent || (WIFEXITED(status) && WEXITSTATUS(status) == 0),
                      "round %d, process %d ended with %d", round, i, status);
        }
        if (absent) tti_device_close(td_open());
    }
}

Test(program, build_errors_name_file_and_line) {
    tti_device *d = td_open();
    cl_kernel k = NULL;
    tt_status s = tti_kernel_get(&k, d, "broken", "broken", "-DX=1");
    static const char *const parts[] = {"cl/broken.cl", "broken.cl:5", "no_such_word", "-DX=1"};
    for (size_t i = 0; i < TT_COUNT(parts); i++) td_expect_error(s, TT_E_BUILD, parts[i], "broken");
    cr_expect_null(strchr(tt_error(), '\n'), "one line");
    td_expect_error(tti_kernel_get(&k, d, "missing", "x", ""), TT_E_IO, "missing.cl", "no file");
    td_expect_error(tti_kernel_get(&k, d, "probe", "no_such_kernel", ""), TT_E_DEVICE,
                    "kernel no_such_kernel of cl/probe.cl", "no kernel");
    unsetenv("TT_CL_DIR");
    td_expect_error(tti_kernel_get(&k, d, "missing", "x", ""), TT_E_BUILD, "not in this library",
                    "no embedded file");
    cr_expect_null(k);
    OK(scale(d, "", 0.0f)); /* a failure leaves nothing behind that harms the next */
    tti_device_close(d);
}

Test(program, lines_are_found_without_their_marks) {
    static const char text[] =
        "#line 1 \"a.cl\"\n1\n#line 1 \"b.clh\"\n1\n2\n#line 3 \"a.cl\"\n3\n4\n";
    static const struct {
        long number, line;
        const char *file;
    } t[] = {{2, 1, "a.cl"}, {4, 1, "b.clh"}, {5, 2, "b.clh"}, {7, 3, "a.cl"}, {8, 4, "a.cl"}};
    char file[64];
    long line;
    for (size_t i = 0; i < TT_COUNT(t); i++) {
        cr_expect(tti_kernel_line(text, t[i].number, file, &line));
        cr_expect_str_eq(file, t[i].file);
        cr_expect_eq(line, t[i].line, "%ld: %ld", t[i].number, line);
    }
    cr_expect_not(tti_kernel_line(text, 9, file, &line));
    cr_expect_not(tti_kernel_line(text, 0, file, &line));
    cr_expect_not(tti_kernel_line("1\n", 1, file, &line));
}

Test(program, includes_come_once_with_line_marks) {
    tti_str s = {0};
    OK(tti_kernel_source(&s, "probe"));
    const char *first = strstr(s.p, "inline float probe_twice");
    cr_assert(first);
    cr_expect_null(strstr(first + 1, "inline float probe_twice"), "included twice");
    cr_expect(strstr(s.p, "#line 1 \"probe.clh\"\n") && strstr(s.p, "#line 4 \"probe.cl\"\n"));
    cr_expect_null(strstr(s.p, "#include"));
    tti_str_free(&s);
}

/* A file edited since this program was linked says nothing about the embedding. */
Test(program, embedded_files_are_the_files) {
    struct stat self, st;
    cr_assert_eq(stat("/proc/self/exe", &self), 0);
    for (const tti_kernel_file *f = tti_kernel_files; f->name; f++) {
        char path[256];
        size_t n;
        snprintf(path, sizeof path, TT_TEST_DATA "/../cl/%s", f->name);
        if (stat(path, &st) != 0 || st.st_mtime >= self.st_mtime) continue;
        char *text = slurp(path, &n);
        cr_expect(n == f->size && memcmp(text, f->bytes, n) == 0, "%s differs", f->name);
        tti_free(text);
    }
}

Test(program, host_memory_failure_anywhere_in_a_build) {
    tti_device *d = td_open();
    cl_kernel k;
    OK(tti_kernel_get(&k, d, "probe", "probe_scale", ""));
    int failed = 0;
    for (long n = 1; n < 200; n++) { /* warm: the program comes from the disk each time */
        tti_device_close(d);
        d = td_open();
        tti_alloc_fail_at(n);
        tt_status s = tti_kernel_get(&k, d, "probe", "probe_scale", "");
        tti_alloc_fail_at(0);
        cr_expect(s == TT_OK || s == TT_E_NOMEM, "allocation %ld: %d %s", n, s, tt_error());
        OK(scale(d, "", 0.0f));
        if (s == TT_OK && failed > 8) break;
        failed += s != TT_OK;
    }
    cr_expect(failed > 3, "only %d allocations could fail", failed);
    tti_device_close(d);
}

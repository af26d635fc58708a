// SPDX-License-Identifier: Apache-2.0
/* test_file.c - what happens to files and folders when writing fails or is cut off. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <dirent.h>
#include "host/core/file.h"
#include "host/core/file_internal.h"

static char folder[] = "/tmp/tt-file-XXXXXX";

static void set_up(void) { cr_assert(mkdtemp(folder)); }
static void tear_down(void) { tti_dir_remove(folder); }
TestSuite(file, .init = set_up, .fini = tear_down);

/* A name in the folder of this test; of the last few calls. */
static const char *in(const char *name) {
    static char names[4][256];
    static int turn;
    char *s = names[turn++ & 3];
    snprintf(s, sizeof names[0], "%s/%s", folder, name);
    return s;
}

static size_t entries(const char *path) {
    size_t n = 0;
    DIR *d = opendir(path);
    cr_assert(d);
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) n++;
    closedir(d);
    return n;
}

static void expect_text(const char *path, const char *text) {
    char *got;
    size_t n;
    cr_assert_eq(tti_file_read(&got, &n, path, 1 << 20), TT_OK, "%s", tt_error());
    cr_expect(n == strlen(text) && !strcmp(got, text), "%s holds \"%s\", not \"%s\"", path, got,
              text);
    tti_free(got);
}

static void expect_error(tt_status got, tt_status want, const char *part) {
    cr_expect_eq(got, want, "status %d, expected %d", got, want);
    cr_expect(strstr(tt_error(), part), "\"%s\" does not say \"%s\"", tt_error(), part);
}

Test(file, written_is_read) {
    cr_expect_eq(tti_file_write(in("a"), "first", 5), TT_OK);
    expect_text(in("a"), "first");
    cr_expect_eq(tti_file_write(in("a"), "", 0), TT_OK);
    expect_text(in("a"), "");
    cr_expect_eq(entries(folder), 1, "nothing is left beside the file");
    struct stat st;
    mode_t mask = umask(0);
    umask(mask);
    cr_assert(!stat(in("a"), &st));
    cr_expect_eq(st.st_mode & 0777, 0666 & ~mask, "ordinary rights, not those of a private file");
}

Test(file, map) {
    tti_map m;
    cr_assert_eq(tti_file_write(in("a"), "0123456789", 10), TT_OK);
    cr_assert_eq(tti_map_open(&m, in("a")), TT_OK);
    cr_expect(m.size == 10 && !memcmp(m.data, "0123456789", 10));
    tti_map_close(&m);
    tti_map_close(&m);
    cr_assert_eq(tti_file_write(in("e"), "", 0), TT_OK);
    cr_assert_eq(tti_map_open(&m, in("e")), TT_OK);
    cr_expect(!m.data && !m.size);
    expect_error(tti_map_open(&m, in("none")), TT_E_IO, "none: cannot open: No such file");
    expect_error(tti_map_open(&m, folder), TT_E_IO, "is a folder");
    expect_error(tti_map_open(&m, "/dev/null"), TT_E_IO, "a device or pipe");
    cr_assert(!mkfifo(in("pipe"), 0600));
    expect_error(tti_map_open(&m, in("pipe")), TT_E_IO, "a device or pipe");
}

/* A map is read piece by piece without the process growing by the file's size. */
Test(file, dropped_pages_are_not_held) {
    enum { SIZE = 32 << 20 };
    uint8_t *bytes = tti_malloc(SIZE);
    cr_assert(bytes);
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    cr_assert_eq(tti_file_write(in("large"), bytes, SIZE), TT_OK);
    tti_map m;
    size_t peak, before, after, different = 0;
    cr_assert_eq(tti_map_open(&m, in("large")), TT_OK);
    tti_process_bytes(&before, &peak);
    cr_expect(before > SIZE && peak >= before, "%zu and %zu", before, peak);
    for (int again = 0; again < 2; again++) /* what was dropped is read once more */
        for (size_t at = 0, n; at < SIZE; at += n) {
            n = TT_MIN((size_t)SIZE - at, (size_t)TTI_MAP_PIECE - 77);
            different += memcmp(bytes + at, m.data + at, n) != 0;
            tti_map_drop(&m);
        }
    tti_process_bytes(&after, &peak);
    cr_expect_eq(different, 0);
    cr_expect(after < before + SIZE / 4, "%zu bytes, %zu before", after, before);
    tti_map_close(&m);
    tti_free(bytes);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed for a while */
    tti_process_trim();
    tti_process_bytes(&after, &peak);
    cr_expect(after + SIZE / 2 < before, "%zu bytes after freeing, %zu before", after, before);
#endif
}

Test(file, read_limits) {
    char *p;
    size_t n;
    cr_assert_eq(tti_file_write(in("a"), "0123456789", 10), TT_OK);
    cr_expect_eq(tti_file_read(&p, &n, in("a"), 10), TT_OK);
    tti_free(p);
    expect_error(tti_file_read(&p, &n, in("a"), 9), TT_E_FORMAT, "larger than 9 bytes");
    cr_expect_null(p);
    expect_error(tti_file_read(&p, &n, "/dev/zero", 100000), TT_E_FORMAT, "larger than 100000");
    expect_error(tti_file_read(&p, &n, folder, 10), TT_E_IO, "cannot read: Is a directory");
    expect_error(tti_file_read(&p, &n, in("none"), 10), TT_E_IO, "cannot open: No such file");
    int ends[2];
    cr_assert(!pipe(ends));
    cr_assert_eq(write(ends[1], "from a pipe", 11), 11);
    close(ends[1]);
    cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    cr_assert_eq(tti_file_read(&p, &n, "-", 100), TT_OK);
    cr_expect_str_eq(p, "from a pipe");
    tti_free(p);
}

Test(file, failed_write_leaves_the_old) {
    cr_assert_eq(tti_file_write(in("a"), "old", 3), TT_OK);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before, small = {1000, 1000};
    cr_assert(!getrlimit(RLIMIT_FSIZE, &before));
    small.rlim_max = before.rlim_max;
    char *big = tti_calloc(100000, 1);
    cr_assert(!setrlimit(RLIMIT_FSIZE, &small));
    tt_status s = tti_file_write(in("a"), big, 100000), t = tti_file_write(in("b"), big, 100000);
    cr_assert(!setrlimit(RLIMIT_FSIZE, &before));
    expect_error(s, TT_E_IO, "File too large");
    cr_expect_eq(t, TT_E_IO);
    expect_text(in("a"), "old");
    cr_expect_eq(entries(folder), 1);
    tti_free(big);

    tti_outfile o;
    cr_assert_eq(tti_outfile_begin(&o, in("a")), TT_OK);
    cr_expect_eq(tti_outfile_write(&o, "new", 3), TT_OK);
    tti_outfile_abort(&o);
    tti_outfile_abort(&o);
    expect_text(in("a"), "old");
    cr_expect_eq(entries(folder), 1);
}

Test(file, places_that_cannot_be_written) {
    expect_error(tti_file_write(folder, "x", 1), TT_E_IO, "is a folder");
    expect_error(tti_file_write("", "x", 1), TT_E_ARG, "empty name");
    expect_error(tti_file_write(in("none/a"), "x", 1), TT_E_IO, "none/a: cannot create");
    cr_expect_eq(tti_file_write("/dev/null", "x", 1), TT_OK);
    struct stat st;
    cr_expect(!stat("/dev/null", &st) && S_ISCHR(st.st_mode), "a device is not replaced");
    expect_error(tti_file_write("/dev/full", "x", 1), TT_E_IO, "No space left");
    cr_assert_eq(tti_file_write(in("a"), "x", 1), TT_OK);
    expect_error(tti_file_write(in("a/b"), "x", 1), TT_E_IO, "a/b: cannot create");
    expect_error(tti_mkdirs(in("a/b/c")), TT_E_IO, "/a: cannot make the folder: Not a directory");
    char *aside;
    expect_error(tti_dir_begin(&aside, in("a")), TT_E_IO, "is a file");
}

Test(file, folder_that_may_not_be_made) {
    cr_assert(!chmod(folder, 0555));
    if (geteuid() == 0) cr_assert(!seteuid(65534)); /* the superuser may do anything */
    expect_error(tti_mkdirs(in("x/y")), TT_E_IO, "/x: cannot make the folder: Permission denied");
    if (getuid() == 0) cr_assert(!seteuid(0));
    cr_assert(!chmod(folder, 0755));
}

Test(file, link_stays_a_link) {
    cr_assert_eq(tti_file_write(in("real"), "old", 3), TT_OK);
    cr_assert(!symlink("real", in("link")));
    cr_assert_eq(tti_file_write(in("link"), "new", 3), TT_OK);
    expect_text(in("real"), "new");
    struct stat st;
    cr_expect(!lstat(in("link"), &st) && S_ISLNK(st.st_mode));
}

Test(file, allocation_failure) {
    cr_assert_eq(tti_file_write(in("a"), "old", 3), TT_OK);
    tt_status s = TT_E_NOMEM;
    long n = 1;
    for (; s != TT_OK && n < 100; n++) {
        tti_alloc_fail_at(n);
        s = tti_file_write(in("a"), "new", 3);
        tti_alloc_fail_at(0);
        if (s != TT_OK) expect_text(in("a"), "old");
        cr_expect(s == TT_OK || s == TT_E_NOMEM, "%s", tt_error());
    }
    cr_expect(n > 3 && n < 100);
    expect_text(in("a"), "new");
    for (s = TT_E_NOMEM, n = 1; s != TT_OK && n < 100; n++) {
        char *aside = NULL;
        tti_alloc_fail_at(n);
        s = tti_dir_begin(&aside, in("d"));
        if (s == TT_OK) s = tti_dir_commit(aside, in("d"));
        if (s == TT_OK) s = tti_dir_recover(in("d"));
        tti_alloc_fail_at(0);
        tti_dir_abort(aside);
        tti_free(aside);
        cr_expect(s == TT_OK || s == TT_E_NOMEM, "%s", tt_error());
    }
    cr_expect(n > 3 && n < 100);
    cr_expect_eq(entries(folder), 2);
}

Test(file, join) {
    static const char *cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"a", "/b", "/b"}, {"/", "b", "/b"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        char *p = tti_path_join(cases[i][0], cases[i][1]);
        cr_expect_str_eq(p, cases[i][2]);
        tti_free(p);
    }
}

static void put(const char *dir, const char *name, const char *text) {
    char *p = tti_path_join(dir, name);
    cr_assert_eq(tti_file_write(p, text, strlen(text)), TT_OK, "%s", tt_error());
    tti_free(p);
}

/* Writes out/a, out/sub/b of one version. */
static void write_version(const char *path, const char *version) {
    char *aside, *sub;
    cr_assert_eq(tti_dir_begin(&aside, path), TT_OK, "%s", tt_error());
    put(aside, "a", version);
    sub = tti_path_join(aside, "sub");
    cr_assert_eq(tti_mkdirs(sub), TT_OK);
    put(sub, "b", version);
    cr_assert_eq(tti_dir_commit(aside, path), TT_OK, "%s", tt_error());
    tti_free(sub);
    tti_free(aside);
}

Test(file, folder_replaced_whole) {
    for (int slow = 0; slow < 2; slow++) {
        tti_dir_without_exchange = slow;
        write_version(in("x/y/out/"), "one");
        expect_text(in("x/y/out/sub/b"), "one");
        put(in("x/y/out"), "stale", "of the first");
        write_version(in("x/y/out"), "two");
        expect_text(in("x/y/out/a"), "two");
        expect_text(in("x/y/out/sub/b"), "two");
        cr_expect(!tti_file_exists(in("x/y/out/stale")));
        cr_expect_eq(entries(in("x/y")), 1, "nothing is left beside it");
    }
    char *aside;
    cr_assert_eq(tti_dir_begin(&aside, in("x/y/out")), TT_OK);
    put(aside, "a", "three");
    tti_dir_abort(aside);
    tti_free(aside);
    expect_text(in("x/y/out/a"), "two");
    cr_expect_eq(entries(in("x/y")), 1);
    cr_assert(!symlink("y/out", in("x/link")));
    write_version(in("x/link"), "four");
    expect_text(in("x/y/out/a"), "four");
    cr_expect_eq(entries(in("x")), 2);
}

Test(file, recover) {
    cr_expect_eq(tti_dir_recover(in("out")), TT_OK, "nothing there is nothing to do");
    write_version(in("out.old"), "old"); /* killed between two renames */
    write_version(in("out.part-12345"), "new");
    cr_expect_eq(tti_dir_recover(in("out")), TT_OK, "%s", tt_error());
    expect_text(in("out/sub/b"), "old");
    cr_expect_eq(entries(folder), 1);
    write_version(in("out.old"), "older"); /* killed before the old folder was gone */
    write_version(in("outer.old"), "not ours");
    write_version(in("out.partial"), "not ours");
    cr_expect_eq(tti_dir_recover(in("out")), TT_OK, "%s", tt_error());
    expect_text(in("out/sub/b"), "old");
    cr_expect_eq(entries(folder), 3);
}

/* At whatever moment the writer is killed, both files are of one version, and nothing is left. */
Test(file, killed_writer) {
    for (int round = 0; round < 40; round++) {
        tti_dir_without_exchange = round & 1;
        write_version(in("out"), "0");
        pid_t child = fork();
        cr_assert(child >= 0);
        if (!child) {
            char version[16];
            for (int v = 1;; v++) {
                snprintf(version, sizeof version, "%d", v);
                write_version(in("out"), version);
            }
        }
        usleep((useconds_t)(500 + round * 137));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        cr_assert_eq(tti_dir_recover(in("out")), TT_OK, "%s", tt_error());
        char *a, *b;
        cr_assert_eq(tti_file_read(&a, NULL, in("out/a"), 100), TT_OK, "%s", tt_error());
        cr_assert_eq(tti_file_read(&b, NULL, in("out/sub/b"), 100), TT_OK, "%s", tt_error());
        cr_expect_str_eq(a, b);
        cr_expect_eq(entries(folder), 1);
        tti_free(a);
        tti_free(b);
    }
}

Test(file, cache_folder) {
    char *p;
    unsetenv("TT_CACHE_DIR");
    setenv("XDG_CACHE_HOME", in("xdg"), 1);
    cr_assert_eq(tti_cache_dir(&p), TT_OK, "%s", tt_error());
    cr_expect_str_eq(p, in("xdg/tokentune"));
    struct stat st;
    cr_expect(!stat(p, &st) && (st.st_mode & 0777) == 0700);
    tti_free(p);
    setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored, says its specification */
    setenv("HOME", in("home"), 1);
    cr_assert_eq(tti_cache_dir(&p), TT_OK);
    cr_expect_str_eq(p, in("home/.cache/tokentune"));
    tti_free(p);
    setenv("HOME", "/dev/null", 1);
    cr_assert_eq(tti_cache_dir(&p), TT_OK, "%s", tt_error());
    cr_expect(strstr(p, "/tmp/tokentune-") == p, "%s", p);
    tti_free(p);
    setenv("TT_CACHE_DIR", "/dev/null/x", 1);
    expect_error(tti_cache_dir(&p), TT_E_IO, "/dev/null");
    setenv("TT_CACHE_DIR", in("own"), 1);
    cr_assert_eq(tti_cache_dir(&p), TT_OK);
    cr_expect_str_eq(p, in("own"));
    tti_free(p);
}

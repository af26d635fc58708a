// SPDX-License-Identifier: Apache-2.0
/* file.c - single files: mapped, read whole, written atomically. Folders are in folder.c. */
#include "host/core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "host/core/file_internal.h"

static tt_status io_fail(const char *path, const char *what) {
    return tti_fail(TT_E_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

tt_status tti_map_open(tti_map *out, const char *path) {
    *out = (tti_map){0};
    /* not blocking: opening a pipe by mistake must not hang */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return io_fail(path, "open");
    struct stat st;
    tt_status s = TT_OK;
    if (fstat(fd, &st)) {
        s = io_fail(path, "examine");
    } else if (!S_ISREG(st.st_mode)) {
        s = tti_fail(TT_E_IO, "%s: is %s, not a regular file", path,
                     S_ISDIR(st.st_mode) ? "a folder" : "a device or pipe");
    } else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            s = io_fail(path, "map");
        else
            *out = (tti_map){p, (size_t)st.st_size};
    }
    close(fd);
    return s;
}

void tti_map_close(tti_map *m) {
    if (m->data) munmap((void *)(uintptr_t)m->data, m->size);
    *m = (tti_map){0};
}

/* All of them, not those of a part: a read at the edge of a part brings back up to 2 MiB around it.
 * It is a hint: where it fails the pages merely stay. */
void tti_map_drop(const tti_map *m) {
    if (m->data) (void)madvise((void *)(uintptr_t)m->data, m->size, MADV_DONTNEED);
}

static tt_status too_large(const char *name, size_t max) {
    return tti_fail(TT_E_FORMAT, "%s: larger than %zu bytes, the most that is read here", name,
                    max);
}

static tt_status read_fd(char **out, size_t *size, int fd, const char *name, size_t max) {
    tti_str text = {0};
    struct stat st;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0) {
        if ((uint64_t)st.st_size > max) return too_large(name, max);
        TT_TRY(TTI_GROW(text.p, text.cap, (size_t)st.st_size + 2));
    }
    for (;;) { /* to the end, not to st_size: a pipe or /proc file does not know its size */
        if (text.cap - text.len < 2) text.status = TTI_GROW(text.p, text.cap, text.len + 65536);
        if (text.status != TT_OK) goto failed;
        ssize_t n = read(fd, text.p + text.len, TT_MIN(text.cap - text.len - 1, (size_t)1 << 30));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            text.status = io_fail(name, "read");
            goto failed;
        }
        if (n == 0) break;
        text.len += (size_t)n;
        if (text.len > max) {
            text.status = too_large(name, max);
            goto failed;
        }
    }
    text.p[text.len] = 0;
    *out = text.p;
    if (size) *size = text.len;
    return TT_OK;
failed:;
    tt_status s = text.status;
    tti_str_free(&text);
    return s;
}

tt_status tti_file_read(char **out, size_t *size, const char *path, size_t max) {
    *out = NULL;
    if (size) *size = 0;
    if (!strcmp(path, "-")) return read_fd(out, size, STDIN_FILENO, "standard input", max);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_fail(path, "open");
    tt_status s = read_fd(out, size, fd, path, max);
    close(fd);
    return s;
}

bool tti_file_exists(const char *path) {
    struct stat st;
    return !stat(path, &st) && !S_ISDIR(st.st_mode);
}

bool tti_dir_exists(const char *path) {
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

tt_status tti_file_write(const char *path, const void *data, size_t size) {
    tti_outfile o;
    TT_TRY(tti_outfile_begin(&o, path));
    tt_status s = tti_outfile_write(&o, data, size);
    if (s == TT_OK) return tti_outfile_commit(&o);
    tti_outfile_abort(&o);
    return s;
}

char *tti_path_resolve(const char *path) {
    char *real = realpath(path, NULL);
    char *copy = tti_strdup(real ? real : path);
    free(real);
    if (!copy) return NULL;
    size_t n = strlen(copy);
    while (n > 1 && copy[n - 1] == '/') copy[--n] = 0;
    return copy;
}

tt_status tti_sync_path(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_fail(path, "open");
    tt_status s = TT_OK;
    /* EINVAL: a file system that has nothing to sync for this kind of entry */
    if (fsync(fd) && errno != EINVAL) s = io_fail(path, "write to the disk");
    close(fd);
    return s;
}

tt_status tti_sync_parent(const char *path) {
    char folder[PATH_MAX]; /* not from the heap: after a rename this must not run out of memory */
    const char *slash = strrchr(path, '/');
    if (!slash) return tti_sync_path(".");
    const size_t n = TT_MAX((size_t)(slash - path), (size_t)1);
    if (n >= sizeof folder) return tti_fail(TT_E_IO, "%s: name too long", path);
    memcpy(folder, path, n);
    folder[n] = 0;
    return tti_sync_path(folder);
}

/* Opens a file of a name that nobody uses, beside the target so that rename stays on one disk. */
static tt_status open_aside(tti_outfile *o, const char *path) {
    static atomic_uint counter;
    size_t room = strlen(o->path) + 48;
    o->aside = tti_malloc(room);
    if (!o->aside) return TT_E_NOMEM;
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < 1000; tries++) {
        snprintf(o->aside, room, "%s.part-%ld-%u", o->path, (long)getpid(),
                 atomic_fetch_add(&counter, 1));
        fd = open(o->aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd < 0) {
        tt_status s = io_fail(path, "create");
        tti_free(o->aside);
        o->aside = NULL;
        return s;
    }
    o->f = fdopen(fd, "wb");
    if (o->f) return TT_OK;
    close(fd);
    return io_fail(path, "create");
}

tt_status tti_outfile_begin(tti_outfile *o, const char *path) {
    *o = (tti_outfile){0};
    if (!*path) return tti_fail(TT_E_ARG, "a file to write has an empty name");
    struct stat st;
    bool exists = !stat(path, &st);
    if (exists && S_ISDIR(st.st_mode))
        return tti_fail(TT_E_IO, "%s: is a folder, so no file can be written there", path);
    tt_status s = TT_OK;
    /* a link stays a link: the file that it names is replaced */
    o->path = tti_path_resolve(path);
    if (!o->path) return TT_E_NOMEM;
    if (exists && !S_ISREG(st.st_mode)) { /* a device or pipe is written to, never replaced */
        o->f = fopen(path, "wbe");
        if (!o->f) s = io_fail(path, "open");
    } else {
        s = open_aside(o, path);
    }
    if (s != TT_OK) tti_outfile_abort(o);
    return s;
}

tt_status tti_outfile_write(tti_outfile *o, const void *data, size_t size) {
    if (!size || fwrite(data, 1, size, o->f) == size) return TT_OK;
    return io_fail(o->path, "write");
}

tt_status tti_outfile_commit(tti_outfile *o) {
    tt_status s = TT_OK;
    if (ferror(o->f) || fflush(o->f))
        s = io_fail(o->path, "write");
    else if (o->aside && fsync(fileno(o->f)) && errno != EINVAL)
        s = io_fail(o->path, "write to the disk");
    FILE *f = o->f;
    o->f = NULL;
    if (fclose(f) && s == TT_OK) s = io_fail(o->path, "write");
    if (s == TT_OK && o->aside) {
        if (rename(o->aside, o->path)) {
            s = io_fail(o->path, "replace");
        } else {
            tti_free(o->aside);
            o->aside = NULL;
            s = tti_sync_parent(o->path);
        }
    }
    tti_outfile_abort(o);
    return s;
}

void tti_outfile_abort(tti_outfile *o) {
    if (o->f) fclose(o->f);
    if (o->aside) unlink(o->aside);
    tti_free(o->aside);
    tti_free(o->path);
    *o = (tti_outfile){0};
}

char *tti_path_join(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (!n || *b == '/') return tti_strdup(b);
    char *p = tti_malloc(n + m + 2);
    if (!p) return NULL;
    memcpy(p, a, n);
    if (p[n - 1] != '/') p[n++] = '/';
    memcpy(p + n, b, m + 1);
    return p;
}

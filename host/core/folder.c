// SPDX-License-Identifier: Apache-2.0
/* folder.c - folders that appear complete or not at all, and the cache folder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/core/file_internal.h"

bool tti_dir_without_exchange = false;

static tt_status io_fail(const char *path, const char *what) {
    return tti_fail(TT_E_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static tt_status make_dirs(const char *path, mode_t mode) {
    if (!*path) return tti_fail(TT_E_ARG, "a folder to make has an empty name");
    char *p = tti_strdup(path);
    if (!p) return TT_E_NOMEM;
    tt_status s = TT_OK;
    for (char *at = p + 1; s == TT_OK; at++) {
        if (*at != '/' && *at) continue;
        const char kept = *at;
        *at = 0;
        /* some systems say EROFS or EACCES, not EEXIST, for a folder that is there */
        const int failed = mkdir(p, mode) ? errno : 0;
        if (failed && !tti_dir_exists(p)) {
            errno = failed == EEXIST ? ENOTDIR : failed;
            s = io_fail(p, "make the folder");
        }
        *at = kept;
        if (!kept) break;
    }
    tti_free(p);
    return s;
}

tt_status tti_mkdirs(const char *path) { return make_dirs(path, 0777); }

static tt_status make_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return TT_OK;
    char *folder = tti_strndup(path, (size_t)(slash - path));
    if (!folder) return TT_E_NOMEM;
    tt_status s = tti_mkdirs(folder);
    tti_free(folder);
    return s;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path) && errno != ENOENT ? errno : 0;
}

tt_status tti_dir_remove(const char *path) {
    struct stat st;
    if (lstat(path, &st)) return errno == ENOENT ? TT_OK : io_fail(path, "examine");
    /* FTW_PHYS: a link is removed, what it names stays */
    int failed = nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (!failed) return TT_OK;
    if (failed > 0) errno = failed;
    return io_fail(path, "remove the folder");
}

static int sync_entry(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)type, (void)at;
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) return 0;
    return tti_sync_path(path) == TT_OK ? 0 : 1;
}

/* A name beside a folder, "<path><suffix>"; gives it. */
static char *beside(const char *path, const char *suffix) {
    tti_str name = {0};
    tti_str_puts(&name, path);
    tti_str_puts(&name, suffix);
    if (name.status != TT_OK) tti_str_free(&name);
    return name.p;
}

/* "<base>.old" and "<base>.part-N"; dead: of processes that are gone alone. */
static bool is_leftover(const char *entry, const char *base, bool dead) {
    const size_t n = strlen(base);
    if (strncmp(entry, base, n)) return false;
    if (!strcmp(entry + n, ".old")) return !dead;
    if (strncmp(entry + n, ".part-", 6) || !entry[n + 6]) return false;
    if (!dead) return strspn(entry + n + 6, "0123456789-") == strlen(entry + n + 6);
    char *end;
    const long pid = strtol(entry + n + 6, &end, 10);
    return !*end && pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH;
}

/* What was left beside the folder `path`. */
static tt_status remove_leftovers(const char *path, bool dead) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *folder = slash ? tti_strndup(path, (size_t)(slash - path) + 1) : tti_strdup(".");
    if (!folder) return TT_E_NOMEM;
    DIR *d = opendir(folder);
    tt_status s = d || dead || errno == ENOENT ? TT_OK : io_fail(folder, "read the folder");
    for (struct dirent *e; d && s == TT_OK && (e = readdir(d));) {
        if (!is_leftover(e->d_name, base, dead)) continue;
        char *left = tti_path_join(folder, e->d_name);
        s = left ? tti_dir_remove(left) : TT_E_NOMEM;
        tti_free(left);
    }
    if (d) closedir(d);
    tti_free(folder);
    return s;
}

tt_status tti_dir_begin(char **aside, const char *path) {
    *aside = NULL;
    if (!*path) return tti_fail(TT_E_ARG, "a folder to write has an empty name");
    if (tti_file_exists(path))
        return tti_fail(TT_E_IO, "%s: is a file, so no folder can be written there", path);
    tt_status s = TT_OK;
    char suffix[32], *target = tti_path_resolve(path), *name = NULL;
    snprintf(suffix, sizeof suffix, ".part-%ld", (long)getpid());
    if (target) name = beside(target, suffix);
    if (!name) {
        s = TT_E_NOMEM;
        goto done;
    }
    TT_GO(make_parent(target));
    TT_GO(remove_leftovers(target, true));
    TT_GO(tti_dir_remove(name)); /* left by a killed process that had the same number */
    if (mkdir(name, 0777)) s = io_fail(name, "make the folder");
done:
    tti_free(target);
    if (s == TT_OK)
        *aside = name;
    else
        tti_free(name);
    return s;
}

/* Where the system cannot exchange two names at once: between the two renames only "<path>.old"
 * exists, which tti_dir_recover puts back. */
static tt_status replace_in_two_steps(const char *aside, const char *path) {
    char *old = beside(path, ".old");
    if (!old) return TT_E_NOMEM;
    tt_status s = tti_dir_remove(old);
    if (s == TT_OK && rename(path, old)) s = io_fail(path, "move aside");
    if (s == TT_OK && rename(aside, path)) {
        s = io_fail(path, "replace");
        (void)!rename(old, path); /* the first failure is the one to report */
    }
    if (s == TT_OK) s = tti_sync_parent(path);
    if (s == TT_OK) s = tti_dir_remove(old);
    tti_free(old);
    return s;
}

static tt_status put_in_place(const char *aside, const char *path) {
    struct stat st;
    if (lstat(path, &st)) {
        if (errno != ENOENT) return io_fail(path, "examine");
        if (rename(aside, path)) return io_fail(path, "create");
        return tti_sync_parent(path);
    }
    if (!S_ISDIR(st.st_mode))
        return tti_fail(TT_E_IO, "%s: is a file, so no folder can be written there", path);
    if (!tti_dir_without_exchange) {
        if (!renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_EXCHANGE)) {
            TT_TRY(tti_sync_parent(path));
            return tti_dir_remove(aside); /* now the old folder */
        }
        if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return io_fail(path, "replace");
    }
    return replace_in_two_steps(aside, path);
}

tt_status tti_dir_commit(const char *aside, const char *path) {
    int failed = nftw(aside, sync_entry, 16, FTW_PHYS);
    if (failed < 0) return io_fail(aside, "read the folder");
    if (failed) return TT_E_IO; /* sync_entry has set the message */
    char *target = tti_path_resolve(path);
    if (!target) return TT_E_NOMEM;
    tt_status s = put_in_place(aside, target);
    tti_free(target);
    return s;
}

void tti_dir_abort(const char *aside) {
    if (aside) (void)tti_dir_remove(aside);
}

tt_status tti_dir_recover(const char *path) {
    tt_status s = TT_OK;
    char *target = tti_path_resolve(path), *old = target ? beside(target, ".old") : NULL;
    struct stat st;
    if (!old) s = TT_E_NOMEM;
    if (s == TT_OK && lstat(target, &st) && tti_dir_exists(old)) {
        if (rename(old, target))
            s = io_fail(target, "put the earlier folder back");
        else
            s = tti_sync_parent(target);
    }
    if (s == TT_OK) s = remove_leftovers(target, false);
    tti_free(target);
    tti_free(old);
    return s;
}

/* A folder below /tmp has a name that anybody can take first: it must be ours alone. */
static tt_status own_tmp_dir(const char *path) {
    struct stat st;
    if (mkdir(path, 0700) && errno != EEXIST) return io_fail(path, "make the folder");
    if (lstat(path, &st)) return io_fail(path, "examine");
    if (!S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 077))
        return tti_fail(TT_E_IO,
                        "%s: belongs to someone else or is open to others; set TT_CACHE_DIR "
                        "to a folder of your own",
                        path);
    return TT_OK;
}

/* A folder that we may make and write into. Takes path, gives it on success. */
static tt_status usable_dir(char **out, char *path) {
    if (!path) return TT_E_NOMEM;
    tt_status s = make_dirs(path, 0700);
    if (s == TT_OK && access(path, W_OK | X_OK)) s = io_fail(path, "write into the folder");
    if (s == TT_OK)
        *out = path;
    else
        tti_free(path);
    return s;
}

tt_status tti_cache_dir(char **out) {
    *out = NULL;
    const char *own = getenv("TT_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    /* a folder asked for by name is never passed over; the others are where they can be */
    if (own && *own) return usable_dir(out, tti_strdup(own));
    tt_status s = TT_E_IO;
    if (xdg && *xdg == '/')
        s = usable_dir(out, tti_path_join(xdg, "tokentune"));
    else if (home && *home == '/')
        s = usable_dir(out, tti_path_join(home, ".cache/tokentune"));
    if (s == TT_OK || s == TT_E_NOMEM) return s;
    char name[64];
    snprintf(name, sizeof name, "/tmp/tokentune-%ld", (long)getuid());
    TT_TRY(own_tmp_dir(name));
    *out = tti_strdup(name);
    return *out ? TT_OK : TT_E_NOMEM;
}

/* Faults of the system, for a server that is started with LD_PRELOAD.
 *
 * Only files in SWITCHBOARD_FAULTS_FOLDER are affected, and the wall clock.
 * SWITCHBOARD_FAULTS_CONTROL names a file that is mapped into memory: the struct control below.
 * The test writes to it while the server runs.
 *
 * If SWITCHBOARD_FAULTS_DURABLE is set, each successful sync of a file copies the file to that
 * folder. So the folder holds the files as a power cut leaves them if it loses all unsynced writes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct control {
    volatile int64_t clock_seconds; /* is added to the wall clock */
    volatile int64_t failing_syncs; /* so many syncs fail with EIO; -1: all */
    volatile int64_t write_error;   /* each write fails with this errno; 0: none */
    volatile int64_t syncs;         /* counts the syncs that succeeded */
    volatile int64_t failures;      /* counts the syncs and writes that failed */
    volatile int64_t spares_log;    /* syncs of the write-ahead log do not fail */
};

static struct control *control;
static const char *folder;
static const char *durable;

/* Whether this thread runs the shim itself: its own system calls are not affected. */
static __thread int inside;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void fail(const char *what) {
    fprintf(stderr, "faults/shim.c: %s: %s\n", what, strerror(errno));
    abort();
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("SWITCHBOARD_FAULTS_CONTROL");
    if (!path) return;
    inside = 1;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) fail(path);
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) fail(path);
    close(fd);
    folder = getenv("SWITCHBOARD_FAULTS_FOLDER");
    durable = getenv("SWITCHBOARD_FAULTS_DURABLE");
    control = mapped;
    inside = 0;
}

/* The name of an open file in the folder. NULL if it is another file, or a socket. */
static const char *name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    size_t prefix = strlen(folder);
    if (length < 0) return NULL;
    path[length] = 0;
    if (strncmp(path, folder, prefix) || path[prefix] != '/') return NULL;
    return path + prefix + 1;
}

/* Copies a file that was just synced. It reads from the same descriptor: to open and close the file
 * again would release the locks that SQLite has on it. */
static void keep(int fd, const char *name) {
    static __thread char buffer[1 << 16];
    char target[PATH_MAX], part[PATH_MAX];
    snprintf(target, sizeof target, "%s/%s", durable, name);
    snprintf(part, sizeof part, "%s/.part-%s", durable, name);
    int copy = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (copy < 0) fail(part);
    off_t at = 0;
    for (ssize_t length; (length = pread(fd, buffer, sizeof buffer, at)) != 0; at += length) {
        if (length < 0 || write(copy, buffer, length) != length) fail(part);
    }
    close(copy);
    if (rename(part, target)) fail(target);
}

/* Whether this sync must fail. */
static int sync_fails(const char *name) {
    int64_t left = control->failing_syncs;
    size_t length = strlen(name);
    if (control->spares_log && length > 4 && !strcmp(name + length - 4, "-wal")) return 0;
    if (left > 0) __sync_fetch_and_sub(&control->failing_syncs, 1);
    return left != 0;
}

static int synced(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    int error = errno;
    const char *name = control && !inside ? name_of(fd, path) : NULL;
    errno = error;
    if (!name) return real(fd);
    if (sync_fails(name)) {
        __sync_fetch_and_add(&control->failures, 1);
        errno = EIO;
        return -1;
    }
    int result = real(fd);
    if (result == 0) {
        __sync_fetch_and_add(&control->syncs, 1);
        inside = 1;
        if (durable) keep(fd, name);
        inside = 0;
    }
    return result;
}

int fsync(int fd) {
    REAL(fsync);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return synced(fd, real);
}

/* Whether this write must fail. Sets errno. */
static int write_fails(int fd) {
    char path[PATH_MAX];
    /* Read once: the scenario may end the fault at any moment. */
    int64_t wanted = control && !inside ? control->write_error : 0;
    if (!wanted) return 0;
    int error = errno, fails = name_of(fd, path) != NULL;
    errno = fails ? (int)wanted : error;
    if (fails) __sync_fetch_and_add(&control->failures, 1);
    return fails;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write);
    return write_fails(fd) ? -1 : real(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    REAL(pwrite);
    return write_fails(fd) ? -1 : real(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    REAL(pwrite64);
    return write_fails(fd) ? -1 : real(fd, bytes, length, at);
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    REAL(clock_gettime);
    int result = real(clock, found);
    int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    if (result == 0 && is_wall && control) found->tv_sec += control->clock_seconds;
    return result;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    REAL(gettimeofday);
    int result = real(found, zone);
    if (result == 0 && control) found->tv_sec += control->clock_seconds;
    return result;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}

/*
 * Stands between a process and the files of one directory: writes down what is done to them, and fails what it is told.
 *
 * Preloaded with LD_PRELOAD. Where and what to do is in the environment:
 *
 *   FAULTS_DIRECTORY   the directory; everything else passes through untouched
 *   FAULTS_JOURNAL     a file to which every change of the directory is appended, with its bytes; see `disk.py`
 *   FAULTS_CONTROL     a file of one `struct control`, shared with the test, which may change it at any time
 *
 * A record of the journal is appended once its call has returned, and before the process goes on: what the process does
 * because of a call stands behind it. A sync has two records; what stands before the first one is what it made durable.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, ADOPT, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, SYNC_FAILED, RENAME, UNLINK, LINK };
enum { ON_WRITE = 1, ON_SYNC, ON_READ, ON_CREATE };
enum { LOG = 1, TABLE = 2, OTHER = 4, DIRECTORY = 8 };
enum { FDS = 65536, INODES = 65536 };

struct control {
    int32_t operation; /* which kind of call fails; 0: none */
    int32_t kinds;     /* of which kinds of files, or-ed */
    int32_t error;     /* with which errno */
    int32_t after;     /* so many such calls go well first */
    int32_t hits;      /* how many have failed */
    int32_t syncs;     /* how many syncs there were */
    int32_t delay;     /* milliseconds that a sync takes, or until this becomes less */
    int32_t delayed;   /* of which kinds of files, or-ed */
    int64_t room;      /* bytes that statvfs says are free; -1: what there are */
};

struct record {
    uint32_t kind, file;
    uint64_t offset, length;
};

static struct file {
    uint32_t id;
    uint32_t kind;
} files[FDS];

static struct {
    ino_t inode;
    uint32_t id;
} known[INODES];

static char directory[4096];
static size_t directory_length;
static int journal = -1;
static uint32_t last_id, last_sync;
static struct control nothing = {.room = -1}, *control = &nothing;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
    const char *where = getenv("FAULTS_DIRECTORY"), *log = getenv("FAULTS_JOURNAL"), *shared = getenv("FAULTS_CONTROL");
    if (!where || !log || !shared) return;
    int fd = open(shared, O_RDWR);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) abort();
    close(fd);
    control = map;
    journal = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (journal < 0) abort();
    directory_length = (size_t)snprintf(directory, sizeof directory, "%s/", where);
}

/* The name of a path below the directory, "" for the directory itself, NULL for any other path. */
static const char *name_of(const char *path)
{
    if (!directory_length) return NULL;
    if (!strncmp(path, directory, directory_length)) {
        path += directory_length;
        while (*path == '/') path++;
        return path;
    }
    return strlen(path) == directory_length - 1 && !strncmp(path, directory, directory_length - 1) ? "" : NULL;
}

static uint32_t kind_of(const char *name)
{
    size_t length = strlen(name);
    if (!length) return DIRECTORY;
    if (length > 4 && !strcmp(name + length - 4, ".log")) return LOG;
    if (length > 4 && !strcmp(name + length - 4, ".sst")) return TABLE;
    return OTHER;
}

static void note(uint32_t kind, uint32_t file, uint64_t offset, const void *data, size_t length)
{
    REAL(writev);
    struct record record = {kind, file, offset, length};
    struct iovec parts[2] = {{&record, sizeof record}, {(void *)data, length}};
    pthread_mutex_lock(&lock);
    if (real(journal, parts, 2) != (ssize_t)(sizeof record + length)) abort();
    pthread_mutex_unlock(&lock);
}

static int fails(int operation, uint32_t kind)
{
    if (control->operation != operation || !(control->kinds & (int32_t)kind)) return 0;
    if (__atomic_sub_fetch(&control->after, 1, __ATOMIC_SEQ_CST) >= 0) return 0;
    __atomic_add_fetch(&control->hits, 1, __ATOMIC_SEQ_CST);
    errno = control->error;
    return 1;
}

static struct file *file_of(int fd)
{
    return fd >= 0 && fd < FDS && files[fd].kind ? &files[fd] : NULL;
}

/* The number of a file by its inode, which is given away again once the file is gone: `fresh` says that this is new. */
static uint32_t number(int fd, const char *name, int fresh)
{
    struct stat status;
    if (fstat(fd, &status)) return 0;
    pthread_mutex_lock(&lock);
    size_t at = status.st_ino % INODES;
    while (known[at].inode && known[at].inode != status.st_ino) at = (at + 1) % INODES;
    int adopted = !known[at].inode && !fresh;
    if (!known[at].inode || fresh) {
        known[at].inode = status.st_ino;
        known[at].id = ++last_id;
    }
    uint32_t id = known[at].id;
    pthread_mutex_unlock(&lock);
    if (fresh || adopted) note(fresh ? CREATE : ADOPT, id, 0, name, strlen(name));
    return id;
}

static int (*real_open)(const char *, int, ...);

static int open_file(const char *path, int flags, mode_t mode)
{
    if (!real_open) real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    const char *name = name_of(path);
    if (!name) return real_open(path, flags, mode);
    uint32_t kind = kind_of(name);
    int fresh = (flags & O_CREAT) && access(path, F_OK);
    if (fresh && fails(ON_CREATE, kind)) return -1;
    int fd = real_open(path, flags, mode);
    if (fd < 0 || fd >= FDS) return fd;
    files[fd].id = kind == DIRECTORY ? 0 : number(fd, name, fresh);
    files[fd].kind = kind;
    if ((flags & O_TRUNC) && !fresh) note(TRUNCATE, files[fd].id, 0, NULL, 0);
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_file(path, flags, mode);
}

int close(int fd)
{
    REAL(close);
    struct file *file = file_of(fd);
    if (file) file->kind = 0;
    return real(fd);
}

/* What is to be written of `length` bytes: none (-1), or half of it where the disk is full, as a disk does. */
static ssize_t allowed(const struct file *file, size_t length)
{
    int32_t before = control->hits;
    if (!fails(ON_WRITE, file->kind)) return (ssize_t)length;
    return control->error == ENOSPC && !before && length > 1 ? (ssize_t)(length / 2) : -1;
}

static ssize_t written(const struct file *file, const void *data, ssize_t length, off_t offset)
{
    if (length > 0) note(WRITE, file->id, (uint64_t)offset, data, (size_t)length);
    return length;
}

ssize_t write(int fd, const void *data, size_t length)
{
    REAL(write);
    struct file *file = file_of(fd);
    if (!file) return real(fd, data, length);
    ssize_t size = allowed(file, length);
    if (size < 0) return -1;
    size = real(fd, data, (size_t)size);
    return written(file, data, size, lseek(fd, 0, SEEK_CUR) - size);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    REAL(pwrite);
    struct file *file = file_of(fd);
    if (!file) return real(fd, data, length, offset);
    ssize_t size = allowed(file, length);
    return size < 0 ? -1 : written(file, data, real(fd, data, (size_t)size, offset), offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    return pwrite(fd, data, length, offset);
}

/* One part of it is a short write, which callers have to expect. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    if (!file_of(fd) || count < 1) return real(fd, parts, count);
    return write(fd, parts[0].iov_base, parts[0].iov_len);
}

ssize_t pread(int fd, void *data, size_t length, off_t offset)
{
    REAL(pread);
    struct file *file = file_of(fd);
    return file && fails(ON_READ, file->kind) ? -1 : real(fd, data, length, offset);
}

ssize_t pread64(int fd, void *data, size_t length, off64_t offset)
{
    return pread(fd, data, length, offset);
}

int ftruncate(int fd, off_t length)
{
    REAL(ftruncate);
    struct file *file = file_of(fd);
    int result = real(fd, length);
    if (file && !result) note(TRUNCATE, file->id, (uint64_t)length, NULL, 0);
    return result;
}

int ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}

static int sync_file(int fd, int (*real)(int))
{
    struct file *file = file_of(fd);
    if (!file) return real(fd);
    uint32_t serial = __atomic_add_fetch(&last_sync, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&control->syncs, 1, __ATOMIC_SEQ_CST);
    uint32_t id = file->id;
    note(SYNC_BEGIN, id, serial, NULL, 0);
    if (control->delayed & (int32_t)file->kind)
        for (int32_t waited = 0; waited < control->delay; waited++) usleep(1000);
    /* The bytes need not reach a real disk: what the test says about durability comes from the journal alone. */
    int failed = fails(ON_SYNC, file->kind);
    note(failed ? SYNC_FAILED : SYNC_END, id, serial, NULL, 0);
    return failed ? -1 : 0;
}

int fsync(int fd)
{
    REAL(fsync);
    return sync_file(fd, real);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return sync_file(fd, real);
}

static void note_names(uint32_t kind, const char *from, const char *to)
{
    char names[2048];
    int length = snprintf(names, sizeof names, "%s/%s", from, to);
    note(kind, 0, 0, names, (size_t)length);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    const char *old = name_of(from), *new = name_of(to);
    int result = real(from, to);
    if (!result && old && new) note_names(RENAME, old, new);
    return result;
}

int link(const char *from, const char *to)
{
    REAL(link);
    const char *old = name_of(from), *new = name_of(to);
    int result = real(from, to);
    if (!result && old && new) note_names(LINK, old, new);
    return result;
}

int unlink(const char *path)
{
    REAL(unlink);
    const char *name = name_of(path);
    int result = real(path);
    if (!result && name) note(UNLINK, 0, 0, name, strlen(name));
    return result;
}

int statvfs(const char *path, struct statvfs *figures)
{
    REAL(statvfs);
    int result = real(path, figures);
    if (!result && control->room >= 0 && name_of(path))
        figures->f_bavail = figures->f_bfree = (fsblkcnt_t)(control->room / (int64_t)figures->f_frsize);
    return result;
}

int statvfs64(const char *path, struct statvfs64 *figures)
{
    return statvfs(path, (struct statvfs *)figures);
}

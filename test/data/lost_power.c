// Preloaded into a process (LD_PRELOAD), this library records what the process changes in a folder and what it syncs,
// and kills it at a chosen step. From the record, lost_power.ts takes back what a lost power would have taken: bytes
// and names that were not synced.
//
// Environment: LOST_POWER_ROOT is the folder, LOST_POWER_LOG the file for the record, and LOST_POWER_AT the number of
// the step before which the process is killed, from 1 (0: none). A step is a sync or a change of a name.
//
// Each line of the record is an event, with inode numbers of files and folders:
//
//   c FILE               a file was created
//   w FILE               a file was opened for writing, or written
//   s FILE SIZE          a file of this size was synced
//   d FOLDER             a folder was created
//   n FOLDER NAME        a name was created in a folder, other than by a rename
//   m FOLDER NAME        a name now leads to something else, by a rename or an exchange
//   l FOLDER NAME TEXT   a link with this text was replaced by a rename
//   f FOLDER             a folder was synced
//   p 0                  a step

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))
#define MAX_DESCRIPTORS 65536

static atomic_int steps;
static atomic_char is_output[MAX_DESCRIPTORS];  // descriptors of files in the folder that are open for writing

static void* real(const char* name) {
  void* function = dlsym(RTLD_NEXT, name);
  if (!function) abort();
  return function;
}

static int is_inside(const char* path) {
  const char* root = getenv("LOST_POWER_ROOT");
  return root && path && strncmp(path, root, strlen(root)) == 0 && path[strlen(root)] == '/';
}

static void record(const char* format, ...) {
  static atomic_int log;
  const int saved = errno;
  if (log == 0) {
    const char* path = getenv("LOST_POWER_LOG");
    if (!path) return;
    log = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }
  char line[3 * PATH_MAX];
  va_list values;
  va_start(values, format);
  const int length = vsnprintf(line, sizeof line, format, values);
  va_end(values);
  if (length > 0 && length < (int)sizeof line && syscall(SYS_write, (int)log, line, (size_t)length) != length) abort();
  errno = saved;
}

// Kills the process if this is the step to do so.
static void step(void) {
  record("p 0\n");
  const char* at = getenv("LOST_POWER_AT");
  if (++steps != (at ? atoi(at) : 0)) return;
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static unsigned long long inode(const char* path) {
  struct stat status;
  return lstat(path, &status) == 0 ? (unsigned long long)status.st_ino : 0;
}

static unsigned long long folder_of(const char* path) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char* slash = strrchr(folder, '/');
  if (slash) *slash = 0;
  return inode(folder);
}

static const char* name_of(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static void record_name(char event, const char* path) {
  if (is_inside(path)) record("%c %llu %s\n", event, folder_of(path), name_of(path));
}

// ---- contents -------------------------------------------------------------------------------------------------------

static int is_open_output(int descriptor) {
  return descriptor >= 0 && descriptor < MAX_DESCRIPTORS && is_output[descriptor];
}

static void record_write(int descriptor) {
  struct stat status;
  if (is_open_output(descriptor) && fstat(descriptor, &status) == 0)
    record("w %llu\n", (unsigned long long)status.st_ino);
}

static int opened(int descriptor, const char* path, int writes, int existed) {
  if (descriptor < 0 || descriptor >= MAX_DESCRIPTORS) return descriptor;
  is_output[descriptor] = (char)(writes && is_inside(path));
  if (!is_output[descriptor]) return descriptor;
  if (!existed) {
    record("c %llu\n", inode(path));
    record_name('n', path);
  }
  record_write(descriptor);
  return descriptor;
}

static int mode_of(int flags, va_list values) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(values, int) : 0; }

#define DEFINE_OPEN(name)                                                      \
  int name(const char* path, int flags, ...) {                                 \
    va_list values;                                                            \
    va_start(values, flags);                                                   \
    const int mode = mode_of(flags, values);                                   \
    va_end(values);                                                            \
    const int existed = is_inside(path) && access(path, F_OK) == 0;            \
    const int descriptor = REAL(name)(path, flags, mode);                      \
    return opened(descriptor, path, (flags & O_ACCMODE) != O_RDONLY, existed); \
  }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name)                                                    \
  int name(int at, const char* path, int flags, ...) {                         \
    va_list values;                                                            \
    va_start(values, flags);                                                   \
    const int mode = mode_of(flags, values);                                   \
    va_end(values);                                                            \
    const int existed = is_inside(path) && access(path, F_OK) == 0;            \
    const int descriptor = REAL(name)(at, path, flags, mode);                  \
    return opened(descriptor, path, (flags & O_ACCMODE) != O_RDONLY, existed); \
  }
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

// The C library does not show the writes of such a file: it counts as written as long as it is not synced afterwards.
#define DEFINE_FOPEN(name)                                                       \
  FILE* name(const char* path, const char* mode) {                               \
    const int existed = is_inside(path) && access(path, F_OK) == 0;              \
    FILE* file = REAL(name)(path, mode);                                         \
    if (file) opened(fileno(file), path, strpbrk(mode, "wa+") != NULL, existed); \
    return file;                                                                 \
  }
DEFINE_FOPEN(fopen)
DEFINE_FOPEN(fopen64)

int close(int descriptor) {
  if (descriptor >= 0 && descriptor < MAX_DESCRIPTORS) is_output[descriptor] = 0;
  return REAL(close)(descriptor);
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
  record_write(descriptor);
  return REAL(write)(descriptor, bytes, count);
}

ssize_t writev(int descriptor, const struct iovec* pieces, int count) {
  record_write(descriptor);
  return REAL(writev)(descriptor, pieces, count);
}

#define DEFINE_PWRITE(name, offset_t)                                          \
  ssize_t name(int descriptor, const void* bytes, size_t count, offset_t at) { \
    record_write(descriptor);                                                  \
    return REAL(name)(descriptor, bytes, count, at);                           \
  }
DEFINE_PWRITE(pwrite, off_t)
DEFINE_PWRITE(pwrite64, off64_t)

#define DEFINE_PWRITEV(name, offset_t)                                               \
  ssize_t name(int descriptor, const struct iovec* pieces, int count, offset_t at) { \
    record_write(descriptor);                                                        \
    return REAL(name)(descriptor, pieces, count, at);                                \
  }
DEFINE_PWRITEV(pwritev, off_t)
DEFINE_PWRITEV(pwritev64, off64_t)

#define DEFINE_TRUNCATE(name, offset_t)     \
  int name(int descriptor, offset_t size) { \
    record_write(descriptor);               \
    return REAL(name)(descriptor, size);    \
  }
DEFINE_TRUNCATE(ftruncate, off_t)
DEFINE_TRUNCATE(ftruncate64, off64_t)

ssize_t copy_file_range(int from, off64_t* from_at, int to, off64_t* to_at, size_t count, unsigned flags) {
  record_write(to);
  return REAL(copy_file_range)(from, from_at, to, to_at, count, flags);
}

ssize_t sendfile64(int to, int from, off64_t* at, size_t count) {
  record_write(to);
  return ((ssize_t(*)(int, int, off64_t*, size_t))real("sendfile64"))(to, from, at, count);
}

ssize_t sendfile(int to, int from, off_t* at, size_t count) {
  record_write(to);
  return ((ssize_t(*)(int, int, off_t*, size_t))real("sendfile"))(to, from, at, count);
}

static void record_sync(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return;
  const unsigned long long number = status.st_ino;
  if (S_ISDIR(status.st_mode)) record("f %llu\n", number);
  else record("s %llu %lld\n", number, (long long)status.st_size);
}

#define DEFINE_SYNC(name)                      \
  int name(int descriptor) {                   \
    step();                                    \
    const int result = REAL(name)(descriptor); \
    if (result == 0) record_sync(descriptor);  \
    return result;                             \
  }
DEFINE_SYNC(fsync)
DEFINE_SYNC(fdatasync)

// ---- names ----------------------------------------------------------------------------------------------------------

int mkdir(const char* path, mode_t mode) {
  if (is_inside(path)) step();
  const int result = REAL(mkdir)(path, mode);
  if (result == 0 && is_inside(path)) {
    record("d %llu\n", inode(path));
    record_name('n', path);
  }
  return result;
}

int link(const char* from, const char* to) {
  if (is_inside(to)) step();
  const int result = REAL(link)(from, to);
  if (result == 0) record_name('n', to);
  return result;
}

int symlink(const char* text, const char* path) {
  if (is_inside(path)) step();
  const int result = REAL(symlink)(text, path);
  if (result == 0) record_name('n', path);
  return result;
}

static void record_rename(const char* from, const char* to, const char* replaced) {
  if (replaced[0] && is_inside(to)) record("l %llu %s %s\n", folder_of(to), name_of(to), replaced);
  record_name('m', from);
  record_name('m', to);
}

int rename(const char* from, const char* to) {
  if (is_inside(to)) step();
  char replaced[PATH_MAX];
  const ssize_t length = readlink(to, replaced, sizeof replaced - 1);
  replaced[length < 0 ? 0 : length] = 0;
  const int result = REAL(rename)(from, to);
  if (result == 0) record_rename(from, to, replaced);
  return result;
}

// The addon exchanges names by this function, for which older C libraries have no other.
long syscall(long number, ...) {
  static long (*real_syscall)(long, ...);
  if (!real_syscall) real_syscall = (long (*)(long, ...))real("syscall");
  long arguments[6];
  va_list values;
  va_start(values, number);
  for (int i = 0; i < 6; i++) arguments[i] = va_arg(values, long);
  va_end(values);
  const int is_rename = number == SYS_renameat2;
  const char *from = (const char*)arguments[1], *to = (const char*)arguments[3];
  if (is_rename && is_inside(to)) step();
  const long result =
      real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
  if (is_rename && result == 0) record_rename(from, to, "");
  return result;
}

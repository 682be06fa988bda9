#include "native/core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "native/core/error.h"

namespace shortlist {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& reason) {
  throw Error(Status::file, path + ": " + reason);
}

}  // namespace

void read_bytes(int descriptor, const std::string& path, int64_t offset, int64_t bytes, void* to) {
  char* const out = static_cast<char*>(to);
  for (int64_t done = 0; done < bytes;) {
    const ssize_t count =
        pread(descriptor, out + done, static_cast<size_t>(bytes - done), static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path, std::strerror(errno));
    if (count == 0) fail(path, "The file was cut short while it was read");
    done += count;
  }
}

File::File(int folder, const std::string& name, const std::string& path) : path_(path) {
  descriptor_ = openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status;
  int error = errno;
  if (descriptor_ >= 0) {
    if (fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) {
      size_ = status.st_size;
      return;
    }
    error = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    close(descriptor_);
  }
  fail(path_, error == EINVAL ? "Expected a regular file" : std::strerror(error));
}

File::~File() {
  if (descriptor_ >= 0) close(descriptor_);
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

std::string File::read() const {
  std::string text(static_cast<size_t>(size_), '\0');
  read(0, size_, &text[0]);
  return text;
}

}  // namespace shortlist

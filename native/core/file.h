#pragma once

#include <cstdint>
#include <string>

namespace shortlist {

// Copies `bytes` bytes of an open file, starting at byte `offset`, to `to`. Messages show `path`. Throws
// Error(Status::file) if the file cannot be read or is too short.
void read_bytes(int descriptor, const std::string& path, int64_t offset, int64_t bytes, void* to);

// A regular file that is open for reading. Anything else, such as a named pipe, is refused without blocking.
class File {
 public:
  // Opens `name` in the folder with the descriptor `folder`, as openat does; with AT_FDCWD `name` is an ordinary path.
  // Messages show `path`. Throws Error(Status::file).
  File(int folder, const std::string& name, const std::string& path);
  ~File();
  File(File&& other) noexcept;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  // The size in bytes when the file was opened.
  int64_t size() const { return size_; }
  // See read_bytes.
  void read(int64_t offset, int64_t bytes, void* to) const { read_bytes(descriptor_, path_, offset, bytes, to); }
  // The whole file. Throws Error(Status::file).
  std::string read() const;

 private:
  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

}  // namespace shortlist

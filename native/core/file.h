#pragma once

#include <cstdint>
#include <string>

namespace shortlist {

// A regular file that is open for reading; anything else, a named pipe for example, is refused without waiting for it.
class File {
 public:
  // `name` inside the folder with this descriptor, or a path with AT_FDCWD; messages name it `path`. Throws
  // Error(Status::file).
  File(int folder, const std::string& name, const std::string& path);
  ~File();
  File(File&& other) noexcept;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  // Bytes, when it was opened.
  int64_t size() const { return size_; }
  // Copies `bytes` from byte `offset` on to `to`. Throws Error(Status::file) where the file cannot be read or ends
  // before.
  void read(int64_t offset, int64_t bytes, void* to) const;
  // All of it.
  std::string read() const;

 private:
  [[noreturn]] void fail(const std::string& reason) const;

  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

}  // namespace shortlist

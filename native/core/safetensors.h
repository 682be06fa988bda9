#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/core/file.h"

namespace shortlist {

// The header of a safetensors file (docs/formats.md). Parsing checks that every tensor lies within the data, that its
// length fits its dtype and shape, and that tensors neither overlap nor leave gaps.
struct SafetensorsHeader {
  struct Entry {
    std::string name;
    std::string dtype;  // as the file names it: "F32", "I32", "BF16", …
    std::vector<int64_t> shape;
    int64_t elements;
    int64_t bytes;
    int64_t begin;  // offset of its first byte, from the start of the data
  };

  std::vector<Entry> entries;  // sorted by name
  std::vector<std::pair<std::string, std::string>> metadata;

  // `json` is the header and `data_bytes` the length of the data after it. Throws Error(Status::model).
  static SafetensorsHeader parse(std::string_view json, int64_t data_bytes);
};

// A safetensors file that is open for reading. It is not mapped into memory, because a process is killed when it reads
// a mapped file that another process has truncated.
class Safetensors {
 public:
  using Entry = SafetensorsHeader::Entry;

  // Throws Error(Status::file) if the file cannot be read and Error(Status::model) if it is malformed or truncated.
  // Messages start with the path.
  explicit Safetensors(const std::string& path);
  // Opens `name` in the folder with this descriptor; messages show `path`.
  Safetensors(int folder, const std::string& name, const std::string& path);

  const std::vector<Entry>& entries() const { return header_.entries; }  // sorted by name
  // The tensor with this name, or nullptr.
  const Entry* find(std::string_view name) const;
  // The metadata value with this key, or nullptr.
  const std::string* find_metadata(std::string_view key) const;
  // Copies `bytes` bytes of a tensor, starting at its byte `offset`, to `to`. Throws Error(Status::file).
  void read(const Entry& entry, int64_t offset, int64_t bytes, void* to) const;

 private:
  File file_;
  int64_t data_start_;
  SafetensorsHeader header_;
};

}  // namespace shortlist

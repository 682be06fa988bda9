#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/core/file.h"

namespace shortlist {

// What the header of a safetensors file says (docs/formats.md). All of it is checked: every tensor lies within the data
// and is as long as its dtype and shape say, and no two overlap.
struct SafetensorsHeader {
  struct Entry {
    std::string name;
    std::string dtype;  // as in the file: "F32", "I32", "BF16", …
    std::vector<int64_t> shape;
    int64_t elements;
    int64_t bytes;
    int64_t begin;  // first byte of the data
  };

  std::vector<Entry> entries;  // by name
  std::vector<std::pair<std::string, std::string>> metadata;

  // Throws Error(Status::model).
  static SafetensorsHeader parse(std::string_view json, int64_t data_bytes);
};

// A safetensors file. It is not mapped into memory: a mapped file that somebody cuts short ends the process.
class Safetensors {
 public:
  using Entry = SafetensorsHeader::Entry;

  // Throws Error(Status::file) where the file cannot be read and Error(Status::model) where it is malformed or cut
  // short; messages start with the path.
  explicit Safetensors(const std::string& path);
  // `name` inside the folder with this descriptor.
  Safetensors(int folder, const std::string& name, const std::string& path);

  const std::vector<Entry>& entries() const { return header_.entries; }  // by name
  const Entry* find(std::string_view name) const;
  // The metadata of this key; nullptr where there are none.
  const std::string* find_metadata(std::string_view key) const;
  // Copies `bytes` of a tensor's data, from its byte `offset` on.
  void read(const Entry& entry, int64_t offset, int64_t bytes, void* to) const;

 private:
  File file_;
  int64_t data_start_;
  SafetensorsHeader header_;
};

}  // namespace shortlist

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shortlist {

// A safetensors file, mapped into memory. Everything is checked when it is opened: after that, every tensor lies within
// the file and is as long as its dtype and shape say.
class Safetensors {
 public:
  struct Entry {
    std::string name;
    std::string dtype;  // as in the file: "F32", "I32", "U32", "I64", …
    std::vector<int64_t> shape;
    int64_t elements;
    int64_t bytes;
    const void* data;  // need not be aligned
  };

  // Throws Error(Status::file) where the file cannot be read and Error(Status::model) where it is malformed or cut short;
  // messages start with the path.
  explicit Safetensors(const std::string& path);
  ~Safetensors();
  Safetensors(const Safetensors&) = delete;
  Safetensors& operator=(const Safetensors&) = delete;

  const std::vector<Entry>& entries() const { return entries_; }  // in the order of their data
  const Entry* find(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return metadata_; }

 private:
  void map();
  void parse();
  [[noreturn]] void fail(const std::string& message) const;

  std::string path_;
  const char* bytes_ = nullptr;
  int64_t size_ = 0;
  std::vector<Entry> entries_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace shortlist

#include "native/core/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "native/core/error.h"
#include "native/core/json.h"

namespace shortlist {
namespace {

const int64_t kLengthBytes = 8;
const int64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

struct FileDtype {
  const char* name;
  int64_t bytes;
};

const FileDtype kFileDtypes[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
                                 {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8}};

int64_t bytes_of(const std::string& dtype) {
  for (const FileDtype& known : kFileDtypes) {
    if (dtype == known.name) return known.bytes;
  }
  return 0;
}

}  // namespace

Safetensors::Safetensors(const std::string& path) : path_(path) {
  map();
  try {
    parse();
  } catch (...) {
    munmap(const_cast<char*>(bytes_), static_cast<size_t>(size_));
    throw;
  }
}

Safetensors::~Safetensors() { munmap(const_cast<char*>(bytes_), static_cast<size_t>(size_)); }

const Safetensors::Entry* Safetensors::find(std::string_view name) const {
  const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.name == name; });
  return entry == entries_.end() ? nullptr : &*entry;
}

void Safetensors::fail(const std::string& message) const { throw Error(Status::model, path_ + ": " + message); }

void Safetensors::map() {
  const auto fail_file = [&](int error) { throw Error(Status::file, path_ + ": " + std::strerror(error)); };
  const int file = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail_file(errno);
  struct stat status;
  if (fstat(file, &status) != 0) {
    const int error = errno;
    close(file);
    fail_file(error);
  }
  size_ = status.st_size;
  if (!S_ISREG(status.st_mode) || size_ < kLengthBytes) {
    close(file);
    fail("expected a safetensors file but it has " + std::to_string(size_) + " bytes");
  }
  void* bytes = mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, file, 0);
  const int error = errno;
  close(file);
  if (bytes == MAP_FAILED) fail_file(error);
  bytes_ = static_cast<const char*>(bytes);
}

void Safetensors::parse() {
  uint64_t length = 0;
  for (int i = 0; i < kLengthBytes; ++i) length |= uint64_t{static_cast<unsigned char>(bytes_[i])} << (8 * i);
  if (length > static_cast<uint64_t>(kMaxHeaderBytes) || static_cast<int64_t>(length) > size_ - kLengthBytes) {
    fail("expected a header of at most " + std::to_string(std::min(kMaxHeaderBytes, size_ - kLengthBytes)) + " bytes but it says " +
         std::to_string(length));
  }
  const int64_t data_start = kLengthBytes + static_cast<int64_t>(length);
  const int64_t data_bytes = size_ - data_start;

  Json header;
  try {
    header = Json::parse(std::string_view(bytes_ + kLengthBytes, static_cast<size_t>(length)));
  } catch (const Error& error) {
    fail(std::string("header: ") + error.what());
  }
  if (!header.is_object()) fail("header: expected an object");

  for (const Json::Member& member : header.members()) {
    const Json& value = member.second;
    if (member.first == "__metadata__") {
      for (const Json::Member& note : value.members()) {
        if (!note.second.is_string()) fail("metadata \"" + note.first + "\" is no text");
        metadata_.emplace_back(note.first, note.second.string());
      }
      if (!value.is_object()) fail("metadata is no object");
      continue;
    }
    const std::string tensor = "tensor \"" + member.first + "\" ";
    const Json *dtype = value.find("dtype"), *shape = value.find("shape"), *offsets = value.find("data_offsets");
    if (dtype == nullptr || !dtype->is_string() || bytes_of(dtype->string()) == 0) fail(tensor + "has an unknown dtype");
    if (shape == nullptr || !shape->is_array()) fail(tensor + "has no shape");
    Entry entry{member.first, dtype->string(), {}, 1, 0, nullptr};
    for (const Json& item : shape->items()) {
      int64_t size;
      if (!item.to_size(&size) || __builtin_mul_overflow(entry.elements, size, &entry.elements)) fail(tensor + "has an impossible shape");
      entry.shape.push_back(size);
    }
    int64_t begin, end;
    if (offsets == nullptr || offsets->items().size() != 2 || !offsets->items()[0].to_size(&begin) || !offsets->items()[1].to_size(&end)) {
      fail(tensor + "has no data_offsets");
    }
    if (end < begin || end > data_bytes) {
      fail(tensor + "lies at bytes " + std::to_string(begin) + " to " + std::to_string(end) + " of " + std::to_string(data_bytes) +
           ": the file is cut short or its header is wrong");
    }
    if (__builtin_mul_overflow(entry.elements, bytes_of(entry.dtype), &entry.bytes) || entry.bytes != end - begin) {
      fail(tensor + "has " + std::to_string(end - begin) + " bytes, which its dtype and shape do not fit");
    }
    entry.data = bytes_ + data_start + begin;
    entries_.push_back(std::move(entry));
  }

  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return std::make_pair(a.data, a.bytes) < std::make_pair(b.data, b.bytes);
  });
  const char* expected = bytes_ + data_start;
  for (const Entry& entry : entries_) {
    if (entry.data != expected) fail("tensor \"" + entry.name + "\" leaves a gap before it or overlaps another one");
    expected += entry.bytes;
  }
  if (expected != bytes_ + size_) fail("expected the data to end with the last tensor but " + std::to_string(bytes_ + size_ - expected) + " bytes follow");
}

}  // namespace shortlist

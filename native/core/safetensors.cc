#include "native/core/safetensors.h"

#include <fcntl.h>

#include <algorithm>

#include "native/core/error.h"
#include "native/core/json.h"
#include "native/core/text.h"

namespace shortlist {
namespace {

const int64_t kLengthBytes = 8;
const int64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
const int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

struct FileDtype {
  const char* name;
  int64_t bits;
};

// The same table as in src/data/safetensors.ts.
const FileDtype kFileDtypes[] = {{"BOOL", 8}, {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
                                 {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},
                                 {"U16", 16}, {"F16", 16},    {"BF16", 16},   {"I32", 32},    {"U32", 32},
                                 {"F32", 32}, {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};

int64_t bits_of(const std::string& dtype) {
  for (const FileDtype& known : kFileDtypes) {
    if (dtype == known.name) return known.bits;
  }
  return 0;
}

[[noreturn]] void fail(const std::string& message) { throw Error(Status::model, message); }

// Multiplies *product by factor; returns false if the result exceeds 2⁵³ − 1.
bool multiply(int64_t* product, int64_t factor) {
  return !__builtin_mul_overflow(*product, factor, product) && *product <= kMaxSafeInteger;
}

SafetensorsHeader::Entry parse_entry(const Json::Member& member, int64_t data_bytes) {
  const Json& value = member.second;
  const std::string tensor = "tensor " + quoted(member.first) + " ";
  const Json *dtype = value.find("dtype"), *shape = value.find("shape"), *offsets = value.find("data_offsets");
  const int64_t bits = dtype != nullptr ? bits_of(dtype->string()) : 0;
  if (bits == 0) fail(tensor + "has an unknown dtype");
  if (shape == nullptr || !shape->is_array()) fail(tensor + "has no shape");
  SafetensorsHeader::Entry entry{member.first, dtype->string(), {}, 1, 0, 0};
  for (const Json& item : shape->items()) {
    int64_t size;
    if (!item.to_size(&size) || !multiply(&entry.elements, size)) fail(tensor + "has an impossible shape");
    entry.shape.push_back(size);
  }
  int64_t end, all_bits = entry.elements;
  if (offsets == nullptr || offsets->items().size() != 2 || !offsets->items()[0].to_size(&entry.begin) ||
      !offsets->items()[1].to_size(&end)) {
    fail(tensor + "has no data_offsets");
  }
  if (end < entry.begin || end > data_bytes) {
    fail(tensor + "lies at bytes " + std::to_string(entry.begin) + " to " + std::to_string(end) + " of " +
         std::to_string(data_bytes) + ": the file is cut short or its header is wrong");
  }
  entry.bytes = end - entry.begin;
  if (!multiply(&all_bits, bits) || all_bits % 8 != 0 || entry.bytes != all_bits / 8) {
    fail(tensor + "has " + std::to_string(entry.bytes) + " bytes, which its dtype and shape do not fit");
  }
  return entry;
}

void parse_metadata(const Json& value, SafetensorsHeader* header) {
  if (!value.is_object()) fail("metadata is no object");
  for (const Json::Member& note : value.members()) {
    if (!note.second.is_string()) fail("metadata " + quoted(note.first) + " is no text");
    header->metadata.emplace_back(note.first, note.second.string());
  }
}

// Throws unless the tensors take the whole data, without gaps and overlaps.
void check_layout(const std::vector<SafetensorsHeader::Entry>& entries, int64_t data_bytes) {
  std::vector<const SafetensorsHeader::Entry*> in_order;
  for (const SafetensorsHeader::Entry& entry : entries) in_order.push_back(&entry);
  std::sort(in_order.begin(), in_order.end(), [](const auto* a, const auto* b) {
    return std::make_pair(a->begin, a->bytes) < std::make_pair(b->begin, b->bytes);
  });
  int64_t expected = 0;
  for (const SafetensorsHeader::Entry* entry : in_order) {
    if (entry->begin != expected)
      fail("tensor " + quoted(entry->name) + " leaves a gap before it or overlaps another one");
    expected += entry->bytes;
  }
  if (expected != data_bytes)
    fail("expected the data to end with the last tensor but " + std::to_string(data_bytes - expected) +
         " bytes follow");
}

bool by_name(const SafetensorsHeader::Entry& a, const SafetensorsHeader::Entry& b) { return a.name < b.name; }

// The length of the header, which is the first 8 bytes of the file (little-endian).
int64_t header_bytes(const File& file) {
  const int64_t size = file.size();
  if (size < kLengthBytes) fail("expected a safetensors file but it has " + std::to_string(size) + " bytes");
  unsigned char prefix[kLengthBytes];
  file.read(0, kLengthBytes, prefix);
  uint64_t length = 0;
  for (int i = 0; i < kLengthBytes; ++i) length |= uint64_t{prefix[i]} << (8 * i);
  const int64_t most = std::min(kMaxHeaderBytes, size - kLengthBytes);
  if (length > static_cast<uint64_t>(most)) {
    fail("expected a header of at most " + std::to_string(most) + " bytes but it says " + std::to_string(length) +
         ": the file is cut short or no safetensors file");
  }
  return static_cast<int64_t>(length);
}

}  // namespace

SafetensorsHeader SafetensorsHeader::parse(std::string_view text, int64_t data_bytes) {
  if (text.empty() || text[0] != '{') fail("header: expected an object");
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Error& error) {
    fail(std::string("header: ") + error.what());
  }
  SafetensorsHeader header;
  header.entries.reserve(json.members().size());
  for (const Json::Member& member : json.members()) {
    if (member.first == "__metadata__") parse_metadata(member.second, &header);
    else header.entries.push_back(parse_entry(member, data_bytes));
  }
  check_layout(header.entries, data_bytes);
  std::sort(header.entries.begin(), header.entries.end(), by_name);
  return header;
}

Safetensors::Safetensors(const std::string& path) : Safetensors(AT_FDCWD, path, path) {}

Safetensors::Safetensors(int folder, const std::string& name, const std::string& path) : file_(folder, name, path) {
  try {
    const int64_t length = header_bytes(file_);
    std::string header(static_cast<size_t>(length), '\0');
    file_.read(kLengthBytes, length, &header[0]);
    data_start_ = kLengthBytes + length;
    header_ = SafetensorsHeader::parse(header, file_.size() - data_start_);
  } catch (const Error& error) {
    if (error.status() != Status::model) throw;
    fail(path + ": " + error.what());
  }
}

const Safetensors::Entry* Safetensors::find(std::string_view name) const {
  const auto before = [](const Entry& entry, std::string_view wanted) { return entry.name < wanted; };
  const auto entry = std::lower_bound(entries().begin(), entries().end(), name, before);
  return entry == entries().end() || entry->name != name ? nullptr : &*entry;
}

const std::string* Safetensors::find_metadata(std::string_view key) const {
  for (const auto& note : header_.metadata) {
    if (note.first == key) return &note.second;
  }
  return nullptr;
}

void Safetensors::read(const Entry& entry, int64_t offset, int64_t bytes, void* to) const {
  file_.read(data_start_ + entry.begin + offset, bytes, to);
}

}  // namespace shortlist

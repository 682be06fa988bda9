#include "native/core/store.h"

#include <algorithm>
#include <cstring>

#include "native/core/error.h"
#include "native/core/file.h"
#include "native/core/program.h"

namespace shortlist {
namespace {

const int64_t kMaxElements = int64_t{1} << 44;  // of a tensor: more than any memory holds

void expect_room(const Store::Stored& stored, int64_t offset, int64_t count) {
  if (offset >= 0 && offset <= stored.elements && count <= stored.elements - offset) return;
  throw Error(Status::input, "Expected at most " + std::to_string(stored.elements - offset) + " values for \"" +
                                 stored.name + "\" but received " + std::to_string(count));
}

// Whether a float32 is NaN or infinite: all bits of its exponent are set.
bool is_not_finite(uint32_t bits) { return (bits & 0x7f800000u) == 0x7f800000u; }

}  // namespace

void Store::define(const std::string& name, Dtype dtype, const std::vector<int64_t>& shape) {
  if (by_name_.count(name) != 0) throw Error(Status::executor, "Tensor \"" + name + "\" is already in the store");
  if (shape.size() > 2)
    throw Error(Status::program,
                "Expected \"" + name + "\" with at most 2 axes but received " + std::to_string(shape.size()));
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size < 0)
      throw Error(Status::program,
                  "Expected a dim that is a non-negative whole number but received " + std::to_string(size));
    if (__builtin_mul_overflow(elements, size, &elements) || elements > kMaxElements) {
      throw Error(Status::program, "Expected \"" + name + "\" with fewer elements: it is larger than any memory");
    }
  }
  auto stored =
      std::make_unique<Stored>(Stored{name, dtype, shape, elements, Memory::zeroed(elements * kBytesPerElement)});
  by_name_.emplace(name, stored.get());
  tensors_.push_back(std::move(stored));
}

const Store::Stored* Store::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

const Store::Stored& Store::at(const std::string& name) const {
  const Stored* stored = find(name);
  if (stored == nullptr) throw Error(Status::executor, "The store has no tensor \"" + name + "\"");
  return *stored;
}

void Store::write(const std::string& name, Dtype dtype, const void* values, int64_t offset, int64_t count) {
  const Stored& stored = at(name);
  if (dtype != stored.dtype) {
    throw Error(Status::input, "Expected values of " + std::string(name_of(stored.dtype)) + " for \"" + name +
                                   "\" but received " + name_of(dtype));
  }
  expect_room(stored, offset, count);
  ++writes_;
  if (count > 0)
    std::memcpy(static_cast<char*>(stored.memory.data()) + offset * kBytesPerElement, values, count * kBytesPerElement);
}

void Store::fill(const std::string& name, const RandomValues& random) {
  const Stored& stored = at(name);
  if (stored.dtype != Dtype::float32) {
    throw Error(Status::input, "Expected a tensor of float32 to fill with random values but \"" + name + "\" is " +
                                   name_of(stored.dtype));
  }
  ++writes_;
  random_values(random, static_cast<float*>(stored.memory.data()), stored.elements);
}

namespace {

void expect_within(const Store::Stored& stored, int64_t offset, int64_t count) {
  if (offset >= 0 && count >= 0 && offset <= stored.elements && count <= stored.elements - offset) return;
  throw Error(Status::input, "Expected to read within the " + std::to_string(stored.elements) + " values of \"" +
                                 stored.name + "\" but received offset " + std::to_string(offset) + ", count " +
                                 std::to_string(count));
}

}  // namespace

void Store::read(const std::string& name, void* values, int64_t offset, int64_t count) const {
  const Stored& stored = at(name);
  expect_within(stored, offset, count);
  if (count > 0)
    std::memcpy(values, static_cast<const char*>(stored.memory.data()) + offset * kBytesPerElement,
                count * kBytesPerElement);
}

int64_t Store::row_elements(const std::string& name) const {
  const Stored& stored = at(name);
  return stored.shape.size() < 2 ? 1 : stored.shape[1];
}

void Store::read_rows(const std::string& name, const int32_t* rows, int64_t count, void* values) const {
  const Stored& stored = at(name);
  const int64_t row = row_elements(name), held = stored.shape.empty() ? 1 : stored.shape[0];
  const size_t bytes = static_cast<size_t>(row * kBytesPerElement);
  for (int64_t i = 0; i < count; ++i) {
    if (rows[i] < 0 || rows[i] >= held) {
      throw Error(Status::input, "Expected rows below " + std::to_string(held) + " of \"" + name + "\" but received " +
                                     std::to_string(rows[i]));
    }
    if (bytes > 0)
      std::memcpy(static_cast<char*>(values) + static_cast<size_t>(i) * bytes,
                  static_cast<const char*>(stored.memory.data()) + static_cast<size_t>(rows[i]) * bytes, bytes);
  }
}

// Tests whole blocks without a branch for each element, so that memory bandwidth limits the scan.
int64_t Store::first_not_finite(const std::string& name, int64_t offset, int64_t count) const {
  const Stored& stored = at(name);
  const int64_t last = count < 0 ? stored.elements : offset + count;
  expect_within(stored, offset, last - offset);
  if (stored.dtype != Dtype::float32) return -1;
  const uint32_t* const bits = static_cast<const uint32_t*>(stored.memory.data());
  const int64_t block = 4096;  // elements: 16 KiB, so that the second loop finds the block in the L1 cache
  for (int64_t first = offset; first < last; first += block) {
    const int64_t end = last - first < block ? last : first + block;
    uint32_t found = 0;
    for (int64_t i = first; i < end; ++i) found |= is_not_finite(bits[i]);
    if (found == 0) continue;
    for (int64_t i = first; i < end; ++i) {
      if (is_not_finite(bits[i])) return i;
    }
  }
  return -1;
}

// Looks for numbers that are not finite in each piece while it is in the L2 cache.
int64_t Store::load(const std::string& name, int descriptor, const std::string& path, int64_t position, int64_t offset,
                    int64_t count) {
  const Stored& stored = at(name);
  expect_room(stored, offset, count);
  ++writes_;
  const int64_t piece = int64_t{64} << 10;  // elements: 256 KiB
  for (int64_t done = 0; done < count; done += piece) {
    const int64_t first = offset + done, some = std::min(piece, count - done);
    char* const to = static_cast<char*>(stored.memory.data()) + first * kBytesPerElement;
    read_bytes(descriptor, path, position + done * kBytesPerElement, some * kBytesPerElement, to);
    const int64_t found = first_not_finite(name, first, some);
    if (found >= 0) return found;
  }
  return -1;
}

}  // namespace shortlist

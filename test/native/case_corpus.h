#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "native/core/error.h"
#include "native/core/initial_values.h"
#include "native/core/json.h"
#include "native/core/philox.h"
#include "native/core/tensor.h"

// Reads the numbers of test/cases/corpus.jsonl, which test/cases/corpus.ts describes and writes.

namespace shortlist {

using Bits = std::vector<uint32_t>;  // the elements of a float32, int32 or uint32 tensor

namespace corpus {

inline const Json& member(const Json& object, const char* name) {
  const Json* const found = object.find(name);
  if (found == nullptr) throw Error(Status::program, std::string("Corpus: no \"") + name + "\"");
  return *found;
}

// A number of the corpus. Infinities and NaN are written as text.
inline double number(const Json& json) {
  if (json.is_number()) return json.number();
  const double magnitude = json.string() == "NaN" ? NAN : INFINITY;
  return json.string() == "-Infinity" ? -magnitude : magnitude;
}

inline uint32_t bits_of(Dtype dtype, double value) {
  if (dtype != Dtype::float32) return static_cast<uint32_t>(static_cast<int64_t>(value));
  const float number = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return bits;
}

inline double value_of(Dtype dtype, uint32_t bits) {
  if (dtype == Dtype::uint32) return bits;
  if (dtype == Dtype::int32) return static_cast<int32_t>(bits);
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

// `unit` times random whole numbers from `first` to `limit` − 1.
inline Bits whole_numbers(Dtype dtype, int64_t elements, const Json& fill) {
  const uint32_t kStream = 1000;  // CASE_STREAM
  const int64_t first = static_cast<int64_t>(member(fill, "first").number());
  const uint64_t count = static_cast<uint64_t>(static_cast<int64_t>(member(fill, "limit").number()) - first);
  const double unit = member(fill, "unit").number();
  const uint32_t seed = static_cast<uint32_t>(member(fill, "seed").number());
  const uint32_t tensor = static_cast<uint32_t>(member(fill, "tensor").number());
  Bits bits(static_cast<size_t>(elements));
  uint32_t words[4];
  for (size_t i = 0; i < bits.size(); ++i) {
    if (i % 4 == 0) philox({static_cast<uint32_t>(i / 4), 0, tensor, 0}, seed, kStream, words);
    bits[i] = bits_of(dtype, unit * static_cast<double>(first + static_cast<int64_t>(words[i % 4] * count >> 32)));
  }
  return bits;
}

// The same fills as in test/cases/fill.ts.
inline Bits filled(Dtype dtype, int64_t elements, const Json& fill) {
  const std::string& kind = member(fill, "kind").string();
  if (kind == "whole") return whole_numbers(dtype, elements, fill);
  const RandomValues random = {kind == "normal", member(fill, "scale").number(),
                               static_cast<uint32_t>(member(fill, "seed").number()),
                               static_cast<uint32_t>(member(fill, "tensor").number())};
  std::vector<float> values(static_cast<size_t>(elements));
  random_values(random, values.data(), elements);
  const double centre = kind == "uniform" ? member(fill, "centre").number() : 0;
  Bits bits;
  for (const float value : values) bits.push_back(bits_of(dtype, value + centre));
  return bits;
}

}  // namespace corpus

// The elements of a tensor, from a line's description of it: a fill, or the numbers themselves.
inline Bits given_bits(Dtype dtype, int64_t elements, const Json& given) {
  if (given.is_object()) return corpus::filled(dtype, elements, given);
  Bits bits;
  for (const Json& value : given.items()) bits.push_back(corpus::bits_of(dtype, corpus::number(value)));
  return bits;
}

// Calls body(json) for each line of a corpus. A corpus that cannot be read, or is empty, ends the program: otherwise a
// wrong path would look like a success.
template <class Body>
void for_each_line(const std::string& path, const Body& body) {
  std::ifstream file(path);
  bool any = false;
  for (std::string line; std::getline(file, line); any = true) body(Json::parse(line));
  if (any && file.eof()) return;
  std::fprintf(stderr, "%s: Expected a corpus of cases but received a file without lines\n", path.c_str());
  std::exit(2);
}

}  // namespace shortlist

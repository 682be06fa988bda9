#include "native/serve/catalogue.h"

#include <algorithm>
#include <cstdint>

#include "native/core/error.h"
#include "native/core/text.h"

namespace shortlist {
namespace {

std::vector<int32_t> read_list(const Safetensors& tensors, const std::string& name, const std::string& path) {
  const Safetensors::Entry* const entry = tensors.find(name);
  if (!entry) throw Error(Status::model, path + ": There is no tensor " + quoted(name));
  if (entry->dtype != "I32" || entry->shape.size() != 1)
    throw Error(Status::model, path + ": Expected " + quoted(name) + " to be a list of int32");
  std::vector<int32_t> values(static_cast<size_t>(entry->elements));
  tensors.read(*entry, 0, entry->elements * 4, values.data());
  return values;
}

bool are_offsets(const std::vector<int32_t>& offsets, int64_t items) {
  return offsets.size() == static_cast<size_t>(items) + 1 && offsets[0] == 0 &&
         std::is_sorted(offsets.begin(), offsets.end());
}

}  // namespace

Catalogue::Catalogue(const Encoding& encoding, const Safetensors& tensors, const std::string& path) {
  const std::vector<ClickField>& features = encoding.item_features();
  const auto name_of = [&](size_t f) { return "catalogue." + features[f].name; };
  bool present = false;
  for (size_t f = 1; f < features.size(); ++f) present = present || tensors.find(name_of(f));
  if (!present) return;
  const int64_t items = encoding.items().size();
  for (size_t f = 1; f < features.size(); ++f) {
    attributes_.emplace_back();
    User::Values& values = attributes_.back();
    values.ids = read_list(tensors, name_of(f), path);
    int64_t length = items;
    if (features[f].multiple) {
      values.offsets = read_list(tensors, name_of(f) + "_offsets", path);
      if (!are_offsets(values.offsets, items)) {
        throw Error(Status::model, path + ": Expected " + quoted(name_of(f) + "_offsets") + " to be " +
                                       std::to_string(items + 1) + " rising offsets from 0");
      }
      length = values.offsets.back();
    }
    const int64_t size = encoding.vocabulary(features[f].name)->size();
    bool fits = static_cast<int64_t>(values.ids.size()) == length;
    for (const int32_t id : values.ids) fits = fits && id >= 0 && id < size;
    if (!fits) {
      throw Error(Status::model, path + ": Expected " + quoted(name_of(f)) + " to be " + std::to_string(length) +
                                     " ids below " + std::to_string(size));
    }
  }
}

void Catalogue::add_click(const Encoding& encoding, User* user, int32_t item) const {
  std::vector<std::vector<int32_t>> ids = {{item}};
  for (size_t f = 1; f < encoding.item_features().size(); ++f) {
    ids.emplace_back();
    if (!attributes_.empty()) {
      const User::Values& known = attributes_[f - 1];
      const size_t row = static_cast<size_t>(item);
      const bool many = encoding.item_features()[f].multiple;
      const int32_t begin = many ? known.offsets[row] : item, end = many ? known.offsets[row + 1] : item + 1;
      ids.back().assign(known.ids.begin() + begin, known.ids.begin() + end);
    }
    if (ids.back().empty()) ids.back().push_back(0);
  }
  encoding.add_click(user, ids);
}

}  // namespace shortlist

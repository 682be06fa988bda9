#include "native/data/clicks.h"

#include "native/core/error.h"

namespace shortlist {
namespace {

void check(const std::string& name, const int32_t* offsets, int64_t groups, int64_t end) {
  bool rising = offsets[0] == 0 && offsets[groups] == end;
  for (int64_t g = 0; g < groups; ++g) rising &= offsets[g] <= offsets[g + 1];
  if (rising) return;
  throw Error(Status::input, "Expected offsets of \"" + name + "\" that rise from 0 to " + std::to_string(end));
}

}  // namespace

void Clicks::check_offsets() const {
  check("click_offsets", offsets, users, clicks);
  for (const ItemFeature& feature : item_features) {
    if (feature.offsets) check(feature.name, feature.offsets, clicks, feature.value_count);
  }
}

}  // namespace shortlist

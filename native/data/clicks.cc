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
  for (const UserFeature& feature : user_features) {
    if (feature.offsets) check(feature.name, feature.offsets, users, feature.value_count);
  }
  for (const Searches& feature : searches) {
    check(feature.name, feature.query_offsets, users, feature.query_count);
    check(feature.name, feature.offsets, feature.query_count, feature.token_count);
    if (feature.before) check_before(feature);
  }
  for (const ItemFeature& feature : item_features) {
    if (feature.offsets) check(feature.name, feature.offsets, clicks, feature.value_count);
  }
}

void Clicks::check_before(const Searches& feature) const {
  bool fits = true;
  for (int64_t user = 0; user < users; ++user) {
    const int32_t queries = feature.query_offsets[user + 1] - feature.query_offsets[user];
    for (int32_t click = offsets[user]; click < offsets[user + 1]; ++click)
      fits &= feature.before[click] >= 0 && feature.before[click] <= queries;
  }
  if (!fits) throw Error(Status::input, "Expected \"before\" of \"" + feature.name + "\" to count a user's queries");
}

}  // namespace shortlist

#pragma once

#include <cstdint>
#include <vector>

#include "native/data/batcher.h"

namespace shortlist {

// 50 users with 1 to 23 clicks each. A click has an item, one or two tags and a time. Item 0 is <unk>.
struct ClickLog {
  ClickLog() {
    offsets.push_back(0);
    tag_offsets.push_back(0);
    for (int user = 0; user < 50; ++user) {
      for (int i = 0; i < 1 + user * 7 % 23; ++i) {
        items.push_back((user * 5 + i * 3) % 11);
        times.push_back(user + i);
        for (int tag = 0; tag <= i % 2; ++tag) tags.push_back(user + tag);
        tag_offsets.push_back(static_cast<int32_t>(tags.size()));
      }
      offsets.push_back(static_cast<int32_t>(items.size()));
      users.push_back(user);
    }
  }

  Clicks clicks() const {
    Clicks clicks;
    clicks.users = 50;
    clicks.clicks = static_cast<int64_t>(items.size());
    clicks.offsets = offsets.data();
    clicks.user_features = {{"user", users.data()}};
    clicks.item_features = {{"item", items.data(), nullptr, clicks.clicks},
                            {"tags", tags.data(), tag_offsets.data(), static_cast<int64_t>(tags.size())}};
    clicks.has_times = true;
    clicks.times = {times.data(), 0, 100};
    return clicks;
  }

  std::vector<double> times;
  std::vector<int32_t> offsets, items, tags, tag_offsets, users;
};

}  // namespace shortlist

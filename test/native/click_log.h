#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "native/data/batcher.h"

namespace shortlist {

// 50 users with 1 to 23 clicks, one to three languages and up to 120 searches each. A click has an item, one or two
// tags, a time, a weight and a price, which may be missing; a search has up to two tokens. Item 0 is <unk>.
struct ClickLog {
  ClickLog() {
    for (std::vector<int32_t>* first : {&offsets, &tag_offsets, &language_offsets, &query_offsets, &token_offsets})
      first->push_back(0);
    for (int user = 0; user < 50; ++user) {
      const int queries = user * 31 % 121;
      for (int query = 0; query < queries; ++query) {
        for (int token = 0; token < query % 3; ++token) tokens.push_back(query + token);
        token_offsets.push_back(static_cast<int32_t>(tokens.size()));
      }
      query_offsets.push_back(query_offsets.back() + queries);
      for (int language = 0; language <= user % 3; ++language) languages.push_back(language);
      language_offsets.push_back(static_cast<int32_t>(languages.size()));
      for (int i = 0; i < 1 + user * 7 % 23; ++i) {
        items.push_back((user * 5 + i * 3) % 11);
        times.push_back(user + i);
        weights.push_back(static_cast<float>((user + i) % 4) / 2);
        prices.push_back(i % 5 == 3 ? NAN : static_cast<float>((user + i) % 9));
        before.push_back(queries < 5 * i ? queries : 5 * i);
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
    clicks.user_features = {
        {"user", users.data()},
        {"languages", languages.data(), language_offsets.data(), static_cast<int64_t>(languages.size())}};
    const int64_t queries = query_offsets.back(), token_count = static_cast<int64_t>(tokens.size());
    clicks.searches = {
        {"searches", query_offsets.data(), token_offsets.data(), tokens.data(), before.data(), queries, token_count},
        {"past", query_offsets.data(), token_offsets.data(), tokens.data(), nullptr, queries, token_count}};
    clicks.item_features = {{"item", items.data(), nullptr, clicks.clicks},
                            {"tags", tags.data(), tag_offsets.data(), static_cast<int64_t>(tags.size())}};
    clicks.has_times = true;
    clicks.times = {times.data(), 0, 100};
    clicks.weights = {"weight", weights.data(), 0.75};
    clicks.click_numbers = {{"price", {prices.data(), 4, 2.5}}};
    return clicks;
  }

  std::vector<double> times;
  std::vector<float> weights, prices;
  std::vector<int32_t> offsets, items, tags, tag_offsets, users;
  std::vector<int32_t> languages, language_offsets, query_offsets, token_offsets, tokens, before;
};

}  // namespace shortlist

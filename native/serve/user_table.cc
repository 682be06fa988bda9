#include "native/serve/user_table.h"

#include <string>

#include "native/core/error.h"

namespace shortlist {
namespace {

const int64_t kMostClicks = INT32_MAX;

int32_t checked_end(int64_t end) {
  if (end > kMostClicks)
    throw Error(Status::input, "Expected at most " + std::to_string(kMostClicks) + " clicks and values in one call");
  return static_cast<int32_t>(end);
}

}  // namespace

UserTable::UserTable(const Encoding& encoding, const HistoryWindow& history)
    : encoding_(encoding),
      history_(history),
      tokens_(encoding.categorical().size()),
      numbers_(encoding.numbers().size()),
      lists_(encoding.lists().size()),
      searches_(encoding.searches().size()),
      values_(encoding.item_features().size()),
      click_numbers_(encoding.click_numbers().size()) {
  for (size_t f = 0; f < values_.size(); ++f) {
    if (encoding.item_features()[f].multiple) values_[f].offsets.push_back(0);
  }
  for (User::Values& list : lists_) list.offsets.push_back(0);
}

void UserTable::add(const User& user) {
  const int64_t first = history_.start(0, user.clicks);
  offsets_.push_back(checked_end(offsets_.back() + user.clicks - first));
  for (size_t f = 0; f < tokens_.size(); ++f) tokens_[f].push_back(user.tokens[f]);
  for (size_t f = 0; f < numbers_.size(); ++f) numbers_[f].push_back(user.numbers[f]);
  for (size_t f = 0; f < lists_.size(); ++f) {
    lists_[f].ids.insert(lists_[f].ids.end(), user.lists[f].begin(), user.lists[f].end());
    lists_[f].offsets.push_back(checked_end(static_cast<int64_t>(lists_[f].ids.size())));
  }
  for (size_t f = 0; f < searches_.size(); ++f) {
    const User::Searches& from = user.searches[f];
    User::Searches& to = searches_[f].queries;
    const int64_t shift = static_cast<int64_t>(to.ids.size());
    to.ids.insert(to.ids.end(), from.ids.begin(), from.ids.end());
    for (size_t query = 1; query < from.offsets.size(); ++query)
      to.offsets.push_back(checked_end(from.offsets[query] + shift));
    searches_[f].query_offsets.push_back(checked_end(static_cast<int64_t>(to.offsets.size()) - 1));
  }
  for (size_t f = 0; f < values_.size(); ++f) {
    const User::Values& from = user.values[f];
    User::Values& to = values_[f];
    int64_t begin = first, end = user.clicks;
    if (encoding_.item_features()[f].multiple) {
      begin = from.offsets[static_cast<size_t>(first)];
      end = from.offsets[static_cast<size_t>(user.clicks)];
      const int64_t shift = static_cast<int64_t>(to.ids.size()) - begin;
      for (int64_t click = first; click < user.clicks; ++click)
        to.offsets.push_back(checked_end(from.offsets[static_cast<size_t>(click) + 1] + shift));
    }
    to.ids.insert(to.ids.end(), from.ids.begin() + begin, from.ids.begin() + end);
  }
  for (size_t n = 0; n < click_numbers_.size(); ++n) {
    const std::vector<float>& from = user.click_numbers[n];
    click_numbers_[n].insert(click_numbers_[n].end(), from.begin() + first, from.begin() + user.clicks);
  }
}

Clicks UserTable::clicks() const {
  Clicks clicks;
  clicks.users = static_cast<int64_t>(offsets_.size()) - 1;
  clicks.clicks = offsets_.back();
  clicks.offsets = offsets_.data();
  for (size_t f = 0; f < tokens_.size(); ++f)
    clicks.user_features.push_back({encoding_.categorical()[f], tokens_[f].data(), nullptr, 0});
  for (size_t f = 0; f < lists_.size(); ++f) {
    clicks.user_features.push_back({encoding_.lists()[f], lists_[f].ids.data(), lists_[f].offsets.data(),
                                    static_cast<int64_t>(lists_[f].ids.size())});
  }
  for (size_t f = 0; f < searches_.size(); ++f) {
    const User::Searches& queries = searches_[f].queries;
    clicks.searches.push_back({encoding_.searches()[f], searches_[f].query_offsets.data(), queries.offsets.data(),
                               queries.ids.data(), nullptr, static_cast<int64_t>(queries.offsets.size()) - 1,
                               static_cast<int64_t>(queries.ids.size())});
  }
  for (size_t f = 0; f < numbers_.size(); ++f) {
    const NumberStatistics& statistics = encoding_.config().numbers[f];
    clicks.numbers.push_back({numbers_[f].data(), statistics.mean, statistics.deviation});
  }
  for (size_t n = 0; n < click_numbers_.size(); ++n) {
    const NumberStatistics& statistics = encoding_.config().click_numbers[n];
    clicks.click_numbers.push_back(
        {encoding_.click_numbers()[n], {click_numbers_[n].data(), statistics.mean, statistics.deviation}});
  }
  clicks.has_times = encoding_.config().schema.time_field() >= 0;
  for (size_t f = 0; f < values_.size(); ++f) {
    const bool multiple = encoding_.item_features()[f].multiple;
    clicks.item_features.push_back({encoding_.item_features()[f].name, values_[f].ids.data(),
                                    multiple ? values_[f].offsets.data() : nullptr,
                                    static_cast<int64_t>(values_[f].ids.size())});
  }
  return clicks;
}

}  // namespace shortlist

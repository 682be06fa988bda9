#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace shortlist {

// A click log as ids (src/data/clicks.ts): clicks of user u are those from offsets[u] to offsets[u + 1] − 1, oldest
// first. The arrays belong to the caller and must outlive whatever reads them.
struct Clicks {
  struct UserFeature {
    std::string name;
    const int32_t* ids;                // [users], or [value_count]
    const int32_t* offsets = nullptr;  // [users + 1]; nullptr for one value a user
    int64_t value_count = 0;
  };
  // Past searches, divided into tokens; queries of user u are those from query_offsets[u] to query_offsets[u + 1] − 1,
  // oldest first.
  struct Searches {
    std::string name;
    const int32_t* query_offsets;  // [users + 1]
    const int32_t* offsets;        // [query_count + 1]
    const int32_t* ids;            // [token_count]
    const int32_t* before;  // [clicks] the user's queries before each click; nullptr if all are before all clicks
    int64_t query_count, token_count;
  };
  struct Number {
    const float* values;  // [users], NaN where missing
    double mean, deviation;

    double scale() const { return deviation > 0 ? 1 / deviation : 1; }
    // The standardised value of a user or click, with the factor `scale()`; 0 where missing.
    float standardised(int64_t index, double scale) const {
      const float value = values[index];
      return std::isnan(value) ? 0.0f : static_cast<float>((static_cast<double>(value) - mean) * scale);
    }
  };
  struct ClickNumber {
    std::string name;
    Number number;  // values [clicks]
  };
  struct Times {
    const double* values;  // [clicks], NaN where missing; nullptr if times are not read
    double earliest, latest;
  };
  struct Weights {
    std::string name;
    const float* values = nullptr;  // [clicks]; nullptr if there are none
    double mean = 1;
  };
  struct ItemFeature {
    std::string name;
    const int32_t* ids;      // [clicks], or [value_count]
    const int32_t* offsets;  // [clicks + 1]; nullptr for one value a click
    int64_t value_count;
  };

  // Throws Error(Status::input) for offsets that do not rise from 0 to the number of what they divide, and for clicks
  // with more queries before them than their user has.
  void check_offsets() const;

  int64_t users = 0, clicks = 0;
  const int32_t* offsets = nullptr;  // [users + 1]
  std::vector<UserFeature> user_features;
  std::vector<Number> numbers;
  std::vector<Searches> searches;
  bool has_times = false;  // whether the schema has a time, so that batches have ages
  Times times = {nullptr, 0, 0};
  Weights weights;
  std::vector<ClickNumber> click_numbers;
  std::vector<ItemFeature> item_features;  // the item first
  // [clicks] The item of each click that may be a training target, and 0 for the others; nullptr if all may be.
  const int32_t* targets = nullptr;

  const int32_t* target_items() const { return targets ? targets : item_features[0].ids; }

 private:
  void check_before(const Searches& feature) const;
};

}  // namespace shortlist

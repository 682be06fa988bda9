#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "native/core/json.h"

namespace shortlist {

struct Column {
  enum class Kind { categorical, number, clicks, ignored };
  std::string name;
  Kind kind;
  double mean = 0, deviation = 0;  // of a number
};

struct ClickField {
  std::string name;
  bool multiple;
  bool is_time;  // of kind "time": read by training alone
};

// What config.json of a model folder says (docs/formats.md). All of it is checked, also what inference has no use for, so
// that a folder opens here if and only if it opens in Node: src/model/model.ts, src/model/config.ts, src/data/schema.ts.
struct Config {
  int64_t window, vector_width, max_line_bytes;
  bool growing;  // windows
  std::vector<Column> columns;
  std::vector<ClickField> click;
  std::set<std::string> missing;  // every text that stands for a missing value

  // Throws Error(Status::model).
  static Config parse(const Json& head);
};

}  // namespace shortlist

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/core/json.h"
#include "native/data/schema.h"

namespace shortlist {

// What a number feature looks like over the users, or the clicks, of the training log; src/data/clicks.ts.
struct NumberStatistics {
  double mean, deviation;
};

// One change of the format of config.json: `version` adds a member to an object, "config" or "training", or gives it
// another name. Exactly one of `added`, the value as JSON that the member has in folders of older versions, and
// `renamed`, its new name, is given; src/data/stored_format.ts.
struct Migration {
  int64_t version;
  const char *object, *member, *added, *renamed;
};

// A version of the format, and what has changed since version 1, by rising version.
struct ModelFormat {
  int64_t version;
  std::vector<Migration> migrations;
};

// What this library reads: all versions up to this one; src/model/migrate.ts.
extern const ModelFormat kModelFormat;

// What config.json of a model folder says (docs/formats.md). All of it is checked, also what inference has no use for,
// so that a folder opens here if and only if it opens in Node: src/model/model.ts, src/model/config.ts,
// src/data/schema.ts.
struct Config {
  int64_t version;  // of the format, as the folder has it
  int64_t window, vector_width, max_line_bytes;
  bool growing;  // windows
  Schema schema;
  std::vector<NumberStatistics> numbers;        // of the number columns, in order
  std::vector<NumberStatistics> click_numbers;  // of the numbers of a click, in order

  // Of any version of the format. Throws Error(Status::model).
  static Config parse(const Json& head, const ModelFormat& format = kModelFormat);
};

}  // namespace shortlist

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/core/cpu_device.h"
#include "native/core/executor.h"
#include "native/core/json.h"
#include "native/serve/encoding.h"
#include "native/serve/folder.h"

namespace shortlist {

struct Recommendation {
  int32_t item;
  float score;
  double probability;
};

// A model folder, opened: src/model/model.ts says what is in it, src/data/batches.ts what a run is given. Opened, it
// does not change, so any number of threads may ask it at once.
class Model {
 public:
  // Throws Error(Status::file or Status::model) with the file's path, and Error(Status::option).
  static std::unique_ptr<Model> open(const std::string& folder, int threads);
  // Of one version of a folder.
  Model(Folder& members, int threads);

  const Encoding& encoding() const { return encoding_; }
  std::vector<float> user_vector(const User& user) const;
  std::vector<Recommendation> recommend(const User& user, int64_t top, bool keep_watched) const;

  const std::string& item_token(int32_t id) const { return items().tokens[id]; }
  int64_t item_count() const { return static_cast<int64_t>(items().tokens.size()) - 1; }
  const std::vector<std::string>& user_features() const { return user_features_; }
  const std::vector<ClickField>& click() const { return encoding_.config.click; }
  int64_t vector_width() const { return encoding_.config.vector_width; }
  const char* isa() const { return device_->isa(); }

 private:
  const Vocabulary& items() const { return encoding_.vocabularies.at(encoding_.config.click[0].name); }
  void read_weights(const Folder& members, const Program& program);
  void check_inputs(const Executor& executor) const;
  size_t history_start(const User& user) const;
  RunOutputs execute(Executor& executor, const User& user, int64_t top, bool keep_watched) const;

  Encoding encoding_;
  std::vector<std::string> user_features_;
  std::shared_ptr<CpuDevice> device_;
  std::shared_ptr<Store> store_;
  std::unique_ptr<Executor> vector_, shortlist_;
};

}  // namespace shortlist

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "native/core/cpu_device.h"
#include "native/core/executor.h"
#include "native/core/json.h"
#include "native/serve/encoding.h"
#include "native/serve/folder.h"
#include "native/serve/user_run.h"

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
  Model(Folder& members, int threads) : Model(members, read_encoding(members), threads) {}

  const Encoding& encoding() const { return encoding_; }
  // [users, vector_width()]. Throws Error(Status::model) where an element is not finite.
  std::vector<float> user_vectors(const std::vector<const User*>& users) const;
  // For each user at most `top` items, the best first, without those watched unless `keep_watched`. Throws
  // Error(Status::model) where a score is not finite.
  std::vector<std::vector<Recommendation>> recommend(const std::vector<const User*>& users, int64_t top,
                                                     bool keep_watched) const;

  // A NUL byte follows it.
  std::string_view item_token(int32_t id) const { return encoding_.items().token(id); }
  int64_t item_count() const { return encoding_.items().size() - 1; }
  const std::vector<std::string>& user_features() const { return user_features_; }
  const std::vector<ClickField>& click() const { return config().schema.click; }
  int64_t vector_width() const { return config().vector_width; }
  const char* isa() const { return device_->isa(); }

 private:
  const Config& config() const { return encoding_.config(); }
  static Encoding read_encoding(Folder& members);
  Model(const Folder& members, Encoding encoding, int threads);
  void read_weights(const Folder& members, const Program& program);
  void check_inputs(const Executor& executor) const;
  RunOutputs run(Executor& executor, const std::vector<const User*>& users, int64_t top,
                 const ExcludedItems& excluded) const;

  const Encoding encoding_;
  const HistoryWindow history_;
  std::vector<std::string> user_features_;
  std::shared_ptr<CpuDevice> device_;
  std::shared_ptr<Store> store_;
  std::unique_ptr<Executor> vector_, shortlist_;
};

}  // namespace shortlist

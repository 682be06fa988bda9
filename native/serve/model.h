#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "native/core/cpu_device.h"
#include "native/core/executor.h"
#include "native/core/json.h"
#include "native/retrieve/item_search.h"
#include "native/serve/catalogue.h"
#include "native/serve/encoding.h"
#include "native/serve/folder.h"
#include "native/serve/item_scan.h"
#include "native/serve/user_run.h"

namespace shortlist {

struct Recommendation {
  int32_t item;
  float score;
  double probability;
};

struct SimilarItem {
  int32_t item;
  float similarity;
};

// Which items a call may return: all but `exclude` or, with `only_allowed`, of these only `allow`. Ids are in rising
// order, each once, without <unk>.
struct Candidates {
  std::vector<int32_t> exclude, allow;
  bool only_allowed = false;
  bool keep_watched = false;  // also items of the user's history

  const std::vector<int32_t>* allowed() const { return only_allowed ? &allow : nullptr; }
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
  // For each user at most `top` of the candidates, the best first. Probabilities are shares among the allowed items.
  // Throws Error(Status::model) where a score is not finite.
  std::vector<std::vector<Recommendation>> recommend(const std::vector<const User*>& users, int64_t top,
                                                     const Candidates& candidates) const;
  // [users, items] The scores of items, with the bits that they have on a shortlist; NaN for <unk>. Throws
  // Error(Status::model) where another score is not finite.
  std::vector<float> score(const std::vector<const User*>& users, const std::vector<int32_t>& items) const;
  // For each item at most `top` of the candidates, the most similar first, without the item itself: those whose output
  // weights have the largest cosine with its own. None for <unk>. Throws Error(Status::model) where one is not finite.
  std::vector<std::vector<SimilarItem>> similar(const std::vector<int32_t>& items, int64_t top,
                                                const Candidates& candidates) const;
  // Adds a click on an item, as the user's newest one, with the attributes that the item had in the training log.
  void add_item(User* user, const std::string& item) const;

  // The id of an item; 0 if it is unknown.
  int32_t item_id(std::string_view token) const { return encoding_.items().id(token); }
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
  std::vector<std::vector<Recommendation>> lists_of(const BestItems& best) const;
  const ItemScan& item_scan() const;
  const ItemSearch& unit_vectors() const;

  const Encoding encoding_;
  const HistoryWindow history_;
  std::vector<std::string> user_features_;
  std::shared_ptr<CpuDevice> device_;
  std::shared_ptr<Store> store_;
  std::unique_ptr<Executor> vector_, shortlist_;
  Catalogue catalogue_;
  mutable std::once_flag scanned_;
  mutable std::unique_ptr<ItemScan> items_;
  // The output weights of the items, each of norm 1, for `similar`; made when they are first needed.
  mutable std::once_flag normalized_;
  mutable std::unique_ptr<ItemSearch> unit_items_;
};

}  // namespace shortlist

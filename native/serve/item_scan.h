#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "native/core/device.h"
#include "native/core/executor.h"
#include "native/serve/user_run.h"

namespace shortlist {

// The best items for vectors, as the op top_n gives them.
struct BestItems {
  int64_t length;                    // items for each vector
  std::vector<int32_t> items;        // [vectors, length] ids, the best first; −1 where there are no more
  std::vector<float> scores;         // [vectors, length]
  std::vector<float> log_partition;  // [vectors] log Σ exp(score) over the candidates, excluded ones too

  BestItems(int64_t vectors, int64_t length);
  // Copies the outputs of a run of a Program whose outputs are these. Throws Error(Status::model) if one of them has
  // another size.
  void read(const Executor& executor, const RunOutputs& outputs);
};

// Finds, among some items of a model, those with the highest scores for vectors, exactly. Only the output weights of
// these items are read, so a short list takes a short time: src/model/requests/item_scan.ts. Any number of threads may
// use it at once.
class ItemScan {
 public:
  // The store has the tensors output.weight and output.bias, with a row for each item id.
  ItemScan(std::shared_ptr<Store> store, const std::shared_ptr<Device>& device);

  // Among `allow`, ids in rising order. `vectors` has a row for each user of `excluded`.
  BestItems search(const std::vector<float>& vectors, int64_t top, const ExcludedItems& excluded,
                   const std::vector<int32_t>& allow) const;

 private:
  const std::shared_ptr<Store> store_;
  const std::unique_ptr<Executor> executor_;
};

}  // namespace shortlist

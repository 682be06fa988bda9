#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/core/device.h"
#include "native/core/executor.h"
#include "native/serve/user_run.h"

namespace shortlist {

// The best items for vectors: src/model/requests/item_scan.ts.
struct ScannedItems {
  int64_t length;                    // items for each vector
  std::vector<int32_t> items;        // [vectors, length] ids, the best first; −1 where there are no more
  std::vector<float> scores;         // [vectors, length]
  std::vector<float> log_partition;  // [vectors] log Σ exp(score) over the candidates, excluded ones too
};

// Finds the items with the highest scores for vectors, exactly, in a stored table with a row for each item id, that of
// <unk> first. Any number of threads may use it at once.
class ItemScan {
 public:
  // `table` and `bias`, which may be empty, are names of tensors of the store.
  ItemScan(std::shared_ptr<Store> store, const std::shared_ptr<Device>& device, std::string table, std::string bias);

  // Among all items but <unk>, or only among `allow`, ids in rising order, whose rows alone are read then. `vectors`
  // has a row for each user of `excluded`.
  ScannedItems search(const std::vector<float>& vectors, int64_t top, const ExcludedItems& excluded,
                      const std::vector<int32_t>* allow) const;

 private:
  const std::shared_ptr<Store> store_;
  const std::string table_, bias_;
  std::unique_ptr<Executor> all_, chosen_;
};

}  // namespace shortlist

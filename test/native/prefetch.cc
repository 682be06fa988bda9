#include "native/data/prefetch.h"

#include <memory>
#include <vector>

#include "native/core/cpu_device.h"
#include "native/core/program.h"
#include "test/native/check.h"
#include "test/native/click_log.h"

using namespace shortlist;

namespace {

// Looks up the batch's items in a table.
const char* const kProgram = R"({"format":"shortlist-program","version":2,"dims":["positions","samples"],"tensors":[
  {"name":"table","dtype":"float32","shape":[11,2],"role":"parameter"},
  {"name":"item","dtype":"int32","shape":["positions"],"role":"input"},
  {"name":"target","dtype":"int32","shape":["samples"],"role":"input"},
  {"name":"rate","dtype":"float32","shape":[],"role":"input"},
  {"name":"found","dtype":"float32","shape":["positions",2],"role":"output"}],
  "instructions":[{"op":"embedding_lookup","inputs":{"table":"table","ids":"item"},"outputs":{"output":"found"},"attributes":{}}]})";

}  // namespace

int main() {
  const ClickLog log;
  const auto store = std::make_shared<Store>();
  store->define("table", Dtype::float32, {11, 2});
  const auto device = std::make_shared<CpuDevice>(2, "");
  const auto executor = std::make_shared<Executor>(parse_program(kProgram), store, device, false);
  for (const bool shared : {false, true}) {
    for (const bool growing : {false, true}) {
      BatchOptions options;
      options.window = 4;
      options.batch_size = 9;
      options.shared = shared;
      options.growing = growing;
      options.seed = 3;
      const auto batcher = std::make_shared<Batcher>(log.clicks(), options);
      Batcher direct(log.clicks(), options);
      Batch batch = direct.layout();
      const int64_t batches = direct.batches_per_epoch();
      for (int round = 0; round < 3; ++round) {
        Prefetch prefetch(batcher, executor);
        // In order across the end of an epoch, then in any order.
        for (const int64_t at : {int64_t{0}, int64_t{1}, batches - 2, batches - 1, batches, batches + 1, int64_t{3},
                                 int64_t{3}, 2 * batches}) {
          const int64_t epoch = at / batches, index = at % batches;
          std::unique_ptr<Prefetch::Step> step = prefetch.take(epoch, index);
          direct.build(epoch, index, &batch);
          for (size_t d = 0; d < batch.dims.size(); ++d) CHECK(step->dims[d] == batch.dims[d].size);
          const RunOutputs outputs = executor->execute(*step->inputs);
          CHECK(outputs.at(executor->plan().outputs()[0]).rows == batch.dims[1].size);
          if (round > 0) prefetch.recycle(std::move(step));
        }
        // It is destroyed while its thread builds a batch, or sleeps.
      }
    }
  }
  CHECK_TEXT(error_of(Status::option,
                      [&] {
                        BatchOptions options;
                        options.window = 1;
                        options.batch_size = 10000;
                        Prefetch prefetch(std::make_shared<Batcher>(log.clicks(), options), executor);
                        prefetch.take(0, 5);
                      }),
             "Expected batch from 0 to 0 of an epoch from 0 on but received 5 of 0");
  for (int i = 0; i < 50; ++i) {
    BatchOptions options;
    options.window = 3;
    options.batch_size = 1;
    Prefetch prefetch(std::make_shared<Batcher>(log.clicks(), options), executor);
    if (i % 2 == 0) prefetch.take(0, i);
  }
  return failures() > 0;
}

// The step loop without Node. It must give the same bits as building each batch and running the Program on it.

#include "native/train/steps.h"

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "native/core/cpu_device.h"
#include "native/core/program.h"
#include "test/native/check.h"
#include "test/native/click_log.h"

using namespace shortlist;

namespace {

const int kItems = 11;

// loss = mean of the targets' rows; noise = mean of drawn rows; total −= learning_rate · loss. Every output depends on
// the batch or on a scalar of the step, and `total` depends on the order of the steps.
std::string program_text(int items, const std::string& more_tensors = "") {
  const std::string rows = std::to_string(items);
  const auto tensor = [](const char* name, const char* dtype, const std::string& shape, const char* role) {
    return std::string(R"({"name":")") + name + R"(","dtype":")" + dtype + R"(","shape":[)" + shape + R"(],"role":")" +
           role + "\"},\n";
  };
  return R"({"format":"shortlist-program","version":2,"dims":["samples"],"tensors":[)" +
         tensor("table", "float32", rows + ",2", "parameter") + tensor("total", "float32", "", "parameter") +
         tensor("threshold", "uint32", rows, "constant") + tensor("alias", "int32", rows, "constant") +
         tensor("target", "int32", "\"samples\"", "input") + tensor("seed", "uint32", "", "input") +
         tensor("step", "uint32", "", "input") + tensor("learning_rate", "float32", "", "input") + more_tensors +
         tensor("found", "float32", "\"samples\",2", "output") + tensor("negatives", "int32", "3", "temporary") +
         tensor("drawn", "float32", "3,2", "temporary") + tensor("loss", "float32", "", "output") +
         R"({"name":"noise","dtype":"float32","shape":[],"role":"output"}],"instructions":[
  {"op":"embedding_lookup","inputs":{"table":"table","ids":"target"},"outputs":{"output":"found"},"attributes":{}},
  {"op":"mean","inputs":{"input":"found"},"outputs":{"output":"loss"},"attributes":{}},
  {"op":"draw_negatives",
   "inputs":{"threshold":"threshold","alias":"alias","target":"target","seed":"seed","step":"step"},
   "outputs":{"negatives":"negatives"},"attributes":{"draws":3,"shared":true}},
  {"op":"embedding_lookup","inputs":{"table":"table","ids":"negatives"},"outputs":{"output":"drawn"},"attributes":{}},
  {"op":"mean","inputs":{"input":"drawn"},"outputs":{"output":"noise"},"attributes":{}},
  {"op":"sgd","inputs":{"parameter":"total","gradient":"loss","learning_rate":"learning_rate"},
   "outputs":{"parameter":"total"},"attributes":{}}]})";
}

// An executor with its own store.
struct Training {
  explicit Training(const std::shared_ptr<CpuDevice>& device, int items = kItems)
      : store(std::make_shared<Store>()), executor(make(device, items)) {}

  std::shared_ptr<Executor> make(const std::shared_ptr<CpuDevice>& device, int items) {
    store->define("table", Dtype::float32, {items, 2});
    store->define("total", Dtype::float32, {});
    store->define("threshold", Dtype::uint32, {items});
    store->define("alias", Dtype::int32, {items});
    store->fill("table", {true, 1.0, 5, 0});
    const std::vector<uint32_t> thresholds(static_cast<size_t>(items), UINT32_MAX);
    store->write("threshold", Dtype::uint32, thresholds.data(), 0, items);
    return std::make_shared<Executor>(parse_program(program_text(items)), store, device, false);
  }

  uint32_t total() const {
    uint32_t bits;
    store->read("total", &bits, 0, 1);
    return bits;
  }

  std::shared_ptr<Store> store;
  std::shared_ptr<Executor> executor;
};

BatchOptions batch_options(bool shared = false, bool growing = false) {
  BatchOptions options;
  options.window = 4;
  options.batch_size = 9;
  options.shared = shared;
  options.growing = growing;
  options.seed = 3;
  return options;
}

const uint32_t kSeed = 7;

uint32_t step_number(int64_t epoch, int64_t index) { return static_cast<uint32_t>(1000 * epoch + index); }
float learning_rate(int64_t index) { return 0.5f / static_cast<float>(index + 1); }

// The scalars of some steps: the same seed for all of them, and one element for each step of the others.
struct Scalars {
  Scalars(int64_t epoch, int64_t index, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      steps.push_back(step_number(epoch, index + i));
      rates.push_back(learning_rate(index + i));
    }
  }

  // In the order of the Program's inputs. The arrays point into this object.
  std::vector<InputArray> arrays() const& {
    const int64_t count = static_cast<int64_t>(steps.size());
    return {{&kSeed, 1, Dtype::uint32, true},
            {steps.data(), count, Dtype::uint32, true},
            {rates.data(), count, Dtype::float32, true}};
  }
  std::vector<InputArray> arrays() const&& = delete;

  std::vector<uint32_t> steps;
  std::vector<float> rates;
};

StepLoop::Result run(StepLoop* loop, int64_t epoch, int64_t index, int64_t count) {
  const Scalars scalars(epoch, index, count);
  return loop->run(loop->prepare(epoch, index, count, scalars.arrays()));
}

// The expected result of a step, from a batch that is built here and a separate run: the loss, the noise and the sizes
// of the batch's dims.
struct Step {
  uint32_t loss, noise;
  std::vector<int64_t> dims;
};

Step run_directly(Executor* executor, Batcher* batcher, int64_t epoch, int64_t index) {
  Batch batch = batcher->layout();
  batcher->build(epoch, index, &batch);
  const Scalars scalars(epoch, index, 1);
  std::vector<InputArray> inputs;
  for (const Batch::Input& input : batch.inputs) {
    if (input.name == "target") inputs.push_back({input.elements.data(), input.elements.size(), input.dtype, true});
  }
  for (const InputArray& scalar : scalars.arrays()) inputs.push_back(scalar);
  const RunOutputs outputs = executor->execute(*executor->prepare({batch.dims[0].size}, inputs));
  Step step = {};
  outputs.copy(executor->plan().outputs()[1], &step.loss);
  outputs.copy(executor->plan().outputs()[2], &step.noise);
  for (const Batch::Dim& dim : batch.dims) step.dims.push_back(dim.size);
  return step;
}

void check_column(const StepLoop::Column& column, const std::string& name, Dtype dtype, int64_t count) {
  CHECK_TEXT(column.name, name);
  CHECK(column.dtype == dtype);
  CHECK(static_cast<int64_t>(column.bits.size()) == count);
}

void steps_are_the_runs_one_by_one(const ClickLog& log, const std::shared_ptr<CpuDevice>& device,
                                   const BatchOptions& options) {
  Training one(device), many(device);
  Batcher direct(log.clicks(), options);
  const Batch layout = direct.layout();
  StepLoop loop(std::make_shared<Batcher>(log.clicks(), options), many.executor);
  CHECK((loop.scalar_inputs() == std::vector<size_t>{1, 2, 3}));
  const int64_t batches = direct.batches_per_epoch();
  CHECK(batches > 8);
  struct Call {
    int64_t epoch, index, count;
  };
  for (const Call& call : {Call{0, 0, 1}, Call{0, 1, 3}, Call{0, 4, batches - 4}, Call{1, 0, batches}, Call{0, 2, 2},
                           Call{0, 2, 0}, Call{7, batches - 1, 1}}) {
    const StepLoop::Result result = run(&loop, call.epoch, call.index, call.count);
    CHECK(result.seconds_waited >= 0);
    CHECK(result.outputs.size() == 2);
    CHECK(result.dims.size() == layout.dims.size());
    check_column(result.outputs[0], "loss", Dtype::float32, call.count);
    check_column(result.outputs[1], "noise", Dtype::float32, call.count);
    for (size_t d = 0; d < layout.dims.size(); ++d) {
      check_column(result.dims[d], layout.dims[d].name, Dtype::int32, call.count);
    }
    for (size_t i = 0; i < static_cast<size_t>(call.count); ++i) {
      const Step step = run_directly(one.executor.get(), &direct, call.epoch, call.index + static_cast<int64_t>(i));
      CHECK(result.outputs[0].bits[i] == step.loss);
      CHECK(result.outputs[1].bits[i] == step.noise);
      for (size_t d = 0; d < layout.dims.size(); ++d) {
        CHECK(result.dims[d].bits[i] == static_cast<uint32_t>(step.dims[d]));
      }
    }
    CHECK(many.total() == one.total());
  }
}

void what_does_not_fit_is_refused(const ClickLog& log, const std::shared_ptr<CpuDevice>& device) {
  Training training(device);
  StepLoop loop(std::make_shared<Batcher>(log.clicks(), batch_options()), training.executor);
  const auto refused = [&](Status status, int64_t index, int64_t count, const std::vector<InputArray>& scalars) {
    return error_of(status, [&] { loop.prepare(0, index, count, scalars); });
  };
  const Scalars two(0, 0, 2), four(0, 0, 4);
  std::vector<InputArray> scalars = two.arrays();
  const int64_t batches = Batcher(log.clicks(), batch_options()).batches_per_epoch();
  struct Outside {
    int64_t index, count;
  };
  for (const Outside& at : {Outside{1000, 2}, Outside{batches - 1, 2}, Outside{batches + 1, 0}, Outside{0, INT64_MAX},
                            Outside{INT64_MAX, INT64_MAX}, Outside{-1, 2}, Outside{0, -1}}) {
    CHECK_TEXT(refused(Status::option, at.index, at.count, scalars),
               "Expected steps within the " + std::to_string(batches) + " batches of an epoch but received " +
                   std::to_string(at.count) + " from " + std::to_string(at.index) + " on in epoch 0");
  }
  CHECK_TEXT(refused(Status::input, 0, 3, scalars),
             "Expected 1 or 3 elements of uint32 for input \"step\" but received 2 of uint32");
  CHECK_TEXT(refused(Status::input, 0, 2, four.arrays()),
             "Expected 1 or 2 elements of uint32 for input \"step\" but received 4 of uint32");
  scalars[1].dtype = Dtype::int32;
  CHECK_TEXT(refused(Status::input, 0, 2, scalars),
             "Expected 1 or 2 elements of uint32 for input \"step\" but received 2 of int32");
  scalars[1].present = false;
  CHECK_TEXT(refused(Status::input, 0, 2, scalars), "Missing input \"step\"");
  CHECK_TEXT(refused(Status::input, 0, 2, {}), "Missing input \"seed\"");
  CHECK_TEXT(refused(Status::input, 0, 2, two.arrays()), "no error");

  // An input that is neither part of a batch nor a scalar.
  const std::string unknown = R"({"name":"unknown","dtype":"float32","shape":["samples"],"role":"input"},)";
  Program program = parse_program(program_text(kItems, unknown));
  StepLoop other(std::make_shared<Batcher>(log.clicks(), batch_options()),
                 std::make_shared<Executor>(std::move(program), training.store, device, false));
  const float values[2] = {1, 2};
  std::vector<InputArray> given = two.arrays();
  given.push_back({values, 2, Dtype::float32, true});
  CHECK_TEXT(error_of(Status::input, [&] { other.prepare(0, 0, 2, given); }), "Missing input \"unknown\"");
}

// The table has no row for the last item. A batch with that item is refused; the steps before it have been run, and
// later calls work.
void steps_before_a_refused_one_have_been_run(const ClickLog& log, const std::shared_ptr<CpuDevice>& device) {
  Training one(device, kItems - 1), many(device, kItems - 1);
  Batcher direct(log.clicks(), batch_options());
  StepLoop loop(std::make_shared<Batcher>(log.clicks(), batch_options()), many.executor);
  const int64_t batches = direct.batches_per_epoch();
  int64_t refused = 0;
  for (int64_t index = 0; index < batches;) {
    const std::string error = error_of(Status::input, [&] { run(&loop, 0, index, batches - index); });
    std::string expected = "no error";
    for (; index < batches && expected == "no error"; ++index) {
      expected = error_of(Status::input, [&] { run_directly(one.executor.get(), &direct, 0, index); });
    }
    CHECK_TEXT(error, expected);
    CHECK(many.total() == one.total());
    refused += error != "no error";
  }
  CHECK(refused > 1 && refused < batches);
}

// The loop of each rank runs its share of every batch. The numbers of samples that the ranks report for a step add up
// to that of the batch.
void ranks_divide_each_batch(const ClickLog& log, const std::shared_ptr<CpuDevice>& device, BatchOptions options) {
  Batcher whole(log.clicks(), options);
  const int64_t batches = whole.batches_per_epoch();
  std::vector<int64_t> samples(static_cast<size_t>(batches));
  options.world = 4;
  for (options.rank = 0; options.rank < options.world; ++options.rank) {
    steps_are_the_runs_one_by_one(log, device, options);
    Training training(device);
    StepLoop loop(std::make_shared<Batcher>(log.clicks(), options), training.executor);
    const StepLoop::Result result = run(&loop, 0, 0, batches);
    for (size_t i = 0; i < samples.size(); ++i) samples[i] += result.dims[0].bits[i];
  }
  Batch batch = whole.layout();
  for (size_t i = 0; i < samples.size(); ++i) {
    whole.build(0, static_cast<int64_t>(i), &batch);
    CHECK(samples[i] == batch.dims[0].size);
  }
}

// Loops on one device use the same threads. Each gives the same results as without the others.
void loops_on_one_device(const ClickLog& log, const std::shared_ptr<CpuDevice>& device) {
  Training alone(device);
  StepLoop loop(std::make_shared<Batcher>(log.clicks(), batch_options()), alone.executor);
  const int64_t batches = Batcher(log.clicks(), batch_options()).batches_per_epoch();
  for (int64_t epoch = 0; epoch < 3; ++epoch) run(&loop, epoch, 0, batches);
  std::vector<std::unique_ptr<Training>> trainings;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    trainings.push_back(std::make_unique<Training>(device));
    threads.emplace_back([&log, batches, executor = trainings.back()->executor] {
      StepLoop own(std::make_shared<Batcher>(log.clicks(), batch_options()), executor);
      for (int64_t epoch = 0; epoch < 3; ++epoch) run(&own, epoch, 0, batches);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& training : trainings) CHECK(training->total() == alone.total());
}

}  // namespace

int main() {
  const ClickLog log;
  const auto device = std::make_shared<CpuDevice>(2, "");
  for (const bool shared : {false, true}) {
    for (const bool growing : {false, true}) {
      steps_are_the_runs_one_by_one(log, device, batch_options(shared, growing));
      ranks_divide_each_batch(log, device, batch_options(shared, growing));
    }
  }
  what_does_not_fit_is_refused(log, device);
  steps_before_a_refused_one_have_been_run(log, device);
  loops_on_one_device(log, device);
  return failures() > 0;
}

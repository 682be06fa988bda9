// Concurrent runs of one executor and of several, over one store, with and without runs that change it.

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "native/core/cpu_device.h"
#include "native/core/executor.h"
#include "test/native/check.h"

using namespace shortlist;

namespace {

const int kRows = 512, kManyRows = 20000, kWidth = 48, kOut = 32, kCallers = 8;

// relu([table[id] | table[id]] · weight), with enough chunks for several threads.
const char* const kRead = R"({"format":"shortlist-program","version":2,"dims":["samples"],"tensors":[
  {"name":"table","dtype":"float32","shape":[512,48],"role":"parameter"},
  {"name":"weight","dtype":"float32","shape":[96,32],"role":"parameter"},
  {"name":"id","dtype":"int32","shape":["samples"],"role":"input"},
  {"name":"left","dtype":"float32","shape":["samples",48],"role":"temporary"},
  {"name":"right","dtype":"float32","shape":["samples",48],"role":"temporary"},
  {"name":"y","dtype":"float32","shape":["samples",32],"role":"output"}],
  "instructions":[
  {"op":"embedding_lookup","inputs":{"table":"table","ids":"id"},"outputs":{"output":"left"},"attributes":{}},
  {"op":"embedding_lookup","inputs":{"table":"table","ids":"id"},"outputs":{"output":"right"},"attributes":{}},
  {"op":"linear","inputs":{"input":["left","right"],"weight":"weight"},"outputs":{"output":"y"},
   "attributes":{"activation":"relu","precision":"float32","order":""}}]})";

// table[id].
const char* const kLookUp = R"({"format":"shortlist-program","version":2,"dims":["samples"],"tensors":[
  {"name":"table","dtype":"float32","shape":[20000,48],"role":"parameter"},
  {"name":"id","dtype":"int32","shape":["samples"],"role":"input"},
  {"name":"y","dtype":"float32","shape":["samples",48],"role":"output"}],
  "instructions":[{"op":"embedding_lookup","inputs":{"table":"table","ids":"id"},"outputs":{"output":"y"},"attributes":{}}]})";

// table −= gradient.
const char* const kWrite = R"({"format":"shortlist-program","version":2,"dims":[],"tensors":[
  {"name":"table","dtype":"float32","shape":[20000,48],"role":"parameter"},
  {"name":"gradient","dtype":"float32","shape":[20000,48],"role":"input"},
  {"name":"rate","dtype":"float32","shape":[],"role":"input"}],
  "instructions":[{"op":"sgd","inputs":{"parameter":"table","gradient":"gradient","learning_rate":"rate"},"outputs":{"parameter":"table"},"attributes":{}}]})";

std::shared_ptr<Store> new_store() {
  auto store = std::make_shared<Store>();
  for (const auto& [name, rows, columns] :
       {std::tuple("table", kRows, kWidth), std::tuple("weight", 2 * kWidth, kOut)}) {
    store->define(name, Dtype::float32, {rows, columns});
    store->fill(name, {false, 1.0, 7, static_cast<uint32_t>(rows)});
  }
  return store;
}

// The output of kRead or kLookUp for these ids.
std::vector<float> run(Executor* executor, const std::vector<int32_t>& ids) {
  const int64_t samples = static_cast<int64_t>(ids.size());
  const RunOutputs outputs =
      executor->execute(*executor->prepare({samples}, {{ids.data(), samples, Dtype::int32, true}}));
  const int output = executor->plan().outputs()[0];
  std::vector<float> y(static_cast<size_t>(outputs.at(output).rows * outputs.at(output).columns));
  outputs.copy(output, y.data());
  return y;
}

std::vector<int32_t> ids_of(int caller, int round) {
  std::vector<int32_t> ids(static_cast<size_t>(1 + (caller * 131 + round * 37) % 700));
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int32_t>((i * 7 + static_cast<size_t>(caller) * 13 + static_cast<size_t>(round)) % kRows);
  return ids;
}

template <class Body>
void in_threads(int count, const Body& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

// Every caller gets the same results as without the others, also if some of its runs are refused.
void check_readers() {
  const int rounds = 40;
  auto store = new_store();
  auto device = std::make_shared<CpuDevice>(3, "");
  Executor alone(parse_program(kRead), store, std::make_shared<CpuDevice>(1, ""), false);
  Executor first(parse_program(kRead), store, device, true), second(parse_program(kRead), store, device, false);
  CHECK(!first.plan().writes_store());
  std::vector<std::vector<std::vector<float>>> expected(kCallers);
  for (int caller = 0; caller < kCallers; ++caller) {
    for (int round = 0; round < rounds; ++round)
      expected[static_cast<size_t>(caller)].push_back(run(&alone, ids_of(caller, round)));
  }
  std::atomic<int> wrong{0};
  in_threads(kCallers, [&](int caller) {
    for (int round = 0; round < rounds; ++round) {
      std::vector<int32_t> ids = ids_of(caller, round);
      Executor* const executor = caller % 3 == 0 ? &second : &first;
      if (run(executor, ids) != expected[static_cast<size_t>(caller)][static_cast<size_t>(round)]) ++wrong;
      ids.back() = kRows;
      if (error_of(Status::input, [&] { run(executor, ids); }).find("received 512 at") == std::string::npos) ++wrong;
    }
  });
  CHECK(wrong == 0);
  const std::vector<double> seconds = first.profile();
  CHECK(seconds.size() == 3 && seconds[2] > 0);
}

// Outputs do not change while other runs of the executor are computed.
void check_outputs_stay() {
  Executor executor(parse_program(kRead), new_store(), std::make_shared<CpuDevice>(2, ""), false);
  const std::vector<int32_t> ids = ids_of(1, 2);
  const std::vector<float> expected = run(&executor, ids);
  std::vector<RunOutputs> kept;
  for (int i = 0; i < 5; ++i) {
    kept.push_back(executor.execute(*executor.prepare(
        {static_cast<int64_t>(ids.size())}, {{ids.data(), static_cast<int64_t>(ids.size()), Dtype::int32, true}})));
  }
  run(&executor, ids_of(3, 4));
  for (const RunOutputs& outputs : kept) {
    std::vector<float> y(expected.size());
    outputs.copy(executor.plan().outputs()[0], y.data());
    CHECK(y == expected);
  }
}

// Readers see the table before or after an update, never in between, and no update is lost. The table is large, so that
// an update takes long enough for others to start meanwhile.
void check_writers() {
  const int writers = 2, rounds = 15;
  auto store = std::make_shared<Store>();
  store->define("table", Dtype::float32, {kManyRows, kWidth});
  auto device = std::make_shared<CpuDevice>(3, "");
  Executor reader(parse_program(kLookUp), store, device, false), writer(parse_program(kWrite), store, device, false);
  CHECK(writer.plan().writes_store());
  const std::vector<float> gradient(static_cast<size_t>(kManyRows * kWidth), 1.0f);
  const float rate = 1;
  std::vector<int32_t> all;
  for (int32_t i = 0; i < kManyRows; ++i) all.push_back(i);
  std::atomic<int> torn{0};
  in_threads(writers + 4, [&](int caller) {
    for (int round = 0; round < rounds; ++round) {
      if (caller < writers) {
        writer.execute(*writer.prepare(
            {}, {{gradient.data(), kManyRows * kWidth, Dtype::float32, true}, {&rate, 1, Dtype::float32, true}}));
        continue;
      }
      const std::vector<float> table = run(&reader, all);
      for (const float element : table) torn += element != table[0];
    }
  });
  CHECK(torn == 0);
  CHECK(run(&reader, {0})[0] == static_cast<float>(-writers * rounds));
}

// States beyond the number of processors are freed after use.
void check_idle_states() {
  const Plan plan(parse_program(kRead), CpuDevice(1, "").ops());
  CpuDevice device(1, "");
  auto store = new_store();
  RunStates states;
  CHECK(states.take() == nullptr);
  const size_t most = std::max(1u, std::thread::hardware_concurrency());
  for (size_t i = 0; i < most + 10; ++i) states.give_back(std::make_unique<RunState>(plan, *store, device));
  size_t idle = 0;
  while (states.take() != nullptr) ++idle;
  CHECK(idle == most);
}

}  // namespace

int main() {
  check_readers();
  check_outputs_stay();
  check_writers();
  check_idle_states();
  return failures() > 0;
}

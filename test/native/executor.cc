// The executor with real kernels on every instruction set of this machine: results, concatenation as a view, reuse of
// memory, growing sizes, and refused runs, which must change nothing.

#include "native/core/executor.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "native/core/cpu_device.h"
#include "test/native/check.h"

using namespace shortlist;

namespace {

std::string tensor(const char* name, const char* role, const char* shape, const char* dtype = "float32") {
  return std::string("{\"name\":\"") + name + "\",\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"role\":\"" +
         role + "\"},\n";
}

std::string instruction(const char* op, const char* inputs, const char* outputs, const char* attributes = "") {
  return std::string("{\"op\":\"") + op + "\",\"inputs\":{" + inputs + "},\"outputs\":{" + outputs +
         "},\"attributes\":{" + attributes + "}},\n";
}

std::string program_text(std::string tensors, std::string instructions) {
  for (std::string* list : {&tensors, &instructions}) list->resize(list->size() - 2);
  return "{\"format\":\"shortlist-program\",\"version\":2,\"dims\":[\"samples\"],\"tensors\":[" + tensors +
         "],\"instructions\":[" + instructions + "]}";
}

const int kUsers = 10, kUserWidth = 5, kCities = 7, kCityWidth = 3, kOut = 4;

const char* const kLookUpUser = "\"table\":\"users\",\"ids\":\"user\"";
const char* const kLookUpCity = "\"table\":\"cities\",\"ids\":\"city\"";

// relu([users[user] | cities[city]] · weight), then the same layer's result once more through `add`, and an update.
std::string network(const char* linear_inputs = "\"input\":[\"u\",\"c\"],\"weight\":\"weight\"") {
  return program_text(
      tensor("users", "parameter", "10,5") + tensor("cities", "parameter", "7,3") +
          tensor("weight", "parameter", "8,4") + tensor("user", "input", "\"samples\"", "int32") +
          tensor("city", "input", "\"samples\"", "int32") + tensor("rate", "input", "") +
          tensor("step", "input", "8,4") + tensor("u", "temporary", "\"samples\",5") +
          tensor("c", "temporary", "\"samples\",3") + tensor("h", "temporary", "\"samples\",4") +
          tensor("sum", "output", "\"samples\",4"),
      instruction("embedding_lookup", kLookUpUser, "\"output\":\"u\"") +
          instruction("embedding_lookup", kLookUpCity, "\"output\":\"c\"") +
          instruction("linear", linear_inputs, "\"output\":\"h\"",
                      "\"activation\":\"relu\",\"precision\":\"float32\",\"order\":\"\"") +
          instruction("add", "\"left\":\"h\",\"right\":\"h\"", "\"output\":\"sum\"") +
          instruction("sgd", "\"parameter\":\"weight\",\"gradient\":\"step\",\"learning_rate\":\"rate\"",
                      "\"parameter\":\"weight\""));
}

float value(int i, int salt) { return static_cast<float>((i * 37 + salt * 11) % 19 - 9) / 8.0f; }

std::shared_ptr<Store> new_store() {
  auto store = std::make_shared<Store>();
  int salt = 0;
  for (const auto& [name, rows, columns] :
       {std::tuple("users", kUsers, kUserWidth), std::tuple("cities", kCities, kCityWidth),
        std::tuple("weight", kUserWidth + kCityWidth, kOut)}) {
    store->define(name, Dtype::float32, {rows, columns});
    std::vector<float> values(static_cast<size_t>(rows * columns));
    for (size_t i = 0; i < values.size(); ++i) values[i] = value(static_cast<int>(i), salt);
    store->write(name, Dtype::float32, values.data(), 0, rows * columns);
    ++salt;
  }
  return store;
}

struct Inputs {
  explicit Inputs(int samples) : sizes{samples}, step(32, 0.5f) {
    for (int s = 0; s < samples; ++s) {
      user.push_back((s * 7 + 3) % kUsers);
      city.push_back((s * 5 + 1) % kCities);
    }
  }
  std::vector<InputArray> arrays() const {
    return {{user.data(), static_cast<int64_t>(user.size()), Dtype::int32, true},
            {city.data(), static_cast<int64_t>(city.size()), Dtype::int32, true},
            {&rate, 1, Dtype::float32, true},
            {step.data(), 32, Dtype::float32, true}};
  }
  std::vector<int64_t> sizes;
  std::vector<int32_t> user, city;
  std::vector<float> step;
  float rate = 0;
};

std::vector<float> run(Executor* executor, const Inputs& inputs) {
  const RunOutputs outputs = executor->execute(*executor->prepare(inputs.sizes, inputs.arrays()));
  std::vector<float> sum(static_cast<size_t>(inputs.sizes[0]) * kOut);
  outputs.copy(executor->plan().outputs()[0], sum.data());
  return sum;
}

void check_result(const std::vector<float>& sum, const Inputs& inputs) {
  bool near = true;
  for (int s = 0; s < inputs.sizes[0]; ++s) {
    for (int n = 0; n < kOut; ++n) {
      double h = 0;
      for (int k = 0; k < kUserWidth; ++k)
        h += double{value(inputs.user[s] * kUserWidth + k, 0)} * value(k * kOut + n, 2);
      for (int k = 0; k < kCityWidth; ++k)
        h += double{value(inputs.city[s] * kCityWidth + k, 1)} * value((kUserWidth + k) * kOut + n, 2);
      near = near && std::abs(sum[s * kOut + n] - 2 * std::fmax(h, 0)) < 1e-5;
    }
  }
  CHECK(near);
}

void check_isa(const char* isa) {
  auto device = std::make_shared<CpuDevice>(3, isa);
  CHECK_TEXT(device->isa(), isa);
  auto store = new_store();
  Executor executor(parse_program(network()), store, device, true);
  for (const int samples : {3, 1000, 0, 1, 257, 4000}) {
    const Inputs inputs(samples);
    const std::vector<float> sum = run(&executor, inputs);
    check_result(sum, inputs);
    Executor alone(parse_program(network()), store, std::make_shared<CpuDevice>(1, isa), false);
    const std::vector<float> same = run(&alone, inputs);
    CHECK(sum.empty() || std::memcmp(sum.data(), same.data(), sum.size() * sizeof(float)) == 0);
  }
  CHECK(executor.profile().size() == 5 && executor.profile()[2] > 0);

  // A refused run has changed nothing.
  Inputs bad(8);
  bad.rate = 1;
  bad.city[5] = kCities;
  CHECK_TEXT(error_of(Status::input, [&] { run(&executor, bad); }),
             "[embedding_lookup] Expected ids of 0 to 6 in city but received 7 at 5 (instruction 1)");
  check_result(run(&executor, Inputs(8)), Inputs(8));
  bad.city[5] = 0;
  run(&executor, bad);
  float weight;
  store->read("weight", &weight, 0, 1);
  CHECK(weight == value(0, 2) - 0.5f);
}

void check_refusals() {
  auto device = std::make_shared<CpuDevice>(1, "");
  const auto construct = [&](const std::string& text, std::shared_ptr<Store> store) {
    Executor(parse_program(text), std::move(store), device, false);
  };
  const auto program_error = [&](const char* linear) {
    return error_of(Status::program, [&] { construct(network(linear), new_store()); });
  };
  CHECK_TEXT(program_error("\"input\":[\"u\",\"c\"]"), "[linear] Missing operand \"weight\" (instruction 2)");
  CHECK_TEXT(program_error("\"input\":[],\"weight\":\"weight\""), "[linear] Missing operand \"input\" (instruction 2)");
  CHECK_TEXT(program_error("\"input\":[\"u\",\"c\"],\"weight\":[\"weight\"]"),
             "[linear] Expected one tensor for \"weight\" (instruction 2)");
  CHECK_TEXT(program_error("\"input\":[\"u\",\"c\"],\"weight\":\"weight\",\"bais\":\"rate\""),
             "[linear] Unknown input \"bais\" (instruction 2)");
  CHECK_TEXT(error_of(Status::program,
                      [&] {
                        construct(program_text(tensor("y", "output", ""), instruction("fil", "", "\"output\":\"y\"")),
                                  new_store());
                      }),
             "Program uses unknown op \"fil\"");
  CHECK_TEXT(error_of(Status::executor, [&] { construct(network(), std::make_shared<Store>()); }),
             "The store has no parameter \"users\"");
  {
    auto store = std::make_shared<Store>();
    store->define("users", Dtype::float32, {10, 6});
    CHECK_TEXT(error_of(Status::program, [&] { construct(network(), store); }),
               "Expected \"users\" [10, 5] but the store has [10, 6]");
  }
  Executor executor(parse_program(network()), new_store(), device, false);
  const Inputs inputs(4);
  const auto input_error = [&](auto change) {
    std::vector<InputArray> arrays = inputs.arrays();
    std::vector<int64_t> sizes = inputs.sizes;
    change(&arrays, &sizes);
    return error_of(Status::input, [&] { executor.prepare(sizes, arrays); });
  };
  CHECK_TEXT(input_error([](auto* arrays, auto*) { (*arrays)[1] = InputArray(); }), "Missing input \"city\"");
  CHECK_TEXT(input_error([](auto* arrays, auto*) { (*arrays)[1].elements = 3; }),
             "Expected 4 values for input \"city\" [4] but received 3");
  CHECK_TEXT(input_error([](auto* arrays, auto*) { (*arrays)[1].dtype = Dtype::float32; }),
             "Expected values of int32 for input \"city\" but received float32");
  CHECK_TEXT(input_error([](auto*, auto* sizes) { (*sizes)[0] = -1; }),
             "Expected a whole number for dim \"samples\" but received -1");
  CHECK_TEXT(input_error([](auto*, auto* sizes) { (*sizes)[0] = int64_t{1} << 50; }),
             "Expected smaller dims: \"user\" would be larger than any memory");
  Executor attribute(parse_program(program_text(tensor("y", "output", ""),
                                                instruction("fill", "", "\"output\":\"y\"", "\"value\":\"one\""))),
                     new_store(), device, false);
  CHECK(error_of(Status::program, [&] {
          attribute.execute(*attribute.prepare({0}, {}));
        }).rfind("[fill] Expected attribute \"value\" to be a number", 0) == 0);
}

// Programs whose operands do not have the types of their slots are refused when the executor is created.
void check_slot_types() {
  auto device = std::make_shared<CpuDevice>(1, "");
  auto store = new_store();
  store->define("numbers", Dtype::int32, {4});
  const auto refusal = [&](const std::string& tensors, const std::string& instructions) {
    return error_of(Status::program,
                    [&] { Executor(parse_program(program_text(tensors, instructions)), store, device, false); });
  };
  const auto lookup = [&](const std::string& ids, const char* operand = "ids", const char* output = "output") {
    return refusal(
        tensor("cities", "parameter", "7,3") + tensor("users", "parameter", "10,5") + ids + tensor("y", output, "4,3"),
        instruction("embedding_lookup", ("\"table\":\"cities\",\"ids\":\"" + std::string(operand) + "\"").c_str(),
                    "\"output\":\"y\""));
  };
  CHECK_TEXT(lookup(tensor("ids", "input", "4")),
             "[embedding_lookup] Expected ids of int32 but received ids of float32 (instruction 0)");
  CHECK_TEXT(lookup(tensor("ids", "input", "4,0", "int32")),
             "[embedding_lookup] Expected ids with 1 axes but received ids [4, 0] (instruction 0)");
  CHECK_TEXT(lookup(tensor("numbers", "parameter", "4", "int32"), "numbers"),
             "[embedding_lookup] Expected ids to be an input, a constant or computed but received parameter numbers "
             "(instruction 0)");
  const std::string gradient =
      tensor("cities", "parameter", "7,3") + tensor("rate", "input", "") + tensor("step", "input", "7,3");
  CHECK_TEXT(refusal(gradient + tensor("y", "output", "7,3"),
                     instruction("sgd", "\"parameter\":\"cities\",\"gradient\":\"step\",\"learning_rate\":\"rate\"",
                                 "\"parameter\":\"y\"")),
             "[sgd] Expected parameter to be the stored tensor that is updated in place, and no other operand, but "
             "received y (instruction 0)");
  CHECK_TEXT(refusal(gradient,
                     instruction("sgd", "\"parameter\":\"cities\",\"gradient\":\"cities\",\"learning_rate\":\"rate\"",
                                 "\"parameter\":\"cities\"")),
             "[sgd] Expected parameter to be the stored tensor that is updated in place, and no other operand, but "
             "received cities (instruction 0)");
  CHECK_TEXT(refusal(gradient, instruction("add", "\"left\":\"step\",\"right\":\"step\"", "\"output\":\"cities\"")),
             "[add] Expected output to be a temporary or an output but received parameter cities (instruction 0)");
}

// Indices that ops compute are accepted if the promised bounds are tight enough.

// The error of a run with 4 samples, or "no error".
std::string run_refusal(Status status, const std::string& tensors, const std::string& instructions,
                        const std::vector<std::vector<int32_t>>& inputs) {
  Executor executor(parse_program(program_text(tensors, instructions)), new_store(), std::make_shared<CpuDevice>(1, ""),
                    false);
  std::vector<InputArray> arrays;
  for (const std::vector<int32_t>& values : inputs)
    arrays.push_back({values.data(), static_cast<int64_t>(values.size()), Dtype::int32, true});
  return error_of(status, [&] { executor.execute(*executor.prepare({4}, arrays)); });
}

const std::string cities = tensor("cities", "parameter", "7,3") + tensor("like", "input", "\"samples\"", "int32");

void check_computed_ids() {
  const auto numbered = [&](Status status, const char* first) {
    return run_refusal(
        status, cities + tensor("n", "temporary", "\"samples\"", "int32") + tensor("y", "output", "\"samples\",3"),
        instruction("row_numbers", "\"like\":\"like\"", "\"output\":\"n\"", first) +
            instruction("embedding_lookup", "\"table\":\"cities\",\"ids\":\"n\"", "\"output\":\"y\""),
        {{0, 0, 0, 0}});
  };
  CHECK_TEXT(numbered(Status::input, "\"first\":3"), "no error");
  CHECK_TEXT(numbered(Status::input, "\"first\":4"),
             "[embedding_lookup] Expected ids of 0 to 6 in n but it will hold ids of 4 to 7 (instruction 1)");
  CHECK_TEXT(numbered(Status::program, "\"first\":2147483647"),
             "[row_numbers] Expected first of 0 to 2147483643 (instruction 0)");
}

void check_computed_ranges() {
  // Offsets must be given; a range may be made of consecutive numbers.
  const std::string ranges = cities + tensor("start", "temporary", "\"samples\"", "int32") +
                             tensor("end", "temporary", "\"samples\"", "int32") +
                             tensor("y", "output", "\"samples\",3");
  const auto bag = [&](Status status, const char* from, const char* to, const char* operands) {
    return run_refusal(status, ranges,
                       instruction("row_numbers", "\"like\":\"like\"", "\"output\":\"start\"", from) +
                           instruction("row_numbers", "\"like\":\"like\"", "\"output\":\"end\"", to) +
                           instruction("embedding_bag", operands, "\"output\":\"y\""),
                       {{0, 0, 0, 0}});
  };
  const char* const each = "\"table\":\"cities\",\"ids\":\"like\",\"start\":\"start\",\"end\":\"end\"";
  CHECK_TEXT(bag(Status::input, "\"first\":0", "\"first\":1", each), "no error");
  CHECK_TEXT(bag(Status::input, "\"first\":0", "\"first\":2", each),
             "[embedding_bag] Expected ranges within 0 to 4 in start, end but received [3, 5) at 3 (instruction 2)");
  CHECK_TEXT(
      bag(Status::program, "\"first\":0", "\"first\":1",
          "\"table\":\"cities\",\"ids\":\"like\",\"start\":\"start\",\"end\":\"end\",\"offsets\":\"end\""),
      "[embedding_bag] Expected offsets from 0 to 4 in end but nothing is known of what it will hold (instruction 2)");
}

void check_computed_order() {
  // Rows that were sorted from other ids, or from fewer, are refused.
  const std::string sorted =
      cities + tensor("users", "parameter", "10,5") + tensor("ids", "input", "\"samples\"", "int32") +
      tensor("order", "temporary", "\"samples\"", "int32") + tensor("rows", "temporary", "\"samples\"", "int32") +
      tensor("segments", "temporary", "\"samples+1\"", "int32") + tensor("count", "temporary", "", "int32") +
      tensor("terms", "temporary", "\"samples\",3") + tensor("y", "output", "7,3");
  const auto scatter = [&](Status status, const char* ids, const char* rows, const std::vector<int32_t>& given) {
    const std::string operands = std::string("\"table\":\"cities\",\"order\":\"order\",\"rows\":\"") + rows +
                                 "\",\"segments\":\"segments\",\"count\":\"count\",\"ids\":[\"" + ids +
                                 "\"],\"term_rows\":[\"terms\"]";
    return run_refusal(
        status, sorted,
        instruction("sort_rows", "\"ids\":[\"ids\"]",
                    "\"order\":\"order\",\"rows\":\"rows\",\"segments\":\"segments\",\"count\":\"count\"") +
            instruction("embedding_lookup", "\"table\":\"cities\",\"ids\":\"like\"", "\"output\":\"terms\"") +
            instruction("scatter_add", operands.c_str(), "\"output\":\"y\"", "\"terms\":\"p\""),
        {{0, 1, 2, 3}, given});
  };
  CHECK_TEXT(scatter(Status::input, "ids", "rows", {6, 0, 6, 1}), "no error");
  CHECK_TEXT(scatter(Status::input, "ids", "rows", {6, 0, 9, 1}),
             "[scatter_add] Expected ids of 0 to 6 in ids but received 9 at 2 (instruction 2)");
  CHECK_TEXT(scatter(Status::program, "like", "rows", {6, 0, 6, 1}),
             "[scatter_add] Expected the ids that sort_rows sorted, in their order, for order (instruction 2)");
  CHECK_TEXT(scatter(Status::program, "ids", "ids", {6, 0, 6, 1}),
             "[scatter_add] Expected order, rows, segments and count of one sort_rows, or all of them given, but ids "
             "is not (instruction 2)");
}

void check_side_by_side() {
  const std::vector<SideBySide> groups = find_side_by_side(parse_program(network()));
  CHECK(groups.size() == 1 && groups[0].width == 8 && groups[0].tensors == (std::vector<int>{7, 8}));
  CHECK(find_side_by_side(parse_program(network("\"input\":[\"u\",\"u\"],\"weight\":\"weight\"")))
            .empty());  // a tensor cannot have two places
}

void check_store() {
  Store store;
  store.define("x", Dtype::int32, {3});
  const int32_t values[2] = {7, 8};
  store.write("x", Dtype::int32, values, 1, 2);
  int32_t read[3];
  store.read("x", read, 0, 3);
  CHECK(read[0] == 0 && read[1] == 7 && read[2] == 8);
  CHECK_TEXT(error_of(Status::executor, [&] { store.define("x", Dtype::int32, {3}); }),
             "Tensor \"x\" is already in the store");
  CHECK_TEXT(error_of(Status::executor, [&] { store.at("y"); }), "The store has no tensor \"y\"");
  CHECK_TEXT(error_of(Status::input, [&] { store.write("x", Dtype::int32, values, 2, 2); }),
             "Expected at most 1 values for \"x\" but received 2");
  CHECK_TEXT(error_of(Status::input, [&] { store.write("x", Dtype::float32, values, 0, 1); }),
             "Expected values of int32 for \"x\" but received float32");
  CHECK_TEXT(error_of(Status::input, [&] { store.read("x", read, 4, 0); }),
             "Expected to read within the 3 values of \"x\" but received offset 4, count 0");
  CHECK(error_of(Status::program, [&] {
          store.define("z", Dtype::int32, {int64_t{1} << 40, int64_t{1} << 40});
        }).rfind("Expected \"z\" with fewer", 0) == 0);

  // A large tensor is zeroed lazily. Both of its ends can be accessed.
  store.define("large", Dtype::float32, {int64_t{1} << 20, 64});
  const float one = 1;
  const int64_t last = (int64_t{1} << 26) - 1;
  store.write("large", Dtype::float32, &one, last, 1);
  float ends[2];
  store.read("large", ends, 0, 1);
  store.read("large", ends + 1, last, 1);
  CHECK(ends[0] == 0 && ends[1] == 1);
  if (!kExact) CHECK(reinterpret_cast<uintptr_t>(store.at("large").memory.data()) % 64 == 0);
}

void check_arena() {
  if (kExact) return;
  CpuDevice device(1, "");
  Arena arena(&device);
  for (int round = 0; round < 3; ++round) {
    std::vector<char*> blocks;
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{5} << 20}) {
      blocks.push_back(static_cast<char*>(arena.allocate(bytes)));
      CHECK(reinterpret_cast<uintptr_t>(blocks.back()) % 64 == 0);
      std::memset(blocks.back(), round, bytes);
    }
    CHECK(round == 0 || blocks[1] - blocks[0] == 64);  // from the second round on, all are in one block
    arena.reset();
  }
}

}  // namespace

int main() {
  for (const Isa& isa : usable_isas()) check_isa(isa.name);
  CHECK_TEXT(error_of(Status::option, [] { select_isa("sse9"); }).substr(0, 29), "Expected an instruction set (");
  check_refusals();
  check_slot_types();
  check_computed_ids();
  check_computed_ranges();
  check_computed_order();
  check_side_by_side();
  check_store();
  check_arena();
  return failures() > 0;
}

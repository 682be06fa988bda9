// Runs the cases of test/cases with the kernels of every instruction set of this machine. Results must be close to
// those of the reference executor and have the same bits with 1, 2, 3 and 7 threads; bad ids must be refused before
// anything changes. test/ops tests more with the same cases, but needs Node. This program needs only the file of the
// cases, so it runs under emulators and sanitizers.
//
//   test_cases test/cases/corpus.jsonl test/cases/networks.jsonl

#include <map>
#include <memory>

#include "native/core/cpu_device.h"
#include "native/core/executor.h"
#include "test/native/case_corpus.h"
#include "test/native/check.h"

using namespace shortlist;

namespace {

using Tensors = std::map<std::string, Bits>;

// What a tensor must hold after a run.
struct Expectation {
  double bound;                // the largest difference between a number and the expected one
  size_t every;                // only each every-th number is listed, counted from the last one
  std::vector<double> values;  // the listed numbers
  double sum;                  // if not all are listed: Σ (1 + i mod 31) · xᵢ over all numbers xᵢ
};

struct Case {
  std::string name;
  Program program;
  std::vector<int64_t> sizes;  // of the Program's dims
  Tensors given;               // inputs and stored tensors
  std::map<std::string, Expectation> expected;
  std::vector<std::pair<std::string, double>> refused;  // a tensor, and a last number with which it must be refused
};

void fail(const std::string& what) { report(__FILE__, __LINE__, what); }

std::vector<int64_t> shape_of(const Case& of, const TensorSpec& spec) {
  std::vector<int64_t> shape;
  for (const Dim& dim : spec.shape) shape.push_back(evaluate(dim, of.sizes));
  return shape;
}

int64_t elements_of(const Case& of, const TensorSpec& spec) {
  int64_t elements = 1;
  for (const int64_t size : shape_of(of, spec)) elements *= size;
  return elements;
}

const TensorSpec& spec_of(const Program& program, const std::string& name) {
  for (const TensorSpec& spec : program.tensors) {
    if (spec.name == name) return spec;
  }
  throw Error(Status::program, "Corpus: no tensor \"" + name + "\"");
}

Case parse_case(const Json& json) {
  Case parsed;
  parsed.name = corpus::member(json, "name").string();
  parsed.program = parse_program(corpus::member(json, "program").format());
  for (const std::string& dim : parsed.program.dims) {
    parsed.sizes.push_back(static_cast<int64_t>(corpus::member(corpus::member(json, "dims"), dim.c_str()).number()));
  }
  for (const Json::Member& given : corpus::member(json, "given").members()) {
    const TensorSpec& spec = spec_of(parsed.program, given.first);
    parsed.given[given.first] = given_bits(spec.dtype, elements_of(parsed, spec), given.second);
  }
  for (const Json::Member& expected : corpus::member(json, "expected").members()) {
    const Json& of = expected.second;
    Expectation& expectation = parsed.expected[expected.first];
    const size_t every = static_cast<size_t>(corpus::member(of, "every").number());
    expectation = {corpus::member(of, "bound").number(), every, {}, 0};
    for (const Json& value : corpus::member(of, "values").items()) expectation.values.push_back(corpus::number(value));
    if (every > 1) expectation.sum = corpus::member(of, "sum").number();
  }
  for (const Json& bad : corpus::member(json, "refused").items()) {
    parsed.refused.emplace_back(bad.items()[0].string(), bad.items()[1].number());
  }
  return parsed;
}

std::shared_ptr<Store> store_of(const Case& of, const Tensors& given) {
  auto store = std::make_shared<Store>();
  for (const TensorSpec& spec : of.program.tensors) {
    if (!stored(spec.role)) continue;
    store->define(spec.name, spec.dtype, shape_of(of, spec));
    store->write(spec.name, spec.dtype, given.at(spec.name).data(), 0, elements_of(of, spec));
  }
  return store;
}

// The outputs of a run and the stored tensors after it. If the run is refused, only the stored tensors, and *error is
// the message.
Tensors run(const Case& of, const std::shared_ptr<CpuDevice>& device, const Tensors& given, std::string* error) {
  const std::shared_ptr<Store> store = store_of(of, given);
  Executor executor(of.program, store, device, false);
  std::vector<InputArray> inputs;
  for (const int input : executor.plan().inputs()) {
    const TensorSpec& spec = of.program.tensors[input];
    inputs.push_back({given.at(spec.name).data(), static_cast<int64_t>(given.at(spec.name).size()), spec.dtype, true});
  }
  std::unique_ptr<RunOutputs> outputs;
  *error = error_of(Status::input, [&] {
    outputs = std::make_unique<RunOutputs>(executor.execute(*executor.prepare(of.sizes, inputs)));
  });
  Tensors results;
  for (const TensorSpec& spec : of.program.tensors) {
    if (!stored(spec.role)) continue;
    Bits& bits = results[spec.name];
    bits.resize(given.at(spec.name).size());
    store->read(spec.name, bits.data(), 0, static_cast<int64_t>(bits.size()));
  }
  for (const int output : executor.plan().outputs()) {
    if (!outputs) break;
    const TensorSpec& spec = of.program.tensors[output];
    Bits& bits = results[spec.name];
    bits.resize(static_cast<size_t>(elements_of(of, spec)));
    outputs->copy(output, bits.data());
  }
  return results;
}

void check_numbers(const std::string& where, Dtype dtype, const Bits& bits, const Expectation& expected) {
  const auto value = [&](size_t i) { return corpus::value_of(dtype, bits[i]); };
  const auto near = [](double received, double wanted, double bound) {
    return received == wanted || std::abs(received - wanted) <= bound || (std::isnan(received) && std::isnan(wanted));
  };
  if ((bits.size() + expected.every - 1) / expected.every != expected.values.size()) {
    return fail(where + ": expected another number of elements than " + std::to_string(bits.size()));
  }
  for (size_t k = 0; k < expected.values.size(); ++k) {
    const size_t i = bits.size() - 1 - k * expected.every;
    // Rounded to the tensor's dtype, because the file has only the digits that float32 needs.
    const double wanted = corpus::value_of(dtype, corpus::bits_of(dtype, expected.values[k]));
    if (near(value(i), wanted, expected.bound)) continue;
    return fail(where + ": expected " + std::to_string(wanted) + " ± " + std::to_string(expected.bound) + " at " +
                std::to_string(i) + " but received " + std::to_string(value(i)));
  }
  if (expected.every == 1) return;
  double sum = 0, weights = 0, magnitude = 0;
  for (size_t i = 0; i < bits.size(); ++i) {
    const double weight = 1.0 + static_cast<double>(i % 31);
    sum += weight * value(i);
    weights += weight;
    magnitude += weight * std::abs(value(i));
  }
  if (near(sum, expected.sum, weights * expected.bound + 1e-13 * magnitude)) return;
  fail(where + ": expected a weighted sum of " + std::to_string(expected.sum) + " but received " + std::to_string(sum));
}

void check_case(const Case& of, const std::vector<std::shared_ptr<CpuDevice>>& devices) {
  const std::string where = of.name + " on " + devices[0]->isa();
  Tensors first;
  for (const std::shared_ptr<CpuDevice>& device : devices) {
    std::string error;
    const Tensors results = run(of, device, of.given, &error);
    if (error != "no error") return fail(where + ": " + error);
    if (first.empty()) first = results;
    for (const auto& [tensor, bits] : results) {
      if (bits == first[tensor]) continue;
      fail(where + ": " + tensor + " has other bits with " + std::to_string(device->thread_count()) + " threads");
    }
  }
  if (first.size() != of.expected.size()) fail(where + ": expected other outputs and stored tensors");
  for (const auto& [tensor, bits] : first) {
    const auto expected = of.expected.find(tensor);
    if (expected == of.expected.end()) fail(where + ": nothing is expected of " + tensor);
    else check_numbers(where + ": " + tensor, spec_of(of.program, tensor).dtype, bits, expected->second);
  }
}

// The case without the instructions of its gradient, which would refuse the ids as well.
Case without_gradient(const Case& of) {
  std::vector<std::string> outputs;
  for (const Operand& operand : of.program.instructions[0].outputs) {
    for (const int tensor : operand.tensors) {
      if (!stored(of.program.tensors[tensor].role)) outputs.push_back(of.program.tensors[tensor].name);
    }
  }
  Case alone = of;
  alone.program = select_outputs(of.program, outputs);
  return alone;
}

void check_refusals(const Case& whole, const std::shared_ptr<CpuDevice>& device) {
  if (whole.refused.empty()) return;
  const Case of = without_gradient(whole);
  for (const auto& [tensor, number] : of.refused) {
    const std::string where = of.name + " on " + device->isa() + ", " + tensor + " with " + std::to_string(number);
    Tensors given = of.given;
    given.at(tensor).back() = corpus::bits_of(spec_of(of.program, tensor).dtype, number);
    std::string error;
    const Tensors after = run(of, device, given, &error);
    if (error.rfind("[", 0) != 0) {
      fail(where + ": expected a refusal but received: " + error);
      continue;
    }
    for (const auto& [name, bits] : after) {
      if (bits != given.at(name)) fail(where + ": a refused run changed " + name);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<Case> cases;
  for (int i = 1; i < count; ++i) {
    for_each_line(arguments[i], [&](const Json& json) { cases.push_back(parse_case(json)); });
  }
  for (const Isa& isa : usable_isas()) {
    std::vector<std::shared_ptr<CpuDevice>> devices;
    for (const int threads : {1, 2, 3, 7}) devices.push_back(std::make_shared<CpuDevice>(threads, isa.name));
    for (const Case& of : cases) {
      check_case(of, devices);
      check_refusals(of, devices[0]);
    }
  }
  std::printf("%zu cases\n", cases.size());
  return failures() > 0 || cases.empty();
}

// Untrusted Programs. Each mutation of a valid Program must be refused before a kernel runs, or must run without access
// to memory outside its tensors. A build with SHORTLIST_EXACT detects such accesses, by the address sanitizer or guard
// pages.
//
//   mutate_programs CASES NETWORKS [mutations [seed [isa]]]     test/cases/corpus.jsonl, networks.jsonl
//   mutate_programs CASES NETWORKS only NUMBER SEED             repeats one mutation and prints its Program

#include <cstdlib>
#include <memory>

#include "native/core/cpu.h"
#include "native/core/cpu_device.h"
#include "native/core/error.h"
#include "native/core/executor.h"
#include "test/fuzz/finding.h"
#include "test/fuzz/mutable_program.h"
#include "test/native/case_corpus.h"

using namespace shortlist;

namespace {

const int64_t kMostElements = int64_t{1} << 18;  // Programs with more elements in all tensors are not run

const int64_t kMostCaseElements = 3000;  // cases with more elements in all tensors are not used

// The numbers of a tensor: its own integers, repeated or cut to its new size, or random floats.
std::vector<uint32_t> numbers_of(const MutableProgram& program, const TensorSpec& spec, int64_t elements,
                                 Random& random) {
  std::vector<uint32_t> bits(static_cast<size_t>(elements));
  const auto found = program.values.find(spec.name);
  const bool has_values = found != program.values.end() && !found->second.empty();
  for (size_t i = 0; i < bits.size(); ++i) {
    const double value = has_values ? found->second[i % found->second.size()] : 4 * random.uniform() - 2;
    const float number = static_cast<float>(value);
    if (spec.dtype == Dtype::float32) std::memcpy(&bits[i], &number, sizeof number);
    else bits[i] = static_cast<uint32_t>(static_cast<int64_t>(value));
  }
  return bits;
}

struct Counts {
  uint64_t run = 0, refused = 0, large = 0, changed = 0;
};

void run(const MutableProgram& mutated, const std::shared_ptr<CpuDevice>& device, Random& random, Counts* counts) {
  const Program program = parse_program(mutated.format());
  std::vector<int64_t> sizes;
  for (const std::string& dim : program.dims) {
    const auto found = mutated.sizes.find(dim);
    sizes.push_back(found == mutated.sizes.end() ? 1 : found->second);
  }
  std::vector<int64_t> elements;
  int64_t all = 0;
  for (const TensorSpec& spec : program.tensors) {
    int64_t count = 1;
    for (const Dim& dim : spec.shape) {
      const int64_t size = evaluate(dim, sizes);
      count = size > kMostElements ? kMostElements + 1 : std::min(count * size, kMostElements + 1);
    }
    elements.push_back(count);
    all += count;
  }
  const bool is_large = all > kMostElements;
  auto store = std::make_shared<Store>();
  std::vector<std::pair<std::string, std::vector<uint32_t>>> stored_values;
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    const TensorSpec& spec = program.tensors[i];
    if (!stored(spec.role)) continue;
    std::vector<int64_t> shape;
    for (const Dim& dim : spec.shape) shape.push_back(is_large ? 0 : evaluate(dim, sizes));
    store->define(spec.name, spec.dtype, shape);
    stored_values.emplace_back(spec.name, numbers_of(mutated, spec, is_large ? 0 : elements[i], random));
    store->write(spec.name, spec.dtype, stored_values.back().second.data(), 0, is_large ? 0 : elements[i]);
  }
  Executor executor(program, store, device, false);
  std::vector<std::vector<uint32_t>> given;
  std::vector<InputArray> inputs;
  for (const int tensor : executor.plan().inputs()) {
    given.push_back(numbers_of(mutated, program.tensors[tensor], is_large ? 0 : elements[tensor], random));
    inputs.push_back(
        {given.back().data(), static_cast<int64_t>(given.back().size()), program.tensors[tensor].dtype, true});
  }
  if (is_large) {
    ++counts->large;
    return;
  }
  std::unique_ptr<RunOutputs> outputs;
  try {
    outputs = std::make_unique<RunOutputs>(executor.execute(*executor.prepare(sizes, inputs)));
  } catch (const Error&) {
    for (const auto& [name, before] : stored_values) {  // a refused run has changed nothing
      std::vector<uint32_t> after(before.size());
      store->read(name, after.data(), 0, static_cast<int64_t>(after.size()));
      counts->changed += before != after;
    }
    throw;
  }
  for (const int output : executor.plan().outputs()) {
    const std::unique_ptr<uint32_t[]> copy(new uint32_t[static_cast<size_t>(elements[output])]);
    outputs->copy(output, copy.get());
  }
  ++counts->run;
}

// Reads the Programs of a corpus, with their integer operands.
void read_corpus(const char* path, std::vector<MutableProgram>* programs) {
  for_each_line(path, [&](const Json& json) {
    MutableProgram program = MutableProgram::parse(*json.find("program"));
    if (const Json* const dims = json.find("dims")) {
      for (const Json::Member& dim : dims->members())
        program.sizes[dim.first] = static_cast<int64_t>(dim.second.number());
    }
    int64_t all = 0;
    for (const TensorSpec& spec : parse_program(program.format()).tensors) {
      int64_t elements = 1;
      for (const Dim& dim : spec.shape) elements *= dim.constant;
      all += elements;
      const Json* const given = json.find("given")->find(spec.name);
      if (given == nullptr || spec.dtype == Dtype::float32) continue;
      for (const uint32_t bits : given_bits(spec.dtype, elements, *given))
        program.values[spec.name].push_back(corpus::value_of(spec.dtype, bits));
    }
    if (!program.sizes.empty() || all <= kMostCaseElements) programs->push_back(std::move(program));
  });
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: %s cases networks [mutations [seed [isa]]] | cases networks only number seed\n",
                 arguments[0]);
    return 2;
  }
  report_findings();
  std::vector<MutableProgram> corpus;
  for (const char* const path : {arguments[1], arguments[2]}) read_corpus(path, &corpus);
  const auto number = [&](int at, uint64_t fallback) {
    return count > at ? std::strtoull(arguments[at], nullptr, 10) : fallback;
  };
  const bool only = count > 3 && std::string(arguments[3]) == "only";
  const uint64_t seed = only ? number(5, 1) : number(4, 1), first = only ? number(4, 0) : 0,
                 end = only ? first + 1 : number(3, 20000);
  std::vector<std::shared_ptr<CpuDevice>> devices;
  for (const Isa& isa : usable_isas()) {
    if (only || count < 6 || isa.name == std::string(arguments[5]))
      devices.push_back(std::make_shared<CpuDevice>(1, isa.name));
  }
  Counts counts;
  for (uint64_t i = first; i < end; ++i) {
    current() = {seed, i};
    Random random(seed * 1000003 + i);
    MutableProgram program = corpus[i % corpus.size()];
    const bool as_it_is = i < corpus.size();
    for (size_t changes = as_it_is ? 0 : 1 + random.below(4); changes > 0; --changes) program.mutate(random);
    if (only) std::printf("%s\n", program.format().c_str());
    try {
      run(program, devices[i / corpus.size() % devices.size()], random, &counts);
    } catch (const Error& error) {
      ++counts.refused;
      if (as_it_is || only) std::printf("refused: %s\n", error.what());
      if (as_it_is) ++counts.changed;
    }
  }
  std::printf("%llu mutations of %zu programs: %llu ran, %llu were refused, %llu were too large to try\n",
              static_cast<unsigned long long>(end - first), corpus.size(), static_cast<unsigned long long>(counts.run),
              static_cast<unsigned long long>(counts.refused), static_cast<unsigned long long>(counts.large));
  if (counts.changed > 0)
    std::printf("%llu refused runs changed a stored tensor, or valid programs were refused\n",
                static_cast<unsigned long long>(counts.changed));
  return counts.changed > 0 || corpus.empty();
}

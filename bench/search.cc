// Times exact search (native/retrieve) against the limits of the machine, in one process. bench/search.ts builds and
// runs it:
//
//   bench_search THREADS ROUNDS random ITEMS WIDTH
//   bench_search THREADS ROUNDS trained ITEMS.npy USERS.npy COPIES
//
// Every round times every search once, and the limits beside them: reading the same vectors with a plain sum, and
// multiply-adds from registers, and a product of large matrices. It prints a JSON object with the median of each.
// `trained` reads vectors that `shortlist vectors --transform none --format npy` wrote, [b; w] of items and [1; u] of
// users. With COPIES > 1 the catalogue is made larger: each copy has every vector of the model with other small
// changes.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#define SHORTLIST_ISA bench

#include "native/core/executor.h"
#include "native/core/program.h"
#include "native/retrieve/item_search.h"
#include "native/simd/vector.h"

namespace shortlist {
namespace bench {
namespace {

const int64_t kTop = 100;
const int64_t kParts = 64;
const float kNoise = 0.05f;  // of a copied element, relative to it

struct Vectors {
  int64_t items, width;
  std::vector<float> bias;
  Memory weight;
  int64_t queries;
  std::vector<float> users;  // [queries, width]
  std::string name;
};

struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<float> values;
};

Matrix read_npy(const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) {
    std::fprintf(stderr, "Expected a file %s\n", path);
    std::exit(1);
  }
  unsigned char head[10];
  Matrix matrix;
  bool whole = std::fread(head, 1, sizeof head, file) == sizeof head;
  std::string text(whole ? head[8] | head[9] << 8 : 0, ' ');
  whole = whole && std::fread(&text[0], 1, text.size(), file) == text.size();
  const size_t shape = text.find("'shape': (");
  whole = whole && shape != std::string::npos &&
          std::sscanf(text.c_str() + shape, "'shape': (%ld, %ld)", &matrix.rows, &matrix.columns) == 2;
  matrix.values.resize(static_cast<size_t>(matrix.rows * matrix.columns));
  whole = whole && std::fread(matrix.values.data(), 4, matrix.values.size(), file) == matrix.values.size();
  std::fclose(file);
  if (!whole) {
    std::fprintf(stderr, "Expected a float32 matrix in %s\n", path);
    std::exit(1);
  }
  return matrix;
}

Vectors random_vectors(int64_t items, int64_t width) {
  Vectors vectors;
  vectors.items = items;
  vectors.width = width;
  vectors.queries = 256;
  vectors.weight = Memory(static_cast<size_t>(items * width) * 4);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  float* const weight = static_cast<float*>(vectors.weight.data());
  for (int64_t i = 0; i < items * width; ++i) weight[i] = normal(random);
  vectors.users.resize(static_cast<size_t>(vectors.queries * width));
  for (float& element : vectors.users) element = normal(random);
  vectors.name = "random";
  return vectors;
}

Vectors trained_vectors(const char* items, const char* users, int64_t copies) {
  const Matrix item = read_npy(items), user = read_npy(users);
  Vectors vectors;
  vectors.items = item.rows * copies;
  vectors.width = item.columns - 1;
  vectors.queries = std::min<int64_t>(256, user.rows);
  vectors.weight = Memory(static_cast<size_t>(vectors.items * vectors.width) * 4);
  vectors.bias.resize(static_cast<size_t>(vectors.items));
  float* const weight = static_cast<float*>(vectors.weight.data());
  std::mt19937 random(1);
  std::normal_distribution<float> normal(1, copies > 1 ? kNoise : 0);
  for (int64_t i = 0; i < vectors.items; ++i) {
    const float* const from = item.values.data() + i % item.rows * item.columns;
    vectors.bias[static_cast<size_t>(i)] = from[0];
    for (int64_t c = 0; c < vectors.width; ++c) {
      weight[i * vectors.width + c] = from[1 + c] * (i < item.rows ? 1.0f : normal(random));
    }
  }
  for (int64_t q = 0; q < vectors.queries; ++q) {
    const float* const from = user.values.data() + q * user.rows / vectors.queries * user.columns;
    vectors.users.insert(vectors.users.end(), from + 1, from + user.columns);
  }
  vectors.name = items;
  return vectors;
}

volatile float sink[kParts];  // takes results, so that the compiler does not remove their computation

// Calls body(part) for kParts parts on all threads.
template <class Body>
void on_all_threads(CpuDevice* device, const Body& body) {
  device->threads()->run(
      kParts, false, [](void* context, int64_t part) { (*static_cast<const Body*>(context))(part); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

void read_all(CpuDevice* device, const float* elements, int64_t count) {
  on_all_threads(device, [&](int64_t part) {
    const int64_t begin = count * part / kParts / 64 * 64, end = count * (part + 1) / kParts / 64 * 64;
    vf sums[8] = {};
    for (int64_t i = begin; i + 8 * kLanes <= end; i += 8 * kLanes) {
      for (int j = 0; j < 8; ++j) sums[j] += load(elements + i + j * kLanes);
    }
    for (int j = 1; j < 8; ++j) sums[0] += sums[j];
    sink[part] = sums[0][0];
  });
}

// Multiply-adds with operands in registers, as in bench/limits.cc. Returns their float32 operations.
double multiply_adds(CpuDevice* device) {
  const int64_t rounds = 20000;
  const int chains_each = kLanes == 16 ? 24 : 12;
  on_all_threads(device, [&](int64_t part) {
    vf chains[chains_each];
    for (int i = 0; i < chains_each; ++i) chains[i] = splat(static_cast<float>(i));
    const vf factor = splat(0.5f), term = splat(1.0f);
    for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
      for (int i = 0; i < chains_each; ++i) chains[i] = madd(chains[i], factor, term);
    }
    vf total = chains[0];
    for (int i = 1; i < chains_each; ++i) total += chains[i];
    sink[part] = total[0];
  });
  return 2.0 * kParts * rounds * chains_each * kLanes;
}

// A matrix product of 1024 × 1024 × 1024 by the op linear.
const char* const kProduct = R"({"format":"shortlist-program","version":2,"dims":[],"tensors":[
  {"name":"a","dtype":"float32","shape":[1024,1024],"role":"constant"},
  {"name":"b","dtype":"float32","shape":[1024,1024],"role":"constant"},
  {"name":"product","dtype":"float32","shape":[1024,1024],"role":"output"}],
  "instructions":[{"op":"linear","inputs":{"input":["a"],"weight":"b"},"outputs":{"output":"product"},
    "attributes":{"activation":"none","precision":"float32","order":""}}]})";
const double kProductFlops = 2.0 * 1024 * 1024 * 1024;

std::shared_ptr<Executor> product_of(std::shared_ptr<CpuDevice> device) {
  const auto store = std::make_shared<Store>();
  store->define("a", Dtype::float32, {1024, 1024});
  store->define("b", Dtype::float32, {1024, 1024});
  return std::make_shared<Executor>(parse_program(kProduct), store, std::move(device), false);
}

struct Timed {
  std::string name;
  std::function<void()> run;
  std::vector<double> seconds;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Seconds since some time. For one thread they are those of the processor, which other programs change less.
double now(int threads) {
  if (threads == 1) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Filter {
  std::string name;
  std::vector<int32_t> excluded, allowed;
};

// Random distinct items in rising order, `share` of all.
std::vector<int32_t> some_items(int64_t items, double share) {
  std::mt19937 random(2);
  std::vector<int32_t> some;
  for (int64_t i = 0; i < items; ++i) {
    if (static_cast<double>(random()) < share * 4294967296.0) some.push_back(static_cast<int32_t>(i));
  }
  return some;
}

struct Results {
  std::vector<int32_t> items;
  std::vector<float> scores;
};

void search(const ItemSearch& index, const Vectors& vectors, int64_t first, int64_t queries, const Filter& filter,
            Results* results) {
  results->items.resize(static_cast<size_t>(queries * kTop));
  results->scores.resize(static_cast<size_t>(queries * kTop));
  SearchRequest request;
  request.queries = vectors.users.data() + first * vectors.width;
  request.count = queries;
  request.top = kTop;
  const auto lists_of = [](const std::vector<int32_t>& list) {
    return ItemLists{list.data(), nullptr, static_cast<int64_t>(list.size()), !list.empty()};
  };
  request.excluded = lists_of(filter.excluded);
  request.allowed = lists_of(filter.allowed);
  request.items = results->items.data();
  request.scores = results->scores.data();
  index.search(request);
}

int run(int threads, int rounds, const Vectors& vectors) {
  const auto device = std::make_shared<CpuDevice>(threads, "");
  const float* const weight = static_cast<const float*>(vectors.weight.data());
  const ItemVectors view = {
      weight, vectors.bias.empty() ? nullptr : vectors.bias.data(), vectors.items, vectors.width, vectors.width, 0};
  const ItemSearch plain(device, nullptr, view, false), coded(device, nullptr, view, true);
  const Filter none = {"", {}, {}};
  const std::vector<Filter> filters = {{"1 query, 1 % excluded", some_items(vectors.items, 0.01), {}},
                                       {"1 query, 50 % excluded", some_items(vectors.items, 0.5), {}},
                                       {"1 query, 0.1 % allowed", {}, some_items(vectors.items, 0.001)},
                                       {"1 query, 1 % allowed", {}, some_items(vectors.items, 0.01)},
                                       {"1 query, 50 % allowed", {}, some_items(vectors.items, 0.5)}};
  Results results, others;
  for (int64_t q = 0; q < vectors.queries; ++q) {
    search(plain, vectors, q, 1, none, &results);
    search(coded, vectors, q, 1, none, &others);
    if (results.items != others.items || std::memcmp(results.scores.data(), others.scores.data(), 4 * kTop) != 0) {
      std::fprintf(stderr, "error: The first pass changes the result of query %ld\n", static_cast<long>(q));
      return 1;
    }
  }
  int64_t next = 0;
  const auto one = [&] { return next++ % vectors.queries; };
  std::vector<Timed> timed;
  double flops = 0;
  timed.push_back({"read", [&] { read_all(device.get(), weight, vectors.items * vectors.width); }, {}});
  timed.push_back({"multiply-adds", [&] { flops = multiply_adds(device.get()); }, {}});
  const std::shared_ptr<Executor> product = product_of(device);
  timed.push_back({"product", [&] { product->execute(*product->prepare({}, {})); }, {}});
  timed.push_back({"1 query", [&] { search(plain, vectors, one(), 1, none, &results); }, {}});
  timed.push_back({"1 query, int8", [&] { search(coded, vectors, one(), 1, none, &results); }, {}});
  for (const Filter& filter : filters) {
    timed.push_back({filter.name, [&] { search(plain, vectors, one(), 1, filter, &results); }, {}});
    if (filter.allowed.empty())
      timed.push_back({filter.name + ", int8", [&] { search(coded, vectors, one(), 1, filter, &results); }, {}});
  }
  for (const int64_t queries : {2, 3, 4, 8, 16, 64, 256}) {
    if (queries > vectors.queries) continue;
    const std::string name = std::to_string(queries) + " queries";
    timed.push_back({name, [&, queries] { search(plain, vectors, 0, queries, none, &results); }, {}});
    timed.push_back({name + ", int8", [&, queries] { search(coded, vectors, 0, queries, none, &results); }, {}});
  }
  for (int round = -1; round < rounds; ++round) {
    for (Timed& work : timed) {
      work.run();  // warm: the caches hold what this work leaves there
      const double start = now(threads);
      work.run();
      if (round >= 0) work.seconds.push_back(now(threads) - start);
    }
  }
  std::printf("{\"vectors\": \"%s\", \"items\": %ld, \"width\": %ld, \"threads\": %d, \"isa\": \"%s\"",
              vectors.name.c_str(), static_cast<long>(vectors.items), static_cast<long>(vectors.width), threads,
              device->isa());
  std::printf(", \"bytes\": %.0f, \"flops\": %.0f", 4.0 * static_cast<double>(vectors.items * vectors.width), flops);
  std::printf(", \"productFlops\": %.0f", kProductFlops);
  for (const Timed& work : timed) std::printf(", \"%s\": %.6g", work.name.c_str(), median(work.seconds));
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace bench
}  // namespace shortlist

int main(int argc, char** argv) {
  using namespace shortlist::bench;
  const auto is = [&](int count, const char* kind) { return argc == count && std::strcmp(argv[3], kind) == 0; };
  if (argc > 3) {
    const int threads = std::atoi(argv[1]), rounds = std::atoi(argv[2]);
    if (is(6, "random")) return run(threads, rounds, random_vectors(std::atol(argv[4]), std::atol(argv[5])));
    if (is(7, "trained")) return run(threads, rounds, trained_vectors(argv[4], argv[5], std::atol(argv[6])));
  }
  std::fprintf(stderr,
               "Expected THREADS ROUNDS random ITEMS WIDTH, or THREADS ROUNDS trained ITEMS.npy USERS.npy COPIES\n");
  return 1;
}

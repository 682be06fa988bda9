// Measures the peak rates of this machine, with which benchmarks are compared. bench/limits.ts builds and runs it once
// for each instruction set, with the vectors and the memory of the kernels:
//
//   limits THREADS
//
// It prints one JSON object with these rates per second, each the best of several tries on all threads:
//   flops  float32 operations of multiply-adds (two each), with operands in registers
//   bf16   the same for bfloat16 dot products summed in float32 (VDPBF16PS); 0 if the processor has none
//   copy   bytes that memcpy reads and writes, between blocks far larger than the caches
//   rows   bytes of 256-byte rows that are read in random order, with prefetching, from a table far larger than the
//   caches

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "native/core/memory.h"
#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int kLeastTries = 5;
const double kSeconds = 0.3;
const int64_t kBlockBytes = int64_t{256} << 20;
const int64_t kRowElements = 64;
const int64_t kTableRows = int64_t{4} << 20;  // 1 GiB
const int64_t kRowsRead = int64_t{1} << 16;   // rows read in one try; each try reads other rows
const int64_t kIds = int64_t{1} << 22;

// The time in seconds from the start of work(thread) on all threads until the last one has ended.
template <class Work>
double seconds_of(int threads, const Work& work) {
  std::atomic<int> waiting(threads);
  std::vector<std::thread> others;
  using Clock = std::chrono::steady_clock;
  Clock::time_point start;
  const auto meet = [&](int thread) {
    if (waiting.fetch_sub(1) == 1) start = Clock::now();
    while (waiting.load() > 0) {}
    work(thread);
  };
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(meet, thread);
  meet(0);
  for (std::thread& other : others) other.join();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The best rate, `amount` per second, of many short tries, because other programs may use the machine at the same time.
template <class Work>
double best(int threads, double amount, const Work& work) {
  double rate = 0;
  double spent = 0;
  for (int attempt = 0; attempt < kLeastTries || spent < kSeconds; ++attempt) {
    const double seconds = seconds_of(threads, [&](int thread) { work(thread, attempt); });
    spent += seconds;
    if (amount / seconds > rate) rate = amount / seconds;
  }
  return rate;
}

// The number of independent chains: enough to hide the latency, few enough for the registers.
#if defined(__AVX512F__)
const int kChains = 24;
#else
const int kChains = 12;
#endif

volatile float sink[64];  // takes results, so that the compiler does not remove their computation

void multiply_adds(int thread, int64_t rounds) {
  vf chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = splat(static_cast<float>(i));
  const vf factor = splat(0.5f), term = splat(1.0f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) chains[i] = madd(chains[i], factor, term);
  }
  vf total = chains[0];
  for (int i = 1; i < kChains; ++i) total = total + chains[i];
  sink[thread % 64] = total[0];
}

#if defined(__AVX512F__)
__attribute__((target("avx512bf16"))) void dot_products(int thread, int64_t rounds) {
  __m512 chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512bh factor = (__m512bh)_mm512_set1_epi32(0x3f003f00);  // ½ in each half
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) chains[i] = _mm512_dpbf16_ps(chains[i], factor, factor);
  }
  __m512 total = chains[0];
  for (int i = 1; i < kChains; ++i) total = _mm512_add_ps(total, chains[i]);
  sink[thread % 64] = _mm512_cvtss_f32(total);
}

double dot_product_flops(int threads, int64_t rounds) {
  if (!__builtin_cpu_supports("avx512bf16")) return 0;
  return best(threads, 4.0 * threads * rounds * kChains * kLanes,
              [&](int thread, int) { dot_products(thread, rounds); });
}
#else
double dot_product_flops(int, int64_t) { return 0; }
#endif

uint64_t next_random(uint64_t* state) {  // splitmix64
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void read_rows(int thread, const float* table, const int32_t* ids, int64_t count, int64_t ahead) {
  vf sums[kRowElements / kLanes] = {};
  for (int64_t i = 0; i < count; ++i) {
    const char* later = reinterpret_cast<const char*>(table + ids[i + ahead] * kRowElements);
    for (int64_t line = 0; line < kRowElements * 4; line += 64) __builtin_prefetch(later + line);
    const float* row = table + ids[i] * kRowElements;
    for (int v = 0; v < kRowElements / kLanes; ++v) sums[v] = sums[v] + load(row + v * kLanes);
  }
  vf total = sums[0];
  for (int v = 1; v < kRowElements / kLanes; ++v) total = total + sums[v];
  sink[thread % 64] = total[0];
}

int run(int threads) {
  const int64_t rounds = 200000;
  const double flops =
      best(threads, 2.0 * threads * rounds * kChains * kLanes, [&](int thread, int) { multiply_adds(thread, rounds); });
  const double bf16 = dot_product_flops(threads, rounds);

  double copy;
  {
    const Memory from(kBlockBytes), to(kBlockBytes);
    std::memset(from.data(), 1, kBlockBytes);
    std::memset(to.data(), 1, kBlockBytes);
    const int64_t part = kBlockBytes / threads / 64 * 64;
    copy = best(threads, 2.0 * threads * part, [&](int thread, int) {
      std::memcpy(static_cast<char*>(to.data()) + thread * part, static_cast<const char*>(from.data()) + thread * part,
                  part);
    });
  }

  const Memory table(kTableRows * kRowElements * 4);
  std::memset(table.data(), 0, table.bytes());
  std::vector<int32_t> ids(kIds);
  uint64_t state = 1;
  for (int32_t& id : ids) id = static_cast<int32_t>(next_random(&state) % kTableRows);
  const int64_t most_ahead = 64;
  const int64_t windows = (kIds - most_ahead) / kRowsRead;
  double rows = 0;
  for (int64_t ahead = 4; ahead <= most_ahead; ahead *= 2) {
    const double rate = best(threads, 4.0 * threads * kRowsRead * kRowElements, [&](int thread, int attempt) {
      const int64_t window = (static_cast<int64_t>(attempt) * threads + thread) % windows;
      read_rows(thread, static_cast<const float*>(table.data()), ids.data() + window * kRowsRead, kRowsRead, ahead);
    });
    if (rate > rows) rows = rate;
  }
  std::printf("{\"flops\": %.6g, \"bf16\": %.6g, \"copy\": %.6g, \"rows\": %.6g}\n", flops, bf16, copy, rows);
  return 0;
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  if (threads < 1) {
    std::fprintf(stderr, "Expected a number of threads\n");
    return 1;
  }
  return shortlist::SHORTLIST_ISA::run(threads);
}

#include "native/core/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

#include "test/native/check.h"

using namespace shortlist;

namespace {

struct Counts {
  explicit Counts(int64_t chunks) : of(static_cast<size_t>(chunks)) {}
  std::vector<std::atomic<int>> of;
};

void count_chunk(void* context, int64_t chunk) {
  static_cast<Counts*>(context)->of[static_cast<size_t>(chunk)].fetch_add(1);
}

// Each chunk runs exactly once, with and without in_order.
bool each_once(Threads* threads, int64_t chunks) {
  Counts counts(chunks);
  for (const bool in_order : {false, true}) threads->run(chunks, in_order, count_chunk, &counts);
  for (const std::atomic<int>& count : counts.of) {
    if (count != 2) return false;
  }
  return true;
}

// The first chunk waits for all others, so other threads must run the rest of its thread's part.
bool helps(Threads* threads) {
  std::atomic<int> others{0};
  threads->run(
      64, false,
      [](void* context, int64_t chunk) {
        std::atomic<int>& done = *static_cast<std::atomic<int>*>(context);
        if (chunk > 0) {
          done.fetch_add(1);
          return;
        }
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (done != 63 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
        if (done != 63) done = -1000;
      },
      &others);
  return others == 63;
}

// Several callers at once, with few and with many chunks. Each chunk of every caller runs exactly once.
bool each_once_of_many_callers(Threads* threads, int callers) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> calling;
  for (int i = 0; i < callers; ++i) {
    calling.emplace_back([&, i] {
      for (int64_t round = 0; round < 500; ++round) wrong += !each_once(threads, (round * 13 + i) % 90);
    });
  }
  for (std::thread& thread : calling) thread.join();
  return wrong == 0;
}

// A caller that finds the pool busy starts alone, and uses the pool for its remaining chunks once it is free.
bool joins_when_free(Threads* threads) {
  std::atomic<int> at{0};  // 1: the pool is taken; 2: the other caller has started alone
  std::thread other([&] {
    threads->run(
        2, false,
        [](void* context, int64_t) {
          std::atomic<int>& step = *static_cast<std::atomic<int>*>(context);
          int nobody = 0;
          step.compare_exchange_strong(nobody, 1);
          while (step < 2) std::this_thread::yield();
        },
        &at);
  });
  while (at < 1) std::this_thread::yield();
  struct Seen {
    std::atomic<int>* at;
    std::thread::id caller;
    std::atomic<int> alone{0}, helped{0};
  } seen{&at, std::this_thread::get_id(), {}, {}};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (seen.helped == 0 && std::chrono::steady_clock::now() < end) {
    threads->run(
        4096, false,
        [](void* context, int64_t) {
          Seen& by = *static_cast<Seen*>(context);
          ++(std::this_thread::get_id() == by.caller ? by.alone : by.helped);
          *by.at = 2;
          std::this_thread::sleep_for(std::chrono::microseconds(20));
        },
        &seen);
  }
  other.join();
  return seen.alone > 0 && seen.helped > 0;
}

// In a run, idle workers look for jobs for longer, and those that sleep are woken. Each chunk still runs exactly once,
// also with several callers, whose runs begin and end while other jobs are open.
bool each_once_in_runs(Threads* threads, int callers) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> calling;
  for (int i = 0; i < callers; ++i) {
    calling.emplace_back([&, i] {
      for (int64_t round = 0; round < 200; ++round) {
        if (round % 10 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
        threads->begin_run();
        for (int64_t job = 0; job < 3; ++job) wrong += !each_once(threads, (round * 13 + job + i) % 40);
        threads->end_run();
      }
    });
  }
  for (std::thread& thread : calling) thread.join();
  return wrong == 0;
}

// The processor time, in seconds, that all threads of this process spend while it waits for 200 ms.
double idle_seconds() {
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  return static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
}

}  // namespace

int main() {
  for (const int count : {1, 2, 3, 7}) {
    Threads threads(count);
    CHECK(threads.count() == count);
    for (const int64_t chunks : {0, 1, 2, 3, 7, 1000}) CHECK(each_once(&threads, chunks));
    bool all = true;
    for (int64_t i = 0; i < 20000; ++i) all = all && each_once(&threads, i % 5);  // jobs that end before a worker wakes
    CHECK(all);
    for (int i = 0; i < 20; ++i) {  // workers asleep
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      CHECK(each_once(&threads, 64));
    }
  }
  for (int i = 0; i < 200; ++i) Threads unused(4);
  {
    Threads two(2), five(5);
    CHECK(helps(&two) && helps(&five));
    CHECK(joins_when_free(&two) && joins_when_free(&five));
    CHECK(each_once_of_many_callers(&two, 4) && each_once_of_many_callers(&five, 7));
    CHECK(each_once_in_runs(&two, 1) && each_once_in_runs(&two, 3) && each_once_in_runs(&five, 4));
  }
  {
    // After a job, a pool with as many threads as processors spins for a while; a larger one does not. Both then sleep,
    // also during a run.
    const int processors = static_cast<int>(std::max(2u, std::thread::hardware_concurrency()));
    Threads fitting(processors), larger(processors + 5);
    CHECK(each_once(&fitting, 64) && each_once(&larger, 64));
    CHECK(idle_seconds() < 0.05);
    fitting.begin_run();
    larger.begin_run();
    CHECK(each_once(&fitting, 64) && each_once(&larger, 64));
    CHECK(idle_seconds() < 0.05);
    fitting.end_run();
    larger.end_run();
  }

  // A different calling thread each time, as with libuv's pool.
  Threads threads(3);
  for (int i = 0; i < 20; ++i) std::thread([&] { CHECK(each_once(&threads, 100)); }).join();
  return failures() > 0;
}

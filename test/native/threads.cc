#include "native/core/threads.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "test/native/check.h"

using namespace shortlist;

namespace {

struct Counts {
  explicit Counts(int64_t chunks) : of(static_cast<size_t>(chunks)) {}
  std::vector<std::atomic<int>> of;
};

void count_chunk(void* context, int64_t chunk) { static_cast<Counts*>(context)->of[static_cast<size_t>(chunk)].fetch_add(1); }

bool each_once(Threads* threads, int64_t chunks) {
  Counts counts(chunks);
  threads->run(chunks, count_chunk, &counts);
  for (const std::atomic<int>& count : counts.of) {
    if (count != 1) return false;
  }
  return true;
}

}  // namespace

int main() {
  for (const int count : {1, 2, 3, 8}) {
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

  // Another caller each time, as with libuv's pool.
  Threads threads(3);
  for (int i = 0; i < 20; ++i) std::thread([&] { CHECK(each_once(&threads, 100)); }).join();
  return failures() > 0;
}

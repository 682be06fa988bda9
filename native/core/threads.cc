#include "native/core/threads.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "native/core/error.h"

namespace shortlist {
namespace {

// Looks at the clock of an idle worker: the kernels of a step follow each other within microseconds, and waking a
// sleeping thread costs more than that. Some 20 µs, then it sleeps.
const int kSpins = 400;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Condition>
bool spin_until(int spins, const Condition& condition) {
  for (int i = 0; i < spins; ++i) {
    if (condition()) return true;
    pause();
  }
  return condition();
}

}  // namespace

// A job is open while its chunks are handed out. Workers join an open job and leave it under the mutex, so that a worker
// which wakes late never touches a job that is over, and nobody waits for a worker to wake.
struct Threads::Impl {
  std::vector<std::thread> workers;
  int spins = 0;

  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable left;
  bool stop = false;             // under mutex
  bool open = false;             // under mutex
  int asleep = 0;                // under mutex
  std::atomic<int> joined{0};    // written under mutex
  std::atomic<int64_t> job{0};   // written under mutex: rises with each job and at the end

  int64_t chunks = 0;  // written while no worker is joined
  void (*task)(void*, int64_t) = nullptr;
  void* context = nullptr;
  alignas(64) std::atomic<int64_t> next{0};

  void claim_chunks() {
    for (int64_t chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) task(context, chunk);
  }

  void work() {
    int64_t seen = 0;
    for (;;) {
      spin_until(spins, [&] { return job.load(std::memory_order_relaxed) != seen; });
      {
        std::unique_lock<std::mutex> lock(mutex);
        ++asleep;
        wake.wait(lock, [&] { return job.load(std::memory_order_relaxed) != seen; });
        --asleep;
        seen = job.load(std::memory_order_relaxed);
        if (stop) return;
        if (!open) continue;
        joined.fetch_add(1, std::memory_order_relaxed);
      }
      claim_chunks();
      std::lock_guard<std::mutex> lock(mutex);
      if (joined.fetch_sub(1, std::memory_order_relaxed) == 1) left.notify_one();
    }
  }

  void stop_workers() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      stop = true;
      job.fetch_add(1, std::memory_order_relaxed);
    }
    wake.notify_all();
    for (std::thread& worker : workers) worker.join();
  }
};

Threads::Threads(int count) : impl_(new Impl) {
  // More threads than processors: a spinning one would keep a working one from running.
  impl_->spins = count <= static_cast<int>(std::thread::hardware_concurrency()) ? kSpins : 0;
  try {
    for (int i = 1; i < count; ++i) impl_->workers.emplace_back([impl = impl_.get()] { impl->work(); });
  } catch (const std::system_error&) {
    impl_->stop_workers();
    throw Error(Status::executor, "Expected " + std::to_string(count) + " threads but the system starts no more");
  }
}

Threads::~Threads() { impl_->stop_workers(); }

int Threads::count() const { return static_cast<int>(impl_->workers.size()) + 1; }

void Threads::run(int64_t chunks, void (*task)(void* context, int64_t chunk), void* context) {
  Impl& impl = *impl_;
  if (impl.workers.empty() || chunks <= 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) task(context, chunk);
    return;
  }
  int to_wake = 0;
  {
    std::lock_guard<std::mutex> lock(impl.mutex);
    impl.chunks = chunks;
    impl.task = task;
    impl.context = context;
    impl.next.store(0, std::memory_order_relaxed);
    impl.open = true;
    impl.job.fetch_add(1, std::memory_order_relaxed);
    to_wake = chunks - 1 < impl.asleep ? static_cast<int>(chunks - 1) : impl.asleep;
  }
  for (int i = 0; i < to_wake; ++i) impl.wake.notify_one();
  impl.claim_chunks();
  spin_until(impl.spins, [&] { return impl.joined.load(std::memory_order_relaxed) == 0; });
  std::unique_lock<std::mutex> lock(impl.mutex);
  impl.open = false;
  impl.left.wait(lock, [&] { return impl.joined.load(std::memory_order_relaxed) == 0; });
}

}  // namespace shortlist

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

// How often an idle thread looks before it sleeps, some 50 µs in all: the instructions of a step follow each other
// within microseconds, and to wake a sleeping thread costs more than that.
const int kSpins = 1200;

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

thread_local int worker_number = 0;

// A thread's part of a job's chunks. Who claims one may take one: the thread itself from the front, others from the
// back, and as no more are claimed than there are, the two never meet.
struct alignas(64) Part {
  std::atomic<int64_t> remaining{0};
  std::atomic<int64_t> back{0};
  int64_t front = 0;

  // Written while nobody is inside.
  void assign(int64_t begin, int64_t end) {
    remaining.store(end - begin, std::memory_order_relaxed);
    back.store(end, std::memory_order_relaxed);
    front = begin;
  }

  bool claim() {
    return remaining.load(std::memory_order_relaxed) > 0 && remaining.fetch_sub(1, std::memory_order_relaxed) > 0;
  }
};

}  // namespace

// `job` is odd while a job is open and rises by one with each opening and closing. A worker enters an open job by
// raising `inside` and then looking at `job` again; the caller closes the job and then waits until nobody is inside.
// Both orders are sequentially consistent, so either the worker sees the job closed and leaves without touching it, or
// the caller sees the worker and waits for it. Nobody waits for a worker that has not entered, and no lock is taken
// while threads spin.
//
// Chunks that are alike are shared out in parts, the same of every job: the rows that a thread wrote a moment ago are
// in its caches. A thread that is done with its part helps the others.
struct Threads::Impl {
  std::vector<std::thread> workers;
  int spins = 0;
  alignas(64) std::atomic<bool> taken{false};  // by a caller

  alignas(64) std::atomic<uint64_t> job{0};
  std::atomic<bool> stop{false};
  // Written while nobody is inside.
  bool in_order = false;
  int64_t chunks = 0;
  void (*task)(void*, int64_t) = nullptr;
  void* context = nullptr;

  alignas(64) std::atomic<int64_t> next{0};  // in order
  std::vector<Part> parts;                   // one a thread
  alignas(64) std::atomic<int> inside{0};

  // Sleeping: workers that wait for a job, and the caller that waits for workers.
  alignas(64) std::atomic<int> asleep{0};
  std::atomic<bool> caller_waits{false};
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable left;

  bool try_take() { return !taken.load(std::memory_order_relaxed) && !taken.exchange(true, std::memory_order_acquire); }

  void claim_chunks(int number) {
    if (in_order) {
      for (int64_t chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) task(context, chunk);
      return;
    }
    Part& own = parts[static_cast<size_t>(number)];
    while (own.claim()) task(context, own.front++);
    for (size_t i = 1; i < parts.size(); ++i) {
      Part& other = parts[(static_cast<size_t>(number) + i) % parts.size()];
      while (other.claim()) task(context, other.back.fetch_sub(1, std::memory_order_relaxed) - 1);
    }
  }

  void leave() {
    if (inside.fetch_sub(1) != 1 || !caller_waits.load()) return;
    const std::lock_guard<std::mutex> lock(mutex);
    left.notify_one();
  }

  void work(int number) {
    worker_number = number;
    uint64_t seen = 0;
    for (;;) {
      const auto changed = [&] { return job.load() != seen; };
      if (!spin_until(spins, changed)) {
        std::unique_lock<std::mutex> lock(mutex);
        asleep.fetch_add(1);
        wake.wait(lock, changed);
        asleep.fetch_sub(1);
      }
      if (stop.load()) return;
      seen = job.load();
      if (seen % 2 == 0) continue;
      inside.fetch_add(1);
      if (job.load() == seen) claim_chunks(number);
      leave();
    }
  }

  void wake_sleepers(int64_t at_most) {
    const int sleeping = asleep.load();
    if (sleeping == 0) return;
    const std::lock_guard<std::mutex> lock(mutex);
    if (at_most >= sleeping) return wake.notify_all();
    for (int64_t i = 0; i < at_most; ++i) wake.notify_one();
  }

  void wait_until_empty() {
    const auto empty = [&] { return inside.load() == 0; };
    if (spin_until(spins, empty)) return;
    std::unique_lock<std::mutex> lock(mutex);
    caller_waits.exchange(true);  // an exchange, for qemu lets the load of `inside` pass a store (of aarch64, on x86)
    left.wait(lock, empty);
    caller_waits.store(false);
  }

  void stop_workers() {
    stop.store(true);
    job.fetch_add(2);
    {
      const std::lock_guard<std::mutex> lock(mutex);
      wake.notify_all();
    }
    for (std::thread& worker : workers) worker.join();
  }
};

Threads::Threads(int count) : impl_(new Impl) {
  impl_->parts = std::vector<Part>(static_cast<size_t>(count));
  // More threads than processors: a spinning one would keep a working one from running.
  impl_->spins = count <= static_cast<int>(std::thread::hardware_concurrency()) ? kSpins : 0;
  try {
    for (int i = 1; i < count; ++i) impl_->workers.emplace_back([impl = impl_.get(), i] { impl->work(i); });
  } catch (const std::system_error&) {
    impl_->stop_workers();
    throw Error(Status::executor, "Expected " + std::to_string(count) + " threads but the system starts no more");
  }
}

Threads::~Threads() { impl_->stop_workers(); }

int Threads::count() const { return static_cast<int>(impl_->workers.size()) + 1; }

int Threads::worker() { return worker_number; }

void Threads::run(int64_t chunks, bool in_order, void (*task)(void* context, int64_t chunk), void* context) {
  Impl& impl = *impl_;
  int64_t first = 0;  // of the chunks that are left
  while (chunks - first > 1 && (impl.workers.empty() || !impl.try_take())) task(context, first++);
  if (chunks - first <= 1) {
    if (first < chunks) task(context, first);
    return;
  }
  // Nobody is inside, and nobody enters before the job is open.
  impl.in_order = in_order;
  impl.chunks = chunks;
  impl.task = task;
  impl.context = context;
  const int64_t left = chunks - first, threads = count();
  if (in_order) {
    impl.next.store(first, std::memory_order_relaxed);
  } else {
    for (int64_t i = 0; i < threads; ++i) {
      impl.parts[static_cast<size_t>(i)].assign(first + left * i / threads, first + left * (i + 1) / threads);
    }
  }
  impl.job.fetch_add(1);
  impl.wake_sleepers(left - 1);
  impl.claim_chunks(0);
  impl.job.fetch_add(1);
  impl.wait_until_empty();
  impl.taken.store(false, std::memory_order_release);
}

}  // namespace shortlist

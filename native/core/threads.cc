#include "native/core/threads.h"

#include <algorithm>
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

// How often an idle thread looks for a job before it sleeps: for 30 to 50 µs in all. The instructions of a training
// step follow each other within microseconds, and waking a sleeping thread takes longer than that.
const int kSpins = 1200;
// How often while a run is in flight: for 120 to 200 µs. So much may pass between two jobs of a run, such as during an
// LSTM over one sequence, which one thread computes.
const int kSpinsInRun = 4800;
// How many sleeping threads a run wakes when it begins. Small runs need no more, and in large ones each job wakes as
// many as it needs.
const int kWokenByRun = 3;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether the condition holds, now or within `most()` spins.
template <class Most, class Condition>
bool spin_until(const Most& most, const Condition& condition) {
  for (int i = 0; i < most(); ++i) {
    if (condition()) return true;
    pause();
  }
  return condition();
}

thread_local int worker_number = 0;

// One thread's part of a job's chunks. A claim reserves one chunk. The owner then takes it from the front, other
// threads from the back. Front and back never meet, because claims never exceed the number of chunks.
struct alignas(64) Part {
  std::atomic<int64_t> remaining{0};
  std::atomic<int64_t> back{0};
  int64_t front = 0;

  // Called while no worker is inside.
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

// `job` is odd while a job is open; opening and closing increment it. A worker enters an open job by incrementing
// `inside` and then reading `job` again. The caller closes the job and then waits until `inside` is 0. These operations
// are sequentially consistent, so either the worker sees that the job is closed and leaves without touching it, or the
// caller sees the worker inside and waits for it. The caller never waits for a worker that has not entered, and no
// thread takes a lock while it spins. Adding 2 to `job` makes the workers look without opening a job.
//
// Without `in_order` every thread has the same part of the chunks in every job, because the rows that it wrote in the
// last job are in its caches. A thread that has finished its part takes chunks of the others.
struct Threads::Impl {
  std::vector<std::thread> workers;
  bool may_spin = false;
  alignas(64) std::atomic<int> runs{0};        // in flight
  alignas(64) std::atomic<bool> taken{false};  // whether a caller has the pool

  alignas(64) std::atomic<uint64_t> job{0};
  std::atomic<bool> stop{false};
  // The open job; written while no worker is inside.
  bool in_order = false;
  int64_t chunks = 0;
  void (*task)(void*, int64_t) = nullptr;
  void* context = nullptr;

  alignas(64) std::atomic<int64_t> next{0};  // the next chunk, with in_order
  std::vector<Part> parts;                   // one for each thread, without in_order
  alignas(64) std::atomic<int> inside{0};    // workers in the open job

  // For workers that sleep until there is a job, and for a caller that sleeps until the workers have left.
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

  int idle_spins() const {
    if (!may_spin) return 0;
    return runs.load(std::memory_order_relaxed) > 0 ? kSpinsInRun : kSpins;
  }

  void work(int number) {
    worker_number = number;
    uint64_t seen = 0;
    for (;;) {
      const auto changed = [&] { return job.load() != seen; };
      if (!spin_until([&] { return idle_spins(); }, changed)) {
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
    if (spin_until([&] { return may_spin ? kSpins : 0; }, empty)) return;
    std::unique_lock<std::mutex> lock(mutex);
    // An exchange instead of a store: qemu, emulating aarch64 on x86, lets the load of `inside` overtake a store.
    caller_waits.exchange(true);
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
  // With more threads than processors, a spinning thread would take the processor of a working one.
  impl_->may_spin = count <= processor_count();
  try {
    for (int i = 1; i < count; ++i) impl_->workers.emplace_back([impl = impl_.get(), i] { impl->work(i); });
  } catch (const std::system_error&) {
    impl_->stop_workers();
    throw Error(Status::executor, "Expected " + std::to_string(count) + " threads but the system starts no more");
  }
}

Threads::~Threads() { impl_->stop_workers(); }

int Threads::count() const { return static_cast<int>(impl_->workers.size()) + 1; }

void Threads::begin_run() {
  impl_->runs.fetch_add(1, std::memory_order_relaxed);
  if (!impl_->may_spin || impl_->asleep.load() == 0) return;
  impl_->job.fetch_add(2);
  impl_->wake_sleepers(kWokenByRun);
}

void Threads::end_run() { impl_->runs.fetch_sub(1, std::memory_order_relaxed); }

int Threads::worker() { return worker_number; }

void Threads::run(int64_t chunks, bool in_order, void (*task)(void* context, int64_t chunk), void* context) {
  Impl& impl = *impl_;
  int64_t first = 0;  // of the remaining chunks
  while (chunks - first > 1 && (impl.workers.empty() || !impl.try_take())) task(context, first++);
  if (chunks - first <= 1) {
    if (first < chunks) task(context, first);
    return;
  }
  // No worker is inside, and none enters before the job is open.
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

int processor_count() {
  static const int count = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  return count;
}

int checked_thread_count(int64_t count) {
  if (count >= 1 && count <= 1024) return static_cast<int>(count);
  throw Error(Status::option, "Expected 1 to 1024 threads but received " + std::to_string(count));
}

}  // namespace shortlist

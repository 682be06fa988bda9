#pragma once

#include <cstdint>
#include <memory>

namespace shortlist {

// A pool that runs numbered chunks of work. Which thread runs a chunk is not fixed, so a chunk's result must depend on
// its number alone; then the results are the same for any number of threads, and for any number of callers.
class Threads {
 public:
  // `count` threads in all, the caller's included; 1 starts none.
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const;

  // Which of the pool's threads runs the calling task: 0 … count() − 1, the caller's being 0. For buffers of the
  // caller, not for results.
  static int worker();

  // Calls task(context, chunk) for every chunk in [0, chunks) and returns when all are done. The caller works too.
  // Neighbouring chunks go to the same thread, as they did in the call before, as long as all threads are equally fast;
  // or with `in_order` each thread takes the next chunk, for chunks of which the first are the longest. Several threads
  // may call at once: one of them has the pool, the others do their chunks themselves, and the first to find the pool
  // free takes it for the rest of its chunks. Tasks must not throw or call run.
  void run(int64_t chunks, bool in_order, void (*task)(void* context, int64_t chunk), void* context);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shortlist

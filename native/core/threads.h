#pragma once

#include <cstdint>
#include <memory>

namespace shortlist {

// A pool of threads that runs numbered chunks of work. Any thread may run any chunk, so a chunk's result must depend on
// its number alone. Results are then the same for any number of threads and callers.
class Threads {
 public:
  // `count` includes the caller's thread; 1 starts none. Throws Error(Status::executor) if the system starts no more
  // threads.
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const;

  // A caller begins a run, whose jobs follow each other soon, and ends it. While runs are in flight, idle threads look
  // for jobs for longer before they sleep. When a run begins, a few of those that sleep are woken, so that they are
  // awake at its first job.
  void begin_run();
  void end_run();

  // The number of the thread that runs the current task: 0 for the caller of `run`, 1 … count() − 1 for the others.
  // Tasks may use it to choose a buffer; results must not depend on it.
  static int worker();

  // Calls task(context, chunk) for every chunk in [0, chunks) and returns when all are done. The caller's thread works,
  // too. Tasks must not throw or call `run`.
  //
  // Without `in_order` each thread starts with a part of consecutive chunks, the same part in every call; this is for
  // chunks of about equal cost. With `in_order` each thread takes the next chunk; this is for chunks of unequal cost,
  // with the longest first.
  //
  // Several threads may call at once. One of them has the pool. The others run their chunks themselves, one by one,
  // until the pool is free; the first that finds it free takes it for its remaining chunks.
  void run(int64_t chunks, bool in_order, void (*task)(void* context, int64_t chunk), void* context);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The number of processors, at least 1. The system is asked once, since it opens a file to answer.
int processor_count();

// A number of threads that a caller asks for. Throws Error(Status::option) unless it is 1 to 1024.
int checked_thread_count(int64_t count);

}  // namespace shortlist

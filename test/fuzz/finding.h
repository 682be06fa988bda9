#pragma once

#include <unistd.h>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "native/core/sanitizers.h"

// When a harness ends with a failure, it prints the mutation: the same seed and number repeat it.

#if defined(SHORTLIST_ADDRESS_SANITIZER)
extern "C" void __asan_set_death_callback(void (*callback)(void));
// Memory that the system refuses is an error of the library, as without the sanitizer. A mutated model may ask for any.
// Not weak: the sanitizer has a weak definition of its own, which could be taken.
extern "C" __attribute__((visibility("default"), used)) const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
#endif

namespace shortlist {

struct Finding {
  uint64_t seed = 0, number = 0;
};

inline Finding& current() {
  static Finding finding;
  return finding;
}

inline void report_finding() {
  char text[120];
  const int length =
      std::snprintf(text, sizeof text, "\nfound by mutation %llu of seed %llu\n",
                    static_cast<unsigned long long>(current().number), static_cast<unsigned long long>(current().seed));
  if (write(STDERR_FILENO, text, static_cast<size_t>(length)) < 0) return;
}

inline void report_findings() {
#if defined(SHORTLIST_ADDRESS_SANITIZER)
  __asan_set_death_callback(report_finding);
#else
  struct sigaction action = {};
  action.sa_handler = [](int) {
    report_finding();
    _exit(1);
  };
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(signal, &action, nullptr);
#endif
}

}  // namespace shortlist

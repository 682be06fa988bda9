#include "native/core/bulk_read.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <vector>

#include "native/core/threads.h"

namespace shortlist {

void read_on_threads(const Store& store, const std::string& name, void* values, int64_t offset, int64_t count) {
  const int64_t least = int64_t{1} << 18;  // elements of a thread: 1 MiB, which takes longer to copy than it to start
  const int64_t most = 4;                  // threads, which are enough for the bandwidth of the memory
  const int64_t threads = std::min({int64_t{processor_count()}, most, count / least});
  if (threads < 2) return store.read(name, values, offset, count);
  store.read(name, values, offset, 0);          // the threads throw no errors, so the
  store.read(name, values, offset + count, 0);  // ends of the range are checked here
  const auto read_share = [&](int64_t i) {
    const int64_t first = count * i / threads, last = count * (i + 1) / threads;
    store.read(name, static_cast<char*>(values) + first * kBytesPerElement, offset + first, last - first);
  };
  std::vector<std::thread> others;
  others.reserve(static_cast<size_t>(threads));
  for (int64_t i = 1; i < threads; ++i) {
    try {
      others.emplace_back(read_share, i);
    } catch (const std::system_error&) {
      read_share(i);  // the system has no more threads
    }
  }
  read_share(0);
  for (std::thread& other : others) other.join();
}

}  // namespace shortlist

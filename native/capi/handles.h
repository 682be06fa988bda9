#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

namespace shortlist {

// The open handles of one kind. A handle is a number that is given once and never again, not an address. So a handle
// that was closed, and a pointer that never was one, are recognised, and a call keeps what it uses even if another
// thread closes the handle meanwhile.
template <class Handle, class State>
class Handles {
 public:
  Handle* open(std::shared_ptr<State> state) {
    const std::unique_lock<std::shared_mutex> lock(mutex_);
    open_.emplace(next_, std::move(state));
    return reinterpret_cast<Handle*>(std::exchange(next_, next_ + kStep));
  }

  // nullptr if the handle is not open.
  std::shared_ptr<State> find(const Handle* handle) const {
    const std::shared_lock<std::shared_mutex> lock(mutex_);
    const auto found = open_.find(reinterpret_cast<uintptr_t>(handle));
    return found == open_.end() ? nullptr : found->second;
  }

  void close(const Handle* handle) {
    std::shared_ptr<State> closed;  // freed after the lock
    const std::unique_lock<std::shared_mutex> lock(mutex_);
    const auto found = open_.find(reinterpret_cast<uintptr_t>(handle));
    if (found == open_.end()) return;
    closed = std::move(found->second);
    open_.erase(found);
  }

 private:
  static constexpr uintptr_t kStep = 16;  // aligned as pointers are

  mutable std::shared_mutex mutex_;
  std::unordered_map<uintptr_t, std::shared_ptr<State>> open_;
  uintptr_t next_ = kStep;
};

}  // namespace shortlist

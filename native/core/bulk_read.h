#pragma once

#include <cstdint>
#include <string>

#include "native/core/store.h"

namespace shortlist {

// Store::read of much memory, on several threads.
void read_on_threads(const Store& store, const std::string& name, void* values, int64_t offset, int64_t count);

}  // namespace shortlist

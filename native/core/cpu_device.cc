#include "native/core/cpu_device.h"

#include <cstring>

namespace shortlist {

void CpuDevice::copy_in(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void CpuDevice::copy_out(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void CpuDevice::execute(const Op& op, Call* call) {
  call->threads = &threads_;
  op.run(*call);
}

}  // namespace shortlist

#pragma once

#include <napi.h>

namespace shortlist {

// Adds to the exports `availableIsas`, the instruction sets that this machine can run, and `ops`, the native ops.
void define_kernels(Napi::Env env, Napi::Object exports);

}  // namespace shortlist

#pragma once

#include <napi.h>

namespace shortlist {

// Adds availableIsas and ops to the exports: what the kernels of this processor are.
void define_kernels(Napi::Env env, Napi::Object exports);

}  // namespace shortlist

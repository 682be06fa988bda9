#pragma once

#include <napi.h>

namespace shortlist {

// Adds the functions `exchange` and `lockFile` to the exports.
void define_files(Napi::Env env, Napi::Object exports);

}  // namespace shortlist

#pragma once

#include <napi.h>

namespace shortlist {

// Adds `exchange`, `lockFile`, `writeUncached`, `wholePages` and `checksum` to the exports.
void define_files(Napi::Env env, Napi::Object exports);

}  // namespace shortlist

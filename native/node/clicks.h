#pragma once

#include <napi.h>

#include <vector>

#include "native/data/batch.h"
#include "native/data/clicks.h"
#include "native/node/object_reader.h"

namespace shortlist {

// Reads clicks (src/data/clicks.ts, Clicks) without copying their arrays, which `kept` keeps alive. They must be
// neither changed nor transferred as long as they are read.
Clicks read_clicks(const ObjectReader& from, std::vector<Napi::ObjectReference>* kept);

// A batch as src/data/batches.ts has it: {dims, inputs}.
Napi::Value batch_to_js(Napi::Env env, const Batch& built);

}  // namespace shortlist

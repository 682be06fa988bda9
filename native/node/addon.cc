// The Node-API binding. It checks the types and counts of arguments; native/core, native/data and native/train check
// the rest. Its callers are src/executors/native.ts and src/platform/files.ts. Native errors become JavaScript errors
// with a `code` of src/errors.ts.

#include <napi.h>

#include "native/node/batches.h"
#include "native/node/engine.h"
#include "native/node/executor.h"
#include "native/node/files.h"
#include "native/node/ingest.h"
#include "native/node/item_search.h"
#include "native/node/kernels.h"
#include "native/node/store.h"
#include "native/node/user_batches.h"

namespace shortlist {
namespace {

Napi::Value version(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), SHORTLIST_VERSION); }

// Nothing is static: each environment (of the main thread and of every worker thread) gets its own classes and state.
Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::Function::New<version>(env, "version"));
  define_kernels(env, exports);
  exports.Set("NativeEngine", NativeEngine::define(env));
  exports.Set("NativeStore", NativeStore::define(env));
  exports.Set("NativeBatches", NativeBatches::define(env));
  exports.Set("NativeUserBatches", NativeUserBatches::define(env));
  exports.Set("NativeIngest", NativeIngest::define(env));
  exports.Set("NativeExecutor", NativeExecutor::define(env));
  exports.Set("NativeItemSearch", NativeItemSearch::define(env));
  define_files(env, exports);
  return exports;
}

NODE_API_MODULE(shortlist, init)

}  // namespace
}  // namespace shortlist

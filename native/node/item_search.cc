#include "native/node/item_search.h"

#include <string>
#include <utility>

#include "native/node/arguments.h"
#include "native/node/errors.h"
#include "native/node/executor.h"
#include "native/node/object_reader.h"
#include "native/node/user_batches.h"

namespace shortlist {
namespace {

// More results of one search than fit an array are refused.
const int64_t kMostResults = int64_t{1} << 31;

const Store::Stored& float_tensor(const Store& store, const std::string& name, size_t axes) {
  const Store::Stored& tensor = store.at(name);
  if (tensor.dtype != Dtype::float32 || tensor.shape.size() != axes) {
    throw Error(Status::input, "Expected \"" + name + "\" to be float32 with " + std::to_string(axes) +
                                   (axes == 1 ? " axis" : " axes"));
  }
  return tensor;
}

ItemVectors vectors_of(const Store& store, const ObjectReader& options) {
  const Store::Stored& weight = float_tensor(store, options.text("weight"), 2);
  ItemVectors vectors;
  vectors.weight = static_cast<const float*>(weight.memory.data());
  vectors.bias = nullptr;
  vectors.items = weight.shape[0];
  vectors.width = vectors.stride = weight.shape[1];
  vectors.first = options.size("skipRows");
  if (options.has("bias")) {
    const Store::Stored& bias = float_tensor(store, options.text("bias"), 1);
    if (bias.shape[0] != vectors.items) {
      throw Error(Status::input, "Expected \"" + bias.name + "\" to have " + std::to_string(vectors.items) +
                                     " elements but received " + std::to_string(bias.shape[0]));
    }
    vectors.bias = static_cast<const float*>(bias.memory.data());
  }
  return vectors;
}

// The elements of an Int32Array.
std::vector<int32_t> ids_of(Napi::Env env, const Napi::Value& value, const char* name) {
  const InputArray array = array_of(env, value, name);
  if (array.dtype != Dtype::int32) fail(env, "Expected an Int32Array for \"" + std::string(name) + "\"");
  const int32_t* const ids = static_cast<const int32_t*>(array.data);
  return std::vector<int32_t>(ids, ids + array.elements);
}

// undefined, an Int32Array for all queries, or {ids, offsets}.
CopiedLists lists_argument(Napi::Env env, const Napi::Value& value, int64_t queries, const char* name) {
  CopiedLists lists;
  if (value.IsUndefined()) return lists;
  lists.given = true;
  if (value.IsTypedArray()) {
    lists.items = ids_of(env, value, name);
    return lists;
  }
  if (!value.IsObject()) fail(env, "Expected \"" + std::string(name) + "\" to be an Int32Array or {ids, offsets}");
  const Napi::Object object = value.As<Napi::Object>();
  lists.items = ids_of(env, object.Get("ids"), name);
  lists.offsets = ids_of(env, object.Get("offsets"), name);
  if (lists.offsets.size() == static_cast<size_t>(queries) + 1) return lists;
  fail(env, "Expected " + std::to_string(queries + 1) + " offsets for \"" + name + "\" but received " +
                std::to_string(lists.offsets.size()));
}

}  // namespace

Napi::Function NativeItemSearch::define(Napi::Env env) {
  return DefineClass(env, "NativeItemSearch",
                     {InstanceMethod<&NativeItemSearch::search>("search"),
                      InstanceMethod<&NativeItemSearch::search_users>("searchUsers"),
                      InstanceMethod<&NativeItemSearch::close>("close")});
}

NativeItemSearch::NativeItemSearch(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  engine_ = unwrap<NativeEngine>(env, info[0])->state();
  const std::shared_ptr<StoreState> state = unwrap<NativeStore>(env, info[1])->state();
  const ObjectReader options(env, info[2], "options");
  if (!engine_->device || !state->store) {
    throw to_js(env, Status::executor, "Expected an engine and a store that are open");
  }
  if (state->will_be_written()) {
    throw to_js(env, Status::executor, "Expected no run that writes the store while a search is created");
  }
  guarded(env, [&] {
    const ItemVectors vectors = vectors_of(*state->store, options);
    search_ = std::make_shared<LazySearch>(engine_->device, state->store, vectors, options.flag("int8"));
  });
  store_ = state;
  ++store_->searches;
}

void NativeItemSearch::Finalize(Napi::Env) { release(); }

void NativeItemSearch::release() {
  if (search_) --store_->searches;
  search_.reset();
}

void NativeItemSearch::expect_open(Napi::Env env) const {
  if (!search_) throw to_js(env, Status::executor, "The search is closed");
  if (!engine_->device) throw to_js(env, Status::executor, "The engine is closed");
  if (!store_->store) throw to_js(env, Status::executor, "The store is closed");
}

// Creates the work of a call whose arguments from `i` on are (top, excluded, allowed).
SearchWork* NativeItemSearch::work_of(const Napi::CallbackInfo& info, size_t i, SearchWork::Arguments arguments) const {
  const Napi::Env env = info.Env();
  arguments.top = size_argument(info, i, "top");
  if (arguments.count > 0 && arguments.top > kMostResults / arguments.count) {
    fail(env, "Expected fewer results than " + std::to_string(arguments.count) + " queries with the " +
                  std::to_string(arguments.top) + " best items each");
  }
  return guarded(env, [&] {
    arguments.excluded = lists_argument(env, info[i + 1], arguments.count, "exclude");
    arguments.allowed = lists_argument(env, info[i + 2], arguments.count, "allow");
    return new SearchWork(env, store_, search_, std::move(arguments));
  });
}

// Arguments: (queries, top, excluded, allowed). Returns a promise of {items, scores}.
Napi::Value NativeItemSearch::search(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  expect_open(env);
  const InputArray queries = array_of(env, info[0], "queries");
  const int64_t width = search_->vectors().width;
  if (queries.dtype != Dtype::float32) fail(env, "Expected a Float32Array for \"queries\"");
  if (width == 0 ? queries.elements != 0 : queries.elements % width != 0) {
    fail(env, "Expected queries of " + std::to_string(width) + " elements each but received " +
                  std::to_string(queries.elements) + " elements");
  }
  SearchWork::Arguments arguments;
  arguments.count = width == 0 ? 0 : queries.elements / width;
  const float* const elements = static_cast<const float*>(queries.data);
  guarded(env, [&] { arguments.queries.assign(elements, elements + queries.elements); });
  return work_of(info, 1, std::move(arguments))->start_or_wait();
}

// Arguments: (executor, output, batches, index, users, top, excluded, allowed). Searches for what the executor computes
// as an output [users, width] of a batch of so many users. Returns a promise of {items, scores, queries}.
Napi::Value NativeItemSearch::search_users(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  expect_open(env);
  SearchWork::Arguments arguments;
  const int64_t index = batch_argument(info, 3, *unwrap<NativeUserBatches>(env, info[2])->batches());
  arguments.compute_queries =
      unwrap<NativeExecutor>(env, info[0])->compute_users(env, info[2], index, string_argument(info, 1, "output"));
  arguments.count = size_argument(info, 4, "users");
  SearchWork* const work = work_of(info, 5, std::move(arguments));
  work->keep(info[2].As<Napi::Object>());
  return work->start_or_wait();
}

// Frees the search when the calls in flight have finished.
Napi::Value NativeItemSearch::close(const Napi::CallbackInfo& info) {
  release();
  return info.Env().Undefined();
}

}  // namespace shortlist

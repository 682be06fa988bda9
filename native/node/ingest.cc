#include "native/node/ingest.h"

#include <string>
#include <utility>
#include <vector>

#include "native/core/json.h"
#include "native/node/arguments.h"
#include "native/node/errors.h"
#include "native/node/object_reader.h"

namespace shortlist {
namespace {

class IngestWork : public Work {
 public:
  IngestWork(Napi::Env env, std::shared_ptr<WorkQueue> queue, std::function<void()> compute,
             std::function<Napi::Value(Napi::Env)> result)
      : Work(env, "shortlist.ingest", std::move(queue), true),
        compute_(std::move(compute)),
        result_(std::move(result)) {}

 protected:
  void compute() override { compute_(); }
  Napi::Value result(Napi::Env env) override { return result_ ? result_(env) : env.Undefined(); }

 private:
  std::function<void()> compute_;
  std::function<Napi::Value(Napi::Env)> result_;
};

// A reference that functions which are copied can share.
std::shared_ptr<Napi::ObjectReference> kept(const Napi::Object& object) {
  return std::make_shared<Napi::ObjectReference>(Napi::Persistent(object));
}

Napi::Number number_of(Napi::Env env, int64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

}  // namespace

Napi::Function NativeIngest::define(Napi::Env env) {
  return DefineClass(
      env, "NativeIngest",
      {InstanceMethod<&NativeIngest::begin_log>("beginLog"), InstanceMethod<&NativeIngest::add>("add"),
       InstanceMethod<&NativeIngest::end_log>("endLog"), InstanceMethod<&NativeIngest::state>("state"),
       InstanceMethod<&NativeIngest::counts>("counts"), InstanceMethod<&NativeIngest::identities>("identities"),
       InstanceMethod<&NativeIngest::encode>("encode"), InstanceMethod<&NativeIngest::click_offsets>("clickOffsets"),
       InstanceMethod<&NativeIngest::numbers>("numbers"), InstanceMethod<&NativeIngest::times>("times"),
       InstanceMethod<&NativeIngest::weights>("weights"),
       InstanceMethod<&NativeIngest::click_numbers>("clickNumbers")});
}

NativeIngest::NativeIngest(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const std::string schema = string_argument(info, 0, "schema");
  const ObjectReader from(info.Env(), info[1], "options");
  IngestOptions options;
  options.without_clicks = from.flag("withoutClicks");
  options.stop_at_bad_line = !from.flag("skipBadLines");
  options.max_line_bytes = from.size("maxLineBytes");
  const int64_t threads = from.size("threads");
  ingest_ = guarded(info.Env(), [&] {
    return std::make_shared<Ingest>(Schema::parse(Json::parse(schema)), options, checked_thread_count(threads));
  });
}

// Starts work that has the reader for itself. `compute` must not refer to this object, which may be collected before.
Napi::Value NativeIngest::start(Napi::Env env, Compute compute, Result result) {
  return (new IngestWork(env, queue_, std::move(compute), std::move(result)))->start_or_wait();
}

// For calls on the JavaScript thread.
Ingest& NativeIngest::idle(Napi::Env env) const {
  if (queue_->runs > 0) throw to_js(env, Status::executor, "Expected the reader to be idle: await its last promise");
  return *ingest_;
}

size_t NativeIngest::feature_argument(const Napi::CallbackInfo& info, size_t i) const {
  const int64_t feature = size_argument(info, i, "feature");
  if (feature >= static_cast<int64_t>(ingest_->features())) fail(info.Env(), "Expected the index of a feature");
  return static_cast<size_t>(feature);
}

Napi::Value NativeIngest::begin_log(const Napi::CallbackInfo& info) {
  return start(
      info.Env(), [ingest = ingest_] { ingest->begin_log(); }, nullptr);
}

// Arguments: (bytes as Uint8Array). They must not change until the promise is settled. Resolves to whether a bad line
// has ended the reading.
Napi::Value NativeIngest::add(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    fail(env, "Expected bytes to be a Uint8Array");
  int64_t size;
  const auto* const data = static_cast<const char*>(elements_of(env, info[0], "bytes", &size));
  const std::string_view bytes(data, static_cast<size_t>(size));
  return start(
      env, [ingest = ingest_, bytes, kept = kept(info[0].As<Napi::Object>())] { ingest->add(bytes); },
      [ingest = ingest_](Napi::Env env) { return Napi::Boolean::New(env, ingest->stopped()); });
}

Napi::Value NativeIngest::end_log(const Napi::CallbackInfo& info) {
  return start(
      info.Env(), [ingest = ingest_] { ingest->end_log(); }, nullptr);
}

// What was read so far: IngestState in src/platform/ingest.ts.
Napi::Value NativeIngest::state(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Ingest& ingest = idle(env);
  const auto numbers = [&](std::vector<std::pair<const char*, int64_t>> members) {
    Napi::Object object = Napi::Object::New(env);
    for (const auto& [name, value] : members) object.Set(name, number_of(env, value));
    return object;
  };
  const Ingest::Order& order = ingest.order();
  Napi::Object state = numbers({{"rows", ingest.rows()},
                                {"clicks", ingest.clicks()},
                                {"withoutClicks", ingest.rows_without_clicks()},
                                {"identity", ingest.identity()}});
  state.Set("stopped", Napi::Boolean::New(env, ingest.stopped()));
  state.Set("order", numbers({{"compared", order.compared},
                              {"lines", order.lines},
                              {"clicks", order.clicks},
                              {"firstLog", order.first_log},
                              {"firstLine", order.first_line}}));
  Napi::Array logs = Napi::Array::New(env), bad_lines = Napi::Array::New(env), features = Napi::Array::New(env);
  for (const Ingest::Counts& log : ingest.logs())
    logs.Set(logs.Length(), numbers({{"lines", log.lines}, {"skipped", log.skipped}}));
  for (const Ingest::BadLine& bad : ingest.bad_lines()) {
    Napi::Object object = numbers({{"log", bad.log}, {"line", bad.line}});
    object.Set("problem", Napi::String::New(env, bad.problem));
    bad_lines.Set(bad_lines.Length(), object);
  }
  for (size_t f = 0; f < ingest.features(); ++f) {
    features.Set(features.Length(), numbers({{"missing", ingest.missing(f)}, {"numbers", ingest.table(f).bound()}}));
  }
  state.Set("logs", logs);
  state.Set("badLines", bad_lines);
  state.Set("features", features);
  return state;
}

// Arguments: (feature). Returns how often each of its tokens is used, in any order.
Napi::Value NativeIngest::counts(const Napi::CallbackInfo& info) {
  const TokenTable& table = idle(info.Env()).table(feature_argument(info, 0));
  Napi::Float64Array counts = Napi::Float64Array::New(info.Env(), static_cast<size_t>(table.size()));
  table.counts(counts.Data());
  return counts;
}

// A new array that `take` fills. The promise resolves to it.
template <class Array, class Take>
Napi::Value NativeIngest::take_array(Napi::Env env, int64_t elements, Take take) {
  Array array = Array::New(env, static_cast<size_t>(elements));
  auto* const data = array.Data();
  auto reference = kept(array);
  return start(
      env, [ingest = ingest_, take, data] { take(ingest.get(), data); },
      [reference](Napi::Env) { return reference->Value(); });
}

// Resolves to the number of the user's identity for each row; −1 where missing.
Napi::Value NativeIngest::identities(const Napi::CallbackInfo& info) {
  const Ingest& ingest = idle(info.Env());
  if (ingest.identity() < 0) fail(info.Env(), "Expected a column user_id");
  const size_t feature = static_cast<size_t>(ingest.identity());
  return take_array<Napi::Int32Array>(info.Env(), ingest.rows(),
                                      [feature](Ingest* ingest, int32_t* to) { ingest->numbers_of(feature, to); });
}

// Arguments: (feature, limit). Resolves to {size, lines, ids, offsets?}: a vocabulary and the
// column.
Napi::Value NativeIngest::encode(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Ingest& ingest = idle(env);
  const size_t feature = feature_argument(info, 0);
  const int64_t limit = size_argument(info, 1, "limit");
  const bool multiple = ingest.is_multiple(feature);
  Napi::Int32Array ids = Napi::Int32Array::New(env, static_cast<size_t>(ingest.values(feature)));
  Napi::Int32Array offsets = Napi::Int32Array::New(env, multiple ? static_cast<size_t>(ingest.clicks()) + 1 : 0);
  int32_t *const to_ids = ids.Data(), *const to_offsets = multiple ? offsets.Data() : nullptr;
  const auto vocabulary = std::make_shared<TokenTable::Vocabulary>();
  const auto compute = [ingest = ingest_, feature, limit, to_ids, to_offsets, vocabulary] {
    *vocabulary = ingest->vocabulary(feature, limit);
    ingest->take_ids(feature, vocabulary->ids, to_ids);
    vocabulary->ids = std::vector<int32_t>();
    if (to_offsets) ingest->take_offsets(feature, to_offsets);
  };
  return start(env, compute, [vocabulary, ids = kept(ids), offsets = kept(offsets), multiple](Napi::Env env) {
    Napi::Object encoded = Napi::Object::New(env);
    encoded.Set("size", number_of(env, vocabulary->size));
    encoded.Set("lines", Napi::Buffer<char>::Copy(env, vocabulary->lines.data(), vocabulary->lines.size()));
    encoded.Set("ids", ids->Value());
    if (multiple) encoded.Set("offsets", offsets->Value());
    return encoded;
  });
}

Napi::Value NativeIngest::click_offsets(const Napi::CallbackInfo& info) {
  return take_array<Napi::Int32Array>(info.Env(), idle(info.Env()).rows() + 1,
                                      [](Ingest* ingest, int32_t* to) { ingest->take_click_offsets(to); });
}

// Arguments: (index among the columns of kind number).
Napi::Value NativeIngest::numbers(const Napi::CallbackInfo& info) {
  const Ingest& ingest = idle(info.Env());
  const size_t number = static_cast<size_t>(size_argument(info, 0, "number"));
  if (number >= ingest.number_columns()) fail(info.Env(), "Expected the index of a number column");
  return take_array<Napi::Float32Array>(info.Env(), ingest.rows(),
                                        [number](Ingest* ingest, float* to) { ingest->take_numbers(number, to); });
}

Napi::Value NativeIngest::times(const Napi::CallbackInfo& info) {
  const Ingest& ingest = idle(info.Env());
  return take_array<Napi::Float64Array>(info.Env(), ingest.has_times() ? ingest.clicks() : 0,
                                        [](Ingest* ingest, double* to) { ingest->take_times(to); });
}

Napi::Value NativeIngest::weights(const Napi::CallbackInfo& info) {
  const Ingest& ingest = idle(info.Env());
  return take_array<Napi::Float32Array>(info.Env(), ingest.has_weights() ? ingest.clicks() : 0,
                                        [](Ingest* ingest, float* to) { ingest->take_weights(to); });
}

// Arguments: (index among the click fields of kind number).
Napi::Value NativeIngest::click_numbers(const Napi::CallbackInfo& info) {
  const Ingest& ingest = idle(info.Env());
  const size_t number = static_cast<size_t>(size_argument(info, 0, "number"));
  if (number >= ingest.click_number_fields()) fail(info.Env(), "Expected the index of a click field of kind number");
  return take_array<Napi::Float32Array>(
      info.Env(), ingest.clicks(), [number](Ingest* ingest, float* to) { ingest->take_click_numbers(number, to); });
}

}  // namespace shortlist

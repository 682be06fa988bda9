#include "native/node/kernels.h"

#include "native/core/cpu.h"
#include "native/core/kernel.h"
#include "native/core/program.h"

namespace shortlist {
namespace {

Napi::Value available_isas(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  for (const Isa& isa : usable_isas()) names.Set(names.Length(), Napi::String::New(info.Env(), isa.name));
  return names;
}

Napi::Array slots_of(Napi::Env env, const SlotType* slots) {
  Napi::Array list = Napi::Array::New(env);
  for (; slots->name != nullptr; ++slots) {
    Napi::Object slot = Napi::Object::New(env);
    slot.Set("name", slots->name);
    slot.Set("dtype", name_of(slots->dtype));
    if (slots->rank != kAnyRank) slot.Set("rank", Napi::Number::New(env, slots->rank));
    slot.Set("optional", Napi::Boolean::New(env, slots->optional));
    slot.Set("list", Napi::Boolean::New(env, slots->list));
    list.Set(list.Length(), slot);
  }
  return list;
}

// Returns {name, inputs, outputs} for each op, with the types of its operand slots.
Napi::Value native_ops(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array ops = Napi::Array::New(env);
  for (const Op* const* op = usable_isas().front().ops; *op != nullptr; ++op) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", (*op)->name);
    entry.Set("inputs", slots_of(env, (*op)->inputs));
    entry.Set("outputs", slots_of(env, (*op)->outputs));
    ops.Set(ops.Length(), entry);
  }
  return ops;
}

}  // namespace

void define_kernels(Napi::Env env, Napi::Object exports) {
  exports.Set("availableIsas", Napi::Function::New<available_isas>(env, "availableIsas"));
  exports.Set("ops", Napi::Function::New<native_ops>(env, "ops"));
}

}  // namespace shortlist

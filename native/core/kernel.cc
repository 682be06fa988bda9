#include "native/core/kernel.h"

#include <string>

#include "native/core/arena.h"
#include "native/core/error.h"
#include "native/core/program.h"
#include "native/core/threads.h"

namespace shortlist {
namespace {

const int64_t kMaxScratch = int64_t{1} << 56;  // elements; the number of bytes then fits 64 bits

const Attribute* find_attribute(const Call& call, const char* name) {
  for (int32_t i = 0; i < call.attribute_count; ++i) {
    if (call.attributes[i].name == name) return &call.attributes[i];
  }
  return nullptr;
}

const Attribute& attribute_of(const Call& call, const char* name, Attribute::Kind kind, const char* kind_name) {
  const Attribute* attribute = find_attribute(call, name);
  if (attribute != nullptr && attribute->kind == kind) return *attribute;
  const std::string op = "[" + std::string(call.op) + "] ", quoted = "\"" + std::string(name) + "\"";
  if (attribute == nullptr) throw Error(Status::program, op + "Missing attribute " + quoted);
  throw Error(Status::program, op + "Expected attribute " + quoted + " to be a " + kind_name);
}

}  // namespace

double number_attribute(const Call& call, const char* name) {
  return attribute_of(call, name, Attribute::Kind::number, "number").number;
}

bool flag_attribute(const Call& call, const char* name) {
  return attribute_of(call, name, Attribute::Kind::flag, "flag").flag;
}

const char* text_attribute(const Call& call, const char* name) {
  return attribute_of(call, name, Attribute::Kind::text, "text").text.c_str();
}

bool text_attribute_is(const Call& call, const char* name, const char* text) {
  return attribute_of(call, name, Attribute::Kind::text, "text").text == text;
}

void* scratch(const Call& call, int64_t elements) {
  if (elements < 0 || elements > kMaxScratch)
    throw Error(Status::executor,
                "Expected smaller operands: " + std::string(call.op) + " would need more than any memory");
  return call.scratch->allocate(static_cast<size_t>(elements) * kBytesPerElement);
}

void run_chunks(const Call& call, int64_t chunks, bool in_order, void (*task)(void* context, int64_t chunk),
                void* context) {
  call.threads->run(chunks, in_order, task, context);
}

int64_t worker_count(const Call& call) { return call.threads->count(); }

int64_t this_worker() { return Threads::worker(); }

}  // namespace shortlist

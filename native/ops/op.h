#pragma once

#include <cstdint>

#include "native/core/tensor.h"

// The contract between the executor and an op's native kernels. Files that include this header are compiled once for
// each instruction set, inside namespace shortlist::SHORTLIST_ISA, and use no std:: templates: see ARCHITECTURE.md.

namespace shortlist {

class Arena;
class Threads;
struct Attribute;

// The tensors of one operand slot: one, several (a list slot), or none (an optional slot left out).
struct Slot {
  const Tensor* tensors;
  int32_t count;
};

// One instruction in one run.
struct Call {
  const char* op;
  const Slot* inputs;   // in the order of Op::inputs
  const Slot* outputs;  // in the order of Op::outputs
  const Attribute* attributes;
  int32_t attribute_count;
  Threads* threads;
  Arena* scratch;  // emptied after each instruction

  SHORTLIST_INLINE bool has(int slot) const { return inputs[slot].count > 0; }
  SHORTLIST_INLINE const Tensor& input(int slot) const { return inputs[slot].tensors[0]; }
  SHORTLIST_INLINE const Tensor& output(int slot) const { return outputs[slot].tensors[0]; }
};

// An op as a Program names it. Slots are listed in order, ended by nullptr; "name?" may be left out, "name*" is a list.
struct Op {
  const char* name;
  const char* const* inputs;
  const char* const* outputs;
  // Throws Error(Status::program) on operands that do not fit each other and Error(Status::input) on ids and ranges out
  // of bounds in tensors that are `given`. Every instruction's check runs before the first kernel does.
  void (*check)(const Call& call);
  // Writes every output, and reads nothing outside its operands once `check` has passed. Throws only what `scratch` does where
  // no memory is left; the run is then half done.
  void (*run)(const Call& call);
};

// Attributes by name; throw Error(Status::program) where it is missing or of another type (native/core/executor.cc).
double number_attribute(const Call& call, const char* name);
bool flag_attribute(const Call& call, const char* name);
bool text_attribute_is(const Call& call, const char* name, const char* text);
const char* text_attribute(const Call& call, const char* name);  // lives as long as the program

// `elements` 4-byte elements of scratch memory, 64-byte aligned, not cleared, valid until the instruction ends. Call it
// from the op's own function, not from inside a chunk.
void* scratch(const Call& call, int64_t elements);

// Runs task(context, chunk) for each chunk in [0, chunks) on the pool: neighbours on the same thread, or one by one in order.
void run_chunks(const Call& call, int64_t chunks, bool in_order, void (*task)(void* context, int64_t chunk), void* context);

// For scratch memory that each thread has a piece of: their number, and inside a chunk which one runs it. A chunk's result
// must not depend on either.
int64_t worker_count(const Call& call);
int64_t this_worker();

// Checks for use in Op::check; messages name the op and the tensor (native/ops/checks.cc).
void expect(const Call& call, bool condition, const char* expectation);  // Status::program
void check_ids(const Call& call, const Tensor& ids, int64_t rows, int64_t first = 0);        // first ≤ id < rows
void check_ranges(const Call& call, const Tensor& start, const Tensor& end, int64_t limit);  // 0 ≤ start ≤ end ≤ limit
void check_offsets(const Call& call, const Tensor& offsets, int64_t limit);  // from 0 to limit, never falling

namespace SHORTLIST_ISA {
namespace {

// Calls body(chunk) for each chunk in [0, chunks), on all threads. Chunks should be alike: a thread begins with the same part
// of them each time, so that what it wrote by one call is in its caches in the next. With `in_order` they need not be.
template <class Body>
SHORTLIST_INLINE void parallel(const Call& call, int64_t chunks, const Body& body, bool in_order = false) {
  run_chunks(
      call, chunks, in_order, [](void* context, int64_t chunk) { (*static_cast<const Body*>(context))(chunk); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// The same where chunks are unlike, the longest first: each thread takes the next one.
template <class Body>
SHORTLIST_INLINE void parallel_in_order(const Call& call, int64_t chunks, const Body& body) {
  parallel(call, chunks, body, true);
}

// Calls body(begin, end) for consecutive blocks of [0, count); the blocks depend on `count` and `block` alone.
template <class Body>
SHORTLIST_INLINE void parallel_blocks(const Call& call, int64_t count, int64_t block, const Body& body) {
  parallel(call, (count + block - 1) / block, [&](int64_t chunk) {
    const int64_t begin = chunk * block;
    body(begin, begin + block < count ? begin + block : count);
  });
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist

#pragma once

#include <cstdint>

#include "native/core/tensor.h"

// The contract between the executor and an op's native kernels. Kernels are compiled once for each instruction set,
// inside namespace shortlist::SHORTLIST_ISA, so this header and theirs use no std:: templates: see ARCHITECTURE.md.

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
  Threads* threads;  // of the device that executes it
  Arena* scratch;    // emptied after each instruction

  SHORTLIST_INLINE bool has(int slot) const { return inputs[slot].count > 0; }
  SHORTLIST_INLINE const Tensor& input(int slot) const { return inputs[slot].tensors[0]; }
  SHORTLIST_INLINE const Tensor& output(int slot) const { return outputs[slot].tensors[0]; }
};

const int8_t kAnyRank = -1;

// What an operand slot takes: tensors of one dtype and number of axes. An executor is created only for a Program whose
// operands have them, so a vector [n] is one column and a scalar is one element.
struct SlotType {
  const char* name;
  Dtype dtype;
  int8_t rank;    // axes: 0, 1, 2 or kAnyRank
  bool optional;  // may be left out
  bool list;      // takes several tensors
};

// An op as a Program names it. Slots are listed in order, ended by kNoSlot. An output slot with the name of an input
// slot is that tensor, a stored one, updated in place; every other output is a tensor of the run that no other
// instruction writes.
struct Op {
  const char* name;
  const SlotType* inputs;
  const SlotType* outputs;
  // Throws Error(Status::program) on operands that do not fit each other and on indices of which nothing is known, and
  // Error(Status::input) on ids and ranges out of bounds. Promises what the op's own int32 outputs will hold: an output
  // without a promise is refused as an index. Every instruction's check runs, in order, before the first kernel does.
  void (*check)(const Call& call);
  // Writes every output, and reads nothing outside its operands once `check` has passed. Throws only what `scratch`
  // does where no memory is left; the run is then half done.
  void (*run)(const Call& call);
};

// Attributes by name; throw Error(Status::program) where it is missing or of another type (native/core/kernel.cc).
double number_attribute(const Call& call, const char* name);
bool flag_attribute(const Call& call, const char* name);
bool text_attribute_is(const Call& call, const char* name, const char* text);
const char* text_attribute(const Call& call, const char* name);  // lives as long as the program

// `elements` 4-byte elements of scratch memory, 64-byte aligned, not cleared, valid until the instruction ends. Call it
// from the op's own function, not from inside a chunk.
void* scratch(const Call& call, int64_t elements);

// Runs task(context, chunk) for each chunk in [0, chunks) on the pool: neighbours on the same thread, or one by one in
// order.
void run_chunks(const Call& call, int64_t chunks, bool in_order, void (*task)(void* context, int64_t chunk),
                void* context);

// For scratch memory that each thread has a piece of: their number, and inside a chunk which one runs it. A chunk's
// result must not depend on either.
int64_t worker_count(const Call& call);
int64_t this_worker();

// Checks for use in Op::check; messages name the op and the tensor (native/core/checks.cc).
void expect(const Call& call, bool condition, const char* expectation);                      // Status::program
void check_ids(const Call& call, const Tensor& ids, int64_t rows, int64_t first = 0);        // first ≤ id < rows
void check_ranges(const Call& call, const Tensor& start, const Tensor& end, int64_t limit);  // 0 ≤ start ≤ end ≤ limit
void check_offsets(const Call& call, const Tensor& offsets, int64_t limit);  // given; from 0 to limit, never falling
// `sorted` are order, rows, segments and count of these ids: the outputs of one `sort_rows` of the very same tensors,
// or given, with the numbers that it would give.
void check_sorted(const Call& call, const Slot& ids, const Slot* sorted);
// `rows` hold each row at most once up to `count`, and are rows of a table of that many.
void check_distinct_rows(const Call& call, const Tensor& rows, const Tensor& count, int64_t table_rows);
// The attribute as a whole number of `least` to `most`.
int64_t whole_attribute(const Call& call, const char* name, int64_t least, int64_t most);

// Of numbers that are known; not known where there are none.
Bounds bounds_of(const int32_t* numbers, int64_t count);

// What an int32 output will hold, for the checks of the instructions that read it: numbers of lowest to highest.
void promise(const Tensor& output, int64_t lowest, int64_t highest);
void promise_consecutive(const Tensor& output, int64_t first);  // first, first + 1, …

namespace SHORTLIST_ISA {
namespace {

SHORTLIST_INLINE constexpr SlotType float32(const char* name, int8_t rank) {
  return {name, Dtype::float32, rank, false, false};
}
SHORTLIST_INLINE constexpr SlotType int32(const char* name, int8_t rank) {
  return {name, Dtype::int32, rank, false, false};
}
SHORTLIST_INLINE constexpr SlotType uint32(const char* name, int8_t rank) {
  return {name, Dtype::uint32, rank, false, false};
}
SHORTLIST_INLINE constexpr SlotType optional(SlotType slot) {
  return {slot.name, slot.dtype, slot.rank, true, slot.list};
}
SHORTLIST_INLINE constexpr SlotType list(SlotType slot) {
  return {slot.name, slot.dtype, slot.rank, slot.optional, true};
}
constexpr SlotType kNoSlot = {nullptr, Dtype::float32, 0, false, false};

// Calls body(chunk) for each chunk in [0, chunks), on all threads. Chunks should be alike: a thread begins with the
// same part of them each time, so that what it wrote by one call is in its caches in the next. With `in_order` they
// need not be.
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

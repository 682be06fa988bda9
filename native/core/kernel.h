#pragma once

#include <cstdint>

#include "native/core/tensor.h"

// The interface between the executor and an op's native kernels. Kernels are compiled once for each instruction set, in
// namespace shortlist::SHORTLIST_ISA, so this header and theirs use no templates of std (ARCHITECTURE.md, "The native
// engine").

namespace shortlist {

class Arena;
class Threads;
struct Attribute;

// The tensors of one operand slot: one, several (in a list slot), or none (in an optional slot).
struct Slot {
  const Tensor* tensors;
  int32_t count;
};

// One instruction of a Program in one run, with the tensors of that run.
struct Call {
  const char* op;
  const Slot* inputs;   // in the order of Op::inputs
  const Slot* outputs;  // in the order of Op::outputs
  const Attribute* attributes;
  int32_t attribute_count;
  Threads* threads;  // the thread pool of the device
  Arena* scratch;    // reset after each instruction

  SHORTLIST_INLINE bool has(int slot) const { return inputs[slot].count > 0; }
  SHORTLIST_INLINE const Tensor& input(int slot) const { return inputs[slot].tensors[0]; }
  SHORTLIST_INLINE const Tensor& output(int slot) const { return outputs[slot].tensors[0]; }
};

const int8_t kAnyRank = -1;

// The dtype and rank that an operand slot requires. A Plan refuses Programs with other operands, so kernels may rely on
// them: a vector [n] has n rows and one column, a scalar has one element.
struct SlotType {
  const char* name;
  Dtype dtype;
  int8_t rank;    // number of axes: 0, 1, 2 or kAnyRank
  bool optional;  // may be left out
  bool list;      // takes several tensors
};

// An op. The lists of slots end with kNoSlot. An output slot with the name of an input slot is a stored tensor that is
// updated in place. Every other output is a tensor of the run that no other instruction writes, so it never overlaps an
// input.
struct Op {
  const char* name;
  const SlotType* inputs;
  const SlotType* outputs;
  // Throws Error(Status::program) if shapes do not fit each other or the bounds of an index are unknown, and
  // Error(Status::input) if an id or range is out of bounds. Calls `promise` for the op's int32 outputs; an output
  // without a promise is refused as an index. The checks of all instructions run, in order, before the first kernel.
  void (*check)(const Call& call);
  // Computes every element of every output. If `check` has passed, it accesses nothing outside its operands. Throws
  // only if `scratch` has no memory left; some instructions have been computed then and others not.
  void (*run)(const Call& call);
};

// The attribute with this name. Throws Error(Status::program) if it is missing or has another type.
double number_attribute(const Call& call, const char* name);
bool flag_attribute(const Call& call, const char* name);
bool text_attribute_is(const Call& call, const char* name, const char* text);
const char* text_attribute(const Call& call, const char* name);  // valid as long as the Program

// Scratch memory for `elements` 4-byte elements: 64-byte aligned, uninitialised, valid until the instruction ends. Only
// for the thread that runs the kernel, not inside a chunk. Throws Error(Status::executor) if there is no memory left.
void* scratch(const Call& call, int64_t elements);

// Runs task(context, chunk) for each chunk in [0, chunks) on the thread pool; see Threads::run.
void run_chunks(const Call& call, int64_t chunks, bool in_order, void (*task)(void* context, int64_t chunk),
                void* context);

// The number of threads, and inside a chunk the number of the thread that runs it (from 0). They are for scratch memory
// that has a part for each thread. Results must not depend on them.
int64_t worker_count(const Call& call);
int64_t this_worker();

// Checks for Op::check (native/core/checks.cc). They throw Error(Status::input), or (Status::program) if a Program
// could never pass. Messages name the op and the tensor.
void expect(const Call& call, bool condition, const char* expectation);                      // Status::program
void check_ids(const Call& call, const Tensor& ids, int64_t rows, int64_t first = 0);        // first ≤ id < rows
void check_ranges(const Call& call, const Tensor& start, const Tensor& end, int64_t limit);  // 0 ≤ start ≤ end ≤ limit
// Offsets that are given (not computed), start with 0, end with `limit` and never decrease.
void check_offsets(const Call& call, const Tensor& offsets, int64_t limit);
// `sorted` are the slots order, rows, segments and count for these ids: either the outputs of one `sort_rows` of the
// same tensors, or given tensors with the numbers that `sort_rows` would compute.
void check_sorted(const Call& call, const Slot& ids, const Slot* sorted);
// The first `count` elements of `rows` are distinct rows of a table with `table_rows` rows.
void check_distinct_rows(const Call& call, const Tensor& rows, const Tensor& count, int64_t table_rows);
// The value of a number attribute, which must be a whole number from `least` to `most`.
int64_t whole_attribute(const Call& call, const char* name, int64_t least, int64_t most);

// The bounds of `count` numbers; unknown if there are none.
Bounds bounds_of(const int32_t* numbers, int64_t count);

// Declares the values that an int32 output will hold, for the checks of the instructions that read it.
void promise(const Tensor& output, int64_t lowest, int64_t highest);  // lowest ≤ value ≤ highest
void promise_consecutive(const Tensor& output, int64_t first);        // first, first + 1, …

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

// Calls body(chunk) for each chunk in [0, chunks), on all threads, for chunks of about equal cost. Each thread starts
// with the same part of the chunks in every call, so that the data of the previous call is still in its caches.
template <class Body>
SHORTLIST_INLINE void parallel(const Call& call, int64_t chunks, const Body& body, bool in_order = false) {
  run_chunks(
      call, chunks, in_order, [](void* context, int64_t chunk) { (*static_cast<const Body*>(context))(chunk); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// The same for chunks of unequal cost, sorted by falling cost: each thread takes the next chunk.
template <class Body>
SHORTLIST_INLINE void parallel_in_order(const Call& call, int64_t chunks, const Body& body) {
  parallel(call, chunks, body, true);
}

// Calls body(begin, end) for consecutive blocks of [0, count) with `block` elements each. The blocks do not depend on
// the number of threads.
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

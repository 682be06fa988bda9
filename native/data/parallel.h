#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

#include "native/core/threads.h"

namespace shortlist {

// Calls body(i) for all i below `count` on all threads, each thread taking the next one. Rethrows the exception of the
// first i whose body has thrown.
template <class Body>
void for_each_in_parallel(Threads* threads, size_t count, const Body& body) {
  struct Context {
    const Body* body;
    std::vector<std::exception_ptr> errors;
  } context{&body, std::vector<std::exception_ptr>(count)};
  const auto task = [](void* given, int64_t i) {
    Context& context = *static_cast<Context*>(given);
    try {
      (*context.body)(static_cast<size_t>(i));
    } catch (...) {
      context.errors[static_cast<size_t>(i)] = std::current_exception();
    }
  };
  threads->run(static_cast<int64_t>(count), true, task, &context);
  for (const std::exception_ptr& error : context.errors) {
    if (error) std::rethrow_exception(error);
  }
}

const size_t kPiece = size_t{1} << 16;

inline size_t pieces_of(size_t size) { return (size + kPiece - 1) / kPiece; }

// Calls body(piece, begin, end) for pieces of the numbers below `size`, on all threads.
template <class Body>
void for_each_piece(Threads* threads, size_t size, const Body& body) {
  for_each_in_parallel(threads, pieces_of(size),
                       [&](size_t piece) { body(piece, piece * kPiece, std::min(size, (piece + 1) * kPiece)); });
}

// Sorts by an order in which no two values are equal, so the result does not depend on the number of threads.
template <class Value, class Less>
void sort_in_parallel(Threads* threads, std::vector<Value>* values, const Less& less) {
  size_t parts = 1;
  while (parts < static_cast<size_t>(threads->count()) && values->size() / parts > kPiece) parts *= 2;
  const auto at = [&](size_t part) {
    return values->begin() + static_cast<std::ptrdiff_t>(values->size() * part / parts);
  };
  for_each_in_parallel(threads, parts, [&](size_t part) { std::sort(at(part), at(part + 1), less); });
  for (size_t width = 1; width < parts; width *= 2) {
    for_each_in_parallel(threads, parts / (2 * width), [&](size_t i) {
      const size_t part = 2 * width * i;
      std::inplace_merge(at(part), at(part + width), at(part + 2 * width), less);
    });
  }
}

}  // namespace shortlist

#pragma once

#include <string>
#include <vector>

namespace shortlist {

struct Op;

// A build of the kernels for one instruction set.
struct Isa {
  const char* name;      // "baseline", "avx2", "avx512", "avx512_bf16" on x86-64; "neon" on arm64
  const Op* const* ops;  // ended by nullptr
  bool (*usable)();      // the processor has it and the system saves its registers
};

// Those that this machine can run, the fastest first.
std::vector<Isa> usable_isas();

// The usable instruction set of this name; the fastest for "" unless the environment variable SHORTLIST_ISA names one.
// Throws Error(Status::option) for a name that is unknown or not usable: nothing falls back silently.
Isa select_isa(const std::string& name);

}  // namespace shortlist

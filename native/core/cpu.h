#pragma once

#include <string>
#include <vector>

namespace shortlist {

struct Op;
struct SearchKernels;

// The kernels as they are compiled for one instruction set.
struct Isa {
  const char* name;      // "baseline", "avx2", "avx512", "avx512_bf16" on x86-64; "neon" on arm64
  const Op* const* ops;  // ends with nullptr
  const SearchKernels* search;
  bool (*usable)();  // whether the processor has it and the operating system saves its registers
};

// The instruction sets that this machine can run, fastest first.
std::vector<Isa> usable_isas();

// The usable instruction set with this name. For "" it is the one that the environment variable SHORTLIST_ISA names, or
// the fastest. Throws Error(Status::option) if the name is unknown or the instruction set is not usable.
Isa select_isa(const std::string& name);

}  // namespace shortlist

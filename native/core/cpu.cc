#include "native/core/cpu.h"

#include <cstdint>
#include <cstdlib>

#include "native/core/error.h"
#include "native/core/search_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace shortlist {

#if defined(__x86_64__)

namespace baseline {
extern const Op* const ops[];
extern const SearchKernels search_kernels;
}  // namespace baseline
namespace avx2 {
extern const Op* const ops[];
extern const SearchKernels search_kernels;
}  // namespace avx2
namespace avx512 {
extern const Op* const ops[];
extern const SearchKernels search_kernels;
}  // namespace avx512
namespace avx512_bf16 {
extern const Op* const ops[];
extern const SearchKernels search_kernels;
}  // namespace avx512_bf16
namespace avx512_vnni {
extern const SearchKernels search_kernels;
}  // namespace avx512_vnni

namespace {

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool all(uint32_t value, uint32_t bits) { return (value & bits) == bits; }

constexpr uint32_t bit(int n) { return uint32_t{1} << n; }

// The register states that the operating system saves on a context switch (XCR0).
uint64_t saved_registers() {
  if (!all(cpuid(1).ecx, bit(27))) return 0;  // OSXSAVE
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// x86-64-v2: SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT.
bool has_v2() { return all(cpuid(1).ecx, bit(0) | bit(9) | bit(13) | bit(19) | bit(20) | bit(23)); }

// x86-64-v3: FMA, MOVBE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; XMM and YMM saved.
bool has_v3() {
  return has_v2() && all(cpuid(1).ecx, bit(12) | bit(22) | bit(28) | bit(29)) &&
         all(cpuid(7).ebx, bit(3) | bit(5) | bit(8)) && all(cpuid(0x80000001).ecx, bit(5)) &&
         (saved_registers() & 0x6) == 0x6;
}

// x86-64-v4: AVX512 F, DQ, CD, BW, VL; opmask and ZMM saved.
bool has_v4() {
  return has_v3() && all(cpuid(7).ebx, bit(16) | bit(17) | bit(28) | bit(30) | bit(31)) &&
         (saved_registers() & 0xe6) == 0xe6;
}

// AVX512-BF16: VDPBF16PS, the dot product of bfloat16 pairs.
bool has_bf16() { return has_v4() && all(cpuid(7, 1).eax, bit(5)); }

// AVX512-VNNI: VPDPWSSD, which multiplies pairs of 16-bit numbers and adds the products to a sum of 32 bits.
bool has_vnni() { return has_v4() && all(cpuid(7).ecx, bit(11)); }

// Whether one VDPBF16PS is faster than the two float32 multiply-adds that it replaces. On an Emerald Rapids core it
// takes 2.1 cycles and each multiply-add 0.5 (`npm run bench` measures both). On AMD Zen 4 it is documented to take as
// long as one multiply-add; this was not measured here.
bool dots_are_fast() { return cpuid(0).ebx == signature_AMD_ebx; }

// Searches have the same bits with VNNI and without; the first pass takes about two thirds of the time with it.
const Isa kIsas[] = {
    {"avx512_bf16", avx512_bf16::ops, &avx512_vnni::search_kernels,
     [] { return has_bf16() && dots_are_fast() && has_vnni(); }},
    {"avx512_bf16", avx512_bf16::ops, &avx512_bf16::search_kernels,
     [] { return has_bf16() && dots_are_fast() && !has_vnni(); }},
    {"avx512", avx512::ops, &avx512_vnni::search_kernels, has_vnni},
    {"avx512", avx512::ops, &avx512::search_kernels, [] { return has_v4() && !has_vnni(); }},
    {"avx512_bf16", avx512_bf16::ops, &avx512_bf16::search_kernels, [] { return has_bf16() && !dots_are_fast(); }},
    {"avx2", avx2::ops, &avx2::search_kernels, has_v3},
    {"baseline", baseline::ops, &baseline::search_kernels, has_v2},
};

}  // namespace

#elif defined(__aarch64__)

namespace neon {
extern const Op* const ops[];
extern const SearchKernels search_kernels;
}  // namespace neon

namespace {

const Isa kIsas[] = {{"neon", neon::ops, &neon::search_kernels, [] { return true; }}};  // armv8 always has it

}  // namespace

#else

namespace baseline {
extern const Op* const ops[];
extern const SearchKernels search_kernels;
}  // namespace baseline

namespace {

const Isa kIsas[] = {{"baseline", baseline::ops, &baseline::search_kernels, [] { return true; }}};

}  // namespace

#endif

std::vector<Isa> usable_isas() {
  std::vector<Isa> usable;
  for (const Isa& isa : kIsas) {
    const bool built = *isa.ops != nullptr;  // SHORTLIST_ISAS can leave instruction sets out of a build
    if (built && isa.usable()) usable.push_back(isa);
  }
  return usable;
}

Isa select_isa(const std::string& name) {
  const char* environment = std::getenv("SHORTLIST_ISA");
  const std::string wanted = !name.empty() ? name : environment != nullptr ? environment : "";
  const std::vector<Isa> usable = usable_isas();
  if (usable.empty()) throw Error(Status::executor, "Expected a processor with SSE4.2 (x86-64-v2)");
  if (wanted.empty()) return usable.front();
  std::string names;
  for (const Isa& isa : usable) {
    if (wanted == isa.name) return isa;
    names += (names.empty() ? "" : ", ") + std::string(isa.name);
  }
  for (const Isa& isa : kIsas) {
    if (wanted == isa.name) {
      throw Error(Status::option, "Expected an instruction set that this processor has (" + names +
                                      ") but received \"" + wanted + "\"");
    }
  }
  throw Error(Status::option, "Expected an instruction set (" + names + ") but received \"" + wanted + "\"");
}

}  // namespace shortlist

// If an instruction set is forced, its kernels run. One that is unknown, or that this processor lacks, is an error.

#include "native/core/cpu.h"

#include <cstdlib>
#include <map>
#include <set>

#include "native/core/cpu_device.h"
#include "test/native/check.h"

using namespace shortlist;

namespace {

void force(const char* name) { setenv("SHORTLIST_ISA", name, 1); }

std::string mistake(const std::string& name) {
  return error_of(Status::option, [&] { select_isa(name); });
}

// The ops that multiply matrices: each instruction set has its own kernels for them.
const std::set<std::string> kProducts = {
#define SHORTLIST_OP(name)
#define SHORTLIST_PRODUCT(name) #name,
#include "native/ops/registry.inc"
#undef SHORTLIST_OP
#undef SHORTLIST_PRODUCT
};

bool may_be_one_kernel(const std::string& isa, const std::string& other, const std::string& op) {
  return isa.substr(0, 6) == "avx512" && other.substr(0, 6) == "avx512" && kProducts.count(op) == 0;
}

}  // namespace

int main() {
  unsetenv("SHORTLIST_ISA");
  const std::vector<Isa> usable = usable_isas();
  CHECK(!usable.empty());
  std::string names;
  for (const Isa& isa : usable) names += (names.empty() ? "" : ", ") + std::string(isa.name);
  const std::string fastest = usable.front().name;
  CHECK_TEXT(select_isa("").name, fastest);
  force("");
  CHECK_TEXT(select_isa("").name, fastest);

  std::map<void (*)(const Call&), std::string> kernels;  // the instruction set of each
  for (const Isa& isa : usable) {
    force(isa.name);
    const CpuDevice device(1, "");
    CHECK_TEXT(device.isa(), isa.name);
    CHECK(device.ops() == isa.ops && isa.ops[0] != nullptr);
    for (const Op* const* op = isa.ops; *op != nullptr; ++op) {
      const auto [kernel, is_new] = kernels.emplace((*op)->run, isa.name);
      CHECK(is_new || kernel->second == isa.name || may_be_one_kernel(isa.name, kernel->second, (*op)->name));
    }
    for (const Isa& other : usable)
      CHECK_TEXT(select_isa(other.name).name, other.name);  // the argument overrides SHORTLIST_ISA
  }

  for (const std::string name : {"baseline", "avx2", "avx512", "avx512_bf16", "neon"}) {
    bool has = false;
    for (const Isa& isa : usable) has = has || name == isa.name;
    if (has) continue;
#if defined(__x86_64__)
    const bool built = name != "neon";
#else
    const bool built = false;
#endif
    const std::string expected =
        std::string(built ? "Expected an instruction set that this processor has (" : "Expected an instruction set (") +
        names + ") but received \"" + name + "\"";
    CHECK_TEXT(mistake(name), expected);
    force(name.c_str());
    CHECK_TEXT(mistake(""), expected);
    CHECK_TEXT(error_of(Status::option, [] { CpuDevice(1, ""); }), expected);
  }
  force("AVX2");
  CHECK_TEXT(mistake(""), "Expected an instruction set (" + names + ") but received \"AVX2\"");
  if (failures() == 0)
    std::printf("usable: %s\n", names.c_str());  // CMakeLists.txt has the expected names for emulated processors
  return failures() > 0;
}

// A forced instruction set is the one whose kernels run; one that is unknown, or that this processor lacks, is an error.

#include "native/core/cpu.h"

#include <cstdlib>
#include <set>

#include "native/core/executor.h"
#include "test/native/check.h"

using namespace shortlist;

namespace {

void force(const char* name) { setenv("SHORTLIST_ISA", name, 1); }

std::string mistake(const std::string& name) {
  return error_of(Status::option, [&] { select_isa(name); });
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

  std::set<void (*)(const Call&)> kernels;
  for (const Isa& isa : usable) {
    force(isa.name);
    const Engine engine(1, "");
    CHECK_TEXT(engine.isa(), isa.name);
    std::set<void (*)(const Call&)> own;
    for (const Op* const* op = isa.ops; *op != nullptr; ++op) {
      CHECK(engine.find((*op)->name) == *op);
      CHECK(kernels.count((*op)->run) == 0);  // another instruction set's
      own.insert((*op)->run);
    }
    CHECK(!own.empty());
    kernels.insert(own.begin(), own.end());
    for (const Isa& other : usable) CHECK_TEXT(select_isa(other.name).name, other.name);  // what is asked for goes first
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
    const std::string expected = std::string(built ? "Expected an instruction set that this processor has (" : "Expected an instruction set (") + names +
                                 ") but received \"" + name + "\"";
    CHECK_TEXT(mistake(name), expected);
    force(name.c_str());
    CHECK_TEXT(mistake(""), expected);
    CHECK_TEXT(error_of(Status::option, [] { Engine(1, ""); }), expected);
  }
  force("AVX2");
  CHECK_TEXT(mistake(""), "Expected an instruction set (" + names + ") but received \"AVX2\"");
  if (failures() == 0) std::printf("usable: %s\n", names.c_str());  // CMakeLists.txt says what an emulated processor has
  return failures() > 0;
}

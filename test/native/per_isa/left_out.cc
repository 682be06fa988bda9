// The empty table of kernels of an instruction set that SHORTLIST_ISAS leaves out of the build (CMakeLists.txt).

#include "native/core/kernel.h"

namespace shortlist {
namespace SHORTLIST_ISA {
extern const Op* const ops[];
const Op* const ops[] = {nullptr};
}  // namespace SHORTLIST_ISA
}  // namespace shortlist

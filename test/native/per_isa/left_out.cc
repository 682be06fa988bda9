// The kernels of an instruction set that a build for tests leaves out (CMakeLists.txt, SHORTLIST_ISAS): none.

#include "native/core/kernel.h"

namespace shortlist {
namespace SHORTLIST_ISA {
extern const Op* const ops[];
const Op* const ops[] = {nullptr};
}  // namespace SHORTLIST_ISA
}  // namespace shortlist

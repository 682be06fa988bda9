// The empty tables of kernels of an instruction set that SHORTLIST_ISAS leaves out of the build (CMakeLists.txt).

#include "native/core/kernel.h"
#include "native/core/search_kernels.h"

namespace shortlist {
namespace SHORTLIST_ISA {
extern const Op* const ops[];
const Op* const ops[] = {nullptr};
extern const SearchKernels search_kernels;
const SearchKernels search_kernels = {nullptr, nullptr, nullptr, nullptr, nullptr};
}  // namespace SHORTLIST_ISA
}  // namespace shortlist

// The table of native ops, once for each instruction set.
//
// An instruction set that differs from another one in how it multiplies matrices, and in nothing else, is compiled with
// SHORTLIST_BASE_ISA: it has products of its own, and all other ops from that one.

#include "native/core/kernel.h"

#ifndef SHORTLIST_BASE_ISA
#define SHORTLIST_BASE_ISA SHORTLIST_ISA
#endif

namespace shortlist {

#define SHORTLIST_OP(name) extern const Op name;
#define SHORTLIST_PRODUCT(name)
namespace SHORTLIST_BASE_ISA {
#include "native/ops/registry.inc"
}  // namespace SHORTLIST_BASE_ISA
#undef SHORTLIST_OP
#undef SHORTLIST_PRODUCT

namespace SHORTLIST_ISA {

#define SHORTLIST_OP(name)
#define SHORTLIST_PRODUCT(name) extern const Op name;
#include "native/ops/registry.inc"
#undef SHORTLIST_OP
#undef SHORTLIST_PRODUCT

#define SHORTLIST_OP(name) &SHORTLIST_BASE_ISA::name,
#define SHORTLIST_PRODUCT(name) &name,
extern const Op* const ops[];
const Op* const ops[] = {
#include "native/ops/registry.inc"
    nullptr};
#undef SHORTLIST_OP
#undef SHORTLIST_PRODUCT

}  // namespace SHORTLIST_ISA
}  // namespace shortlist

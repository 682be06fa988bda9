// The table of native ops; compiled once for each instruction set.
//
// An instruction set that differs from another one only in how it multiplies matrices is compiled with
// SHORTLIST_BASE_ISA, the name of the other one: it has its own products and takes all other ops from there.

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

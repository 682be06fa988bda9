// The table of native ops, once for each instruction set.

#include "native/ops/op.h"

namespace shortlist {
namespace SHORTLIST_ISA {

#define SHORTLIST_OP(name) extern const Op name;
#include "native/ops/registry.inc"
#undef SHORTLIST_OP

#define SHORTLIST_OP(name) &name,
extern const Op* const ops[];
const Op* const ops[] = {
#include "native/ops/registry.inc"
    nullptr};
#undef SHORTLIST_OP

}  // namespace SHORTLIST_ISA
}  // namespace shortlist

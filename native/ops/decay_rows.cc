// Lazy L2 decay of table rows under AdaGrad: applied when a row is next used; formula in src/ops/decay_rows.ts.
//
// parameter[row] *= max(0, 1 − η·λ / d)^Δt,  last_step[row] = step, both in place, for rows[0 … count).
//
// Δt is a whole number and the same for the whole row, so the power is computed by repeated squaring, with at most two
// products for each bit of Δt. Rows are distinct, so blocks of them are updated in parallel.

#include "native/ops/elementwise.h"
#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kRowsPerBlock = 64;

enum Input { kParameter, kAccumulator, kLastStep, kRows, kCount, kLearningRate, kStep };

void check(const Call& call) {
  const Tensor& parameter = call.input(kParameter);
  expect(call, same_shape(parameter, call.input(kAccumulator)), "accumulator of parameter's shape");
  expect(call, same_shape(parameter, call.output(0)), "output of parameter's shape");
  expect(call, is_shape(call.input(kLastStep), parameter.rows, 1) && is_shape(call.output(1), parameter.rows, 1),
         "last_step with one number a row");
  number_attribute(call, "l2");
  number_attribute(call, "epsilon");
  flag_attribute(call, "epsilon_inside");
  check_distinct_rows(call, call.input(kRows), call.input(kCount), parameter.rows);
}

SHORTLIST_INLINE vf power(vf base, uint32_t exponent) {
  vf result = splat(1.0f);
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

void run(const Call& call) {
  const Tensor& parameter = call.output(0);
  const Tensor& accumulator = call.input(kAccumulator);
  uint32_t* last_step = call.output(1).u32();
  const int32_t* rows = call.input(kRows).i32();
  const uint32_t step = call.input(kStep).u32()[0];
  const vf rate = splat(call.input(kLearningRate).f32()[0] * static_cast<float>(number_attribute(call, "l2")));
  const vf epsilon = splat(static_cast<float>(number_attribute(call, "epsilon")));
  const bool is_inside = flag_attribute(call, "epsilon_inside");
  const vf inside = is_inside ? epsilon : vf{}, outside = is_inside ? vf{} : epsilon;
  parallel_blocks(call, call.input(kCount).i32()[0], kRowsPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = rows[i];
      const uint32_t steps = step - last_step[row];
      last_step[row] = step;
      if (steps == 0) continue;
      for (int64_t c = 0; c < parameter.columns; c += kLanes) {
        const int64_t left = parameter.columns - c;
        const vf a = load_upto(accumulator.row(row) + c, left);
        const vf kept = splat(1.0f) - rate / (square_root(a + inside) + outside);
        float* to = parameter.row(row) + c;
        store_upto(to, load_upto(to, left) * power(kept > vf{} ? kept : vf{}, steps), left);
      }
    }
  });
}

const SlotType kInputs[] = {float32("parameter", kAnyRank),
                            float32("accumulator", kAnyRank),
                            uint32("last_step", 1),
                            int32("rows", 1),
                            int32("count", 0),
                            float32("learning_rate", 0),
                            uint32("step", 0),
                            kNoSlot};
const SlotType kOutputs[] = {float32("parameter", kAnyRank), uint32("last_step", 1), kNoSlot};

}  // namespace

extern const Op decay_rows = {"decay_rows", kInputs, kOutputs, check, run};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist

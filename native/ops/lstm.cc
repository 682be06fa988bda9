// The recurrent part of an LSTM over runs of steps; formulas in src/ops/lstm.ts. h is the hidden width, σ the sigmoid,
// ∘ elementwise; run r is steps run_offsets[r] … run_offsets[r + 1] − 1, from zero state; optional peepholes p.
//
// forward   [i f g o] = projection[position[s]] + h₋·R;  i = σ(i + p_i∘c₋), f = σ(f + p_f∘c₋), g = tanh(g),
//           c = f∘c₋ + i∘g, o = σ(o + p_o∘c), h = o∘tanh(c).      output, gates (activated) and cell are =
// gradient  back-propagation through time. d [steps, 4h], the gradient by the gates before activation, runs backwards;
//           then projection_gradient[p] = Σ d[s] over the steps that read p, in step order (= and 0 where none does),
//           recurrent_weight_gradient = Σ h₋ᵀ·d[s], peepholes: Σ d_i∘c₋, Σ d_f∘c₋, Σ d_o∘c.      all are =
//
// Nothing aliases. A run is a chain, so runs go side by side: they are sorted by falling length and cut into groups of
// kRunsPerGroup, which is a chunk of work. Step t of a group is one product [active runs, h]·R, R packed once for all,
// and one pass over the gates; the runs that are still active are always the first ones of the group. The backward pass
// leaves its products with the weights' shape to one large product over all steps, at the end.

#include "native/ops/gemm.h"
#include "native/ops/operands.h"
#include "native/simd/math.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// Whole register tiles of every instruction set but AVX-512; small enough for many groups, large enough that R, which is
// read once a step, is worth its way from the L2 cache.
const int64_t kRunsPerGroup = 24;
const int64_t kStepsPerBlock = 128;

// The slots that both directions share, counted from the first of them.
enum Operand { kProjection, kRecurrentWeight, kPosition, kRunOffsets, kPeepholeInput, kPeepholeForget, kPeepholeOutput };

void check_recurrence(const Call& call, int first) {
  const Tensor& projection = call.input(first + kProjection);
  const Tensor& weight = call.input(first + kRecurrentWeight);
  const int64_t h = weight.rows;
  expect(call, weight.columns == 4 * h, "recurrent_weight [h, 4h]");
  expect(call, projection.columns == 4 * h, "projection [positions, 4h]");
  expect(call, call.input(first + kRunOffsets).rows > 0, "run_offsets [runs + 1]");
  const bool peepholes = call.has(first + kPeepholeInput);
  for (int slot = kPeepholeInput; slot <= kPeepholeOutput; ++slot) {
    expect(call, call.has(first + slot) == peepholes, "all three peepholes or none");
    if (peepholes) expect(call, is_shape(call.input(first + slot), h, 1), "peepholes [h]");
  }
  check_ids(call, call.input(first + kPosition), projection.rows);
  check_offsets(call, call.input(first + kRunOffsets), call.input(first + kPosition).rows);
}

struct Peepholes {
  const float* input;  // all three or none
  const float* forget;
  const float* output;
};

Peepholes peepholes_of(const Call& call, int first) {
  if (!call.has(first + kPeepholeInput)) return {nullptr, nullptr, nullptr};
  return {call.input(first + kPeepholeInput).f32(), call.input(first + kPeepholeForget).f32(),
          call.input(first + kPeepholeOutput).f32()};
}

// The runs by falling length, equal ones in their order.
struct Runs {
  const int32_t* offsets;
  const int32_t* order;
  int64_t count;

  SHORTLIST_INLINE int64_t length(int64_t i) const { return offsets[order[i] + 1] - offsets[order[i]]; }
  SHORTLIST_INLINE int64_t first_step(int64_t i) const { return offsets[order[i]]; }
};

Runs sort_runs(const Call& call, const Tensor& run_offsets) {
  const int32_t* offsets = run_offsets.i32();
  const int64_t count = run_offsets.rows - 1;
  int32_t longest = 0;
  for (int64_t r = 0; r < count; ++r) {
    const int32_t length = offsets[r + 1] - offsets[r];
    longest = length > longest ? length : longest;
  }
  // Counting sort; next[longest − length] is where the next run of that length goes.
  int32_t* next = int_scratch(call, longest + 2);
  int32_t* order = int_scratch(call, count);
  for (int32_t i = 0; i < longest + 2; ++i) next[i] = 0;
  for (int64_t r = 0; r < count; ++r) ++next[longest - (offsets[r + 1] - offsets[r]) + 1];
  for (int32_t i = 0; i <= longest; ++i) next[i + 1] += next[i];
  for (int64_t r = 0; r < count; ++r) order[next[longest - (offsets[r + 1] - offsets[r])]++] = static_cast<int32_t>(r);
  return {offsets, order, count};
}

enum ForwardOutput { kOutput, kGates, kCell };

void check_forward(const Call& call) {
  const int64_t h = call.input(kRecurrentWeight).rows, steps = call.input(kPosition).rows;
  expect(call, is_shape(call.output(kOutput), steps, h), "output [steps, h]");
  expect(call, is_shape(call.output(kGates), steps, 4 * h), "gates [steps, 4h]");
  expect(call, is_shape(call.output(kCell), steps, h), "cell [steps, h]");
  check_recurrence(call, 0);
}

// One step of one run. `recurrent` is h₋·R, or nullptr at a run's start (h₋ = c₋ = 0); `cell` is c₋ and becomes c.
SHORTLIST_INLINE void step(int64_t h, const float* projection, const float* recurrent, const Peepholes& peepholes,
                           float* state, float* cell, float* gates_to, float* cell_to, float* output_to) {
  for (int64_t j = 0; j < h; j += kLanes) {
    const int64_t left = h - j;
    vf i = load_upto(projection + j, left);
    vf f = load_upto(projection + h + j, left);
    vf g = load_upto(projection + 2 * h + j, left);
    vf o = load_upto(projection + 3 * h + j, left);
    vf before = vf{};
    if (recurrent) {
      i += load_upto(recurrent + j, left);
      f += load_upto(recurrent + h + j, left);
      g += load_upto(recurrent + 2 * h + j, left);
      o += load_upto(recurrent + 3 * h + j, left);
      before = load_upto(cell + j, left);
    }
    if (peepholes.input) {
      i = madd(load_upto(peepholes.input + j, left), before, i);
      f = madd(load_upto(peepholes.forget + j, left), before, f);
    }
    i = sigmoid(i);
    f = sigmoid(f);
    g = hyperbolic_tangent(g);
    const vf c = madd(f, before, i * g);
    if (peepholes.output) o = madd(load_upto(peepholes.output + j, left), c, o);
    o = sigmoid(o);
    const vf output = o * hyperbolic_tangent(c);
    store_upto(gates_to + j, i, left);
    store_upto(gates_to + h + j, f, left);
    store_upto(gates_to + 2 * h + j, g, left);
    store_upto(gates_to + 3 * h + j, o, left);
    store_upto(cell_to + j, c, left);
    store_upto(cell + j, c, left);
    store_upto(output_to + j, output, left);
    store_upto(state + j, output, left);
  }
}

void forward(const Call& call) {
  const Tensor& projection = call.input(kProjection);
  const Tensor& weight = call.input(kRecurrentWeight);
  const int32_t* position = call.input(kPosition).i32();
  const Tensor& output = call.output(kOutput);
  const Tensor& gates = call.output(kGates);
  const Tensor& cell = call.output(kCell);
  const Peepholes peepholes = peepholes_of(call, 0);
  const int64_t h = weight.rows;
  const Runs runs = sort_runs(call, call.input(kRunOffsets));
  const PackedMatrix recurrent = {float_scratch(call, packed_elements(h, 4 * h)), h, 4 * h};
  pack(call, recurrent, {weight.f32(), weight.stride, 1});
  const int64_t groups = (runs.count + kRunsPerGroup - 1) / kRunsPerGroup;
  const int64_t group_elements = round_up(kRunsPerGroup * 6 * h, 16);
  float* buffer = float_scratch(call, groups * group_elements);
  parallel_blocks(call, runs.count, kRunsPerGroup, [&](int64_t begin, int64_t end) {
    float* product = buffer + begin / kRunsPerGroup * group_elements;  // [runs, 4h] h₋·R
    float* state = product + kRunsPerGroup * 4 * h;                    // [runs, h] h₋, then h
    float* memory = state + kRunsPerGroup * h;                         // [runs, h] c₋, then c
    int64_t active = end - begin;
    for (int64_t t = 0;; ++t) {
      while (active > 0 && runs.length(begin + active - 1) <= t) --active;
      if (active == 0) break;
      if (t > 0) multiply_packed(active, 0, 4 * h, {state, h, 1}, recurrent, product, 4 * h, {});
      for (int64_t i = 0; i < active; ++i) {
        const int64_t s = runs.first_step(begin + i) + t;
        step(h, projection.row(position[s]), t > 0 ? product + i * 4 * h : nullptr, peepholes, state + i * h,
             memory + i * h, gates.row(s), cell.row(s), output.row(s));
      }
    }
  });
}

enum GradientInput { kOutputGradient, kOutputIn, kGatesIn, kCellIn, kFirstOperand };
enum GradientOutput { kProjectionGradient, kRecurrentWeightGradient, kPeepholeGradient };

void check_gradient(const Call& call) {
  const Tensor& weight = call.input(kFirstOperand + kRecurrentWeight);
  const int64_t h = weight.rows, steps = call.input(kFirstOperand + kPosition).rows;
  expect(call, is_shape(call.input(kOutputGradient), steps, h), "output_gradient [steps, h]");
  expect(call, is_shape(call.input(kOutputIn), steps, h), "output [steps, h]");
  expect(call, is_shape(call.input(kGatesIn), steps, 4 * h), "gates [steps, 4h]");
  expect(call, is_shape(call.input(kCellIn), steps, h), "cell [steps, h]");
  expect(call, same_shape(call.output(kProjectionGradient), call.input(kFirstOperand + kProjection)),
         "projection_gradient of projection's shape");
  expect(call, same_shape(call.output(kRecurrentWeightGradient), weight), "recurrent_weight_gradient of its weight's shape");
  check_recurrence(call, kFirstOperand);
  for (int i = 0; i < 3; ++i) {
    const bool has = call.outputs[kPeepholeGradient + i].count > 0;
    expect(call, has == call.has(kFirstOperand + kPeepholeInput), "a gradient for each peephole");
    if (has) expect(call, is_shape(call.output(kPeepholeGradient + i), h, 1), "peephole gradients [h]");
  }
}

// One step of one run, backwards. output_gradient is the loss's own; dh comes from the next step through R; dc is this
// step's on entry (without the part through h) and the step's before on return. `before` is c₋ or nullptr.
SHORTLIST_INLINE void step_back(int64_t h, const float* output_gradient, const float* dh_in, float* dc_state,
                                const float* gates, const float* cell, const float* before_in, const Peepholes& peepholes,
                                float* d, float* d_to) {
  for (int64_t j = 0; j < h; j += kLanes) {
    const int64_t left = h - j;
    const vf i = load_upto(gates + j, left), f = load_upto(gates + h + j, left);
    const vf g = load_upto(gates + 2 * h + j, left), o = load_upto(gates + 3 * h + j, left);
    const vf before = before_in ? load_upto(before_in + j, left) : vf{};
    const vf tanh_c = hyperbolic_tangent(load_upto(cell + j, left));
    const vf dh = load_upto(output_gradient + j, left) + load_upto(dh_in + j, left);
    const vf d_output = dh * tanh_c * o * (1.0f - o);
    vf dc = load_upto(dc_state + j, left) + dh * o * (1.0f - tanh_c * tanh_c);
    if (peepholes.output) dc = madd(load_upto(peepholes.output + j, left), d_output, dc);
    const vf d_input = dc * g * i * (1.0f - i);
    const vf d_forget = dc * before * f * (1.0f - f);
    const vf d_candidate = dc * i * (1.0f - g * g);
    dc = dc * f;
    if (peepholes.input) {
      dc = madd(load_upto(peepholes.input + j, left), d_input, dc);
      dc = madd(load_upto(peepholes.forget + j, left), d_forget, dc);
    }
    store_upto(dc_state + j, dc, left);
    store_upto(d + j, d_input, left);
    store_upto(d + h + j, d_forget, left);
    store_upto(d + 2 * h + j, d_candidate, left);
    store_upto(d + 3 * h + j, d_output, left);
    store_upto(d_to + j, d_input, left);
    store_upto(d_to + h + j, d_forget, left);
    store_upto(d_to + 2 * h + j, d_candidate, left);
    store_upto(d_to + 3 * h + j, d_output, left);
  }
}

void run_back(const Call& call, const Runs& runs, const Tensor& d) {
  const Tensor& output_gradient = call.input(kOutputGradient);
  const Tensor& gates = call.input(kGatesIn);
  const Tensor& cell = call.input(kCellIn);
  const Tensor& weight = call.input(kFirstOperand + kRecurrentWeight);
  const Peepholes peepholes = peepholes_of(call, kFirstOperand);
  const int64_t h = weight.rows;
  const PackedMatrix transposed = {float_scratch(call, packed_elements(4 * h, h)), 4 * h, h};
  pack(call, transposed, {weight.f32(), 1, weight.stride});
  const int64_t groups = (runs.count + kRunsPerGroup - 1) / kRunsPerGroup;
  const int64_t group_elements = round_up(kRunsPerGroup * 6 * h, 16);
  float* buffer = float_scratch(call, groups * group_elements);
  parallel_blocks(call, runs.count, kRunsPerGroup, [&](int64_t begin, int64_t end) {
    float* own_d = buffer + begin / kRunsPerGroup * group_elements;  // [runs, 4h] this step's d
    float* dh = own_d + kRunsPerGroup * 4 * h;                       // [runs, h]
    float* dc = dh + kRunsPerGroup * h;                              // [runs, h]
    int64_t active = 0;
    for (int64_t t = runs.length(begin) - 1; t >= 0; --t) {
      for (; active < end - begin && runs.length(begin + active) > t; ++active) {
        for (int64_t j = 0; j < h; ++j) dh[active * h + j] = dc[active * h + j] = 0;
      }
      for (int64_t i = 0; i < active; ++i) {
        const int64_t s = runs.first_step(begin + i) + t;
        step_back(h, output_gradient.row(s), dh + i * h, dc + i * h, gates.row(s), cell.row(s),
                  t > 0 ? cell.row(s - 1) : nullptr, peepholes, own_d + i * 4 * h, d.row(s));
      }
      if (t > 0) multiply_packed(active, 0, h, {own_d, 4 * h, 1}, transposed, dh, h, {});
    }
  });
}

// projection_gradient[p] = Σ d[s] over the steps s with position[s] = p, in step order.
void gather_projection_gradient(const Call& call, const int32_t* position, const Tensor& d, const Tensor& gradient) {
  int32_t* next = int_scratch(call, gradient.rows + 2);
  int32_t* step_of = int_scratch(call, d.rows);
  // Counting sort by position, stable: the steps of p end up at step_of[next[p] … next[p + 1]).
  for (int64_t p = 0; p < gradient.rows + 2; ++p) next[p] = 0;
  for (int64_t s = 0; s < d.rows; ++s) ++next[position[s] + 2];
  for (int64_t p = 0; p < gradient.rows; ++p) next[p + 2] += next[p + 1];
  for (int64_t s = 0; s < d.rows; ++s) step_of[next[position[s] + 1]++] = static_cast<int32_t>(s);
  parallel_blocks(call, gradient.rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      float* __restrict to = gradient.row(p);
      for (int64_t c = 0; c < gradient.columns; ++c) to[c] = 0;
      for (int32_t i = next[p]; i < next[p + 1]; ++i) {
        const float* __restrict from = d.row(step_of[i]);
        for (int64_t c = 0; c < gradient.columns; ++c) to[c] += from[c];
      }
    }
  });
}

// Sums over fixed blocks of steps, then the sum of those, in order.
void peephole_gradients(const Call& call, const Tensor& cell, const Tensor& d, const bool* starts) {
  const int64_t h = cell.columns, blocks = (d.rows + kStepsPerBlock - 1) / kStepsPerBlock;
  float* partial = float_scratch(call, blocks * 3 * h);
  parallel_blocks(call, d.rows, kStepsPerBlock, [&](int64_t begin, int64_t end) {
    float* __restrict sum = partial + begin / kStepsPerBlock * 3 * h;
    for (int64_t j = 0; j < 3 * h; ++j) sum[j] = 0;
    for (int64_t s = begin; s < end; ++s) {
      const float* __restrict from = d.row(s);
      const float* __restrict now = cell.row(s);
      for (int64_t j = 0; j < h; ++j) sum[2 * h + j] += from[3 * h + j] * now[j];
      if (starts[s]) continue;
      const float* __restrict before = cell.row(s - 1);
      for (int64_t j = 0; j < h; ++j) sum[j] += from[j] * before[j];
      for (int64_t j = 0; j < h; ++j) sum[h + j] += from[h + j] * before[j];
    }
  });
  for (int gate = 0; gate < 3; ++gate) {
    float* gradient = call.output(kPeepholeGradient + gate).f32();
    for (int64_t j = 0; j < h; ++j) {
      float sum = 0;
      for (int64_t b = 0; b < blocks; ++b) sum += partial[b * 3 * h + gate * h + j];
      gradient[j] = sum;
    }
  }
}

void gradient(const Call& call) {
  const Tensor& output = call.input(kOutputIn);
  const Tensor& projection_gradient = call.output(kProjectionGradient);
  const Tensor& weight_gradient = call.output(kRecurrentWeightGradient);
  const int32_t* position = call.input(kFirstOperand + kPosition).i32();
  const int64_t steps = output.rows, h = output.columns;
  const Runs runs = sort_runs(call, call.input(kFirstOperand + kRunOffsets));

  // Where step s reads position s, d is the gradient itself.
  bool identity = projection_gradient.rows == steps;
  for (int64_t s = 0; s < steps && identity; ++s) identity = position[s] == s;
  Tensor d = projection_gradient;
  if (!identity) {
    d.data = float_scratch(call, steps * 4 * h);
    d.rows = steps;
    d.stride = 4 * h;
  }
  run_back(call, runs, d);
  if (!identity) gather_projection_gradient(call, position, d, projection_gradient);

  bool* starts = static_cast<bool*>(scratch(call, (steps + 3) / 4));
  for (int64_t s = 0; s < steps; ++s) starts[s] = false;
  for (int64_t r = 0; r < runs.count; ++r) {
    if (runs.offsets[r] < runs.offsets[r + 1]) starts[runs.offsets[r]] = true;
  }
  float* before = float_scratch(call, steps * h);  // h₋ of each step
  parallel_blocks(call, steps, kStepsPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const float* __restrict from = starts[s] ? nullptr : output.row(s - 1);
      float* __restrict to = before + s * h;
      for (int64_t j = 0; j < h; ++j) to[j] = from ? from[j] : 0;
    }
  });
  multiply(call, h, 4 * h, steps, {before, 1, h}, {d.f32(), d.stride, 1}, weight_gradient.f32(), weight_gradient.stride, {});
  if (call.has(kFirstOperand + kPeepholeInput)) peephole_gradients(call, call.input(kCellIn), d, starts);
}

const char* const kForwardInputs[] = {"projection", "recurrent_weight", "position", "run_offsets", "peephole_input?",
                                      "peephole_forget?", "peephole_output?", nullptr};
const char* const kForwardOutputs[] = {"output", "gates", "cell", nullptr};
const char* const kGradientInputs[] = {"output_gradient", "output", "gates", "cell", "projection", "recurrent_weight",
                                       "position", "run_offsets", "peephole_input?", "peephole_forget?",
                                       "peephole_output?", nullptr};
const char* const kGradientOutputs[] = {"projection_gradient", "recurrent_weight_gradient", "peephole_input_gradient?",
                                        "peephole_forget_gradient?", "peephole_output_gradient?", nullptr};

}  // namespace

extern const Op lstm = {"lstm", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op lstm_gradient = {"lstm_gradient", kGradientInputs, kGradientOutputs, check_gradient, gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist

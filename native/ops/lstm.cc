// An LSTM over runs of steps; formulas in src/ops/lstm.ts. h is the hidden width, σ the sigmoid, ∘ elementwise; run r is
// steps run_offsets[r] … run_offsets[r + 1] − 1, from zero state; step s reads x = input[position[s]]; optional peepholes p.
//
// forward   [i f g o] = x·W + b + h₋·R;  i = σ(i + p_i∘c₋), f = σ(f + p_f∘c₋), g = tanh(g),
//           c = f∘c₋ + i∘g, o = σ(o + p_o∘c), h = o∘tanh(c).      output, gates (activated) and cell are =
// gradient  back-propagation through time: d [4h], the gradient by the gates before activation, runs backwards. With D[p] the
//           sum of d over the steps that read position p, in step order: input_gradient = D·Wᵀ, input_weight_gradient =
//           Σ xᵀ·D, bias_gradient = Σ D; recurrent_weight_gradient = Σ h₋ᵀ·d, peepholes: Σ d_i∘c₋, Σ d_f∘c₋, Σ d_o∘c.
//           All are =
//
// Nothing aliases. A run is a chain, so runs go side by side: they are sorted by falling length and cut into groups, and the
// runs that are still active at step t are always the first ones of their group.
//
// Forward, a register tile is kRunsPerTile runs × the four gates of one vector of units. The gates of all runs of a group are
// activated in one go: a tile's own, right behind its products, are too few to hide how long each takes. The weights are packed
// once, in panels of [rows, 4, kLanes], 32 KiB at h = 64.
// Backward, step t of a group is one pass over the gates and one product d·Rᵀ; after some 250 rows of d come the products that
// they enter, while they are still in the L2 cache: [x | h₋ | 1]ᵀ·d, summed for a slab of groups, and d·Wᵀ.
//
// What is bound by memory is what is written once a step and read again: gates, 1 KiB a step. So neither x·W nor d is ever
// stored for all steps where every position is read by one step (isolated windows). Where runs share positions, x·W is one
// product over the positions, however many steps read them, and so are its gradients.

#include "native/ops/column_sums.h"
#include "native/ops/gemm.h"
#include "native/ops/operands.h"
#include "native/simd/math.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// 24 accumulators of 32 registers, or 12 of 16.
#if defined(__AVX512F__) || defined(__aarch64__)
#define SHORTLIST_32_REGISTERS 1
const int kRunsPerTile = 6;
#else
#define SHORTLIST_32_REGISTERS 0
const int kRunsPerTile = 3;
#endif

// Whole tiles; few enough for many groups, many enough that the weights, which are read once a step, are worth their way
// from the L2 cache. The group of the longest runs bounds them all, so where there are few runs, groups are halved: 45 runs
// of up to 100 steps, h = 128, two threads of AVX2: 1.4 times as fast.
const int64_t kMostRunsPerGroup = 12;
const int64_t kManyRuns = 96;
const int64_t kRowsPerProduct = 256;  // of d, at most
const int64_t kMostSlabs = 16;

// Whether products read pairs of numbers (vector.h).
SHORTLIST_INLINE bool in_pairs(bool bf16) { return kBf16Dots && bf16; }

SHORTLIST_INLINE vf rounded(vf x, bool bf16) { return bf16 ? round_to_bf16(x) : x; }

SHORTLIST_INLINE void copy_row(float* to, const float* from, int64_t count, bool bf16) {
  for (int64_t j = 0; j < count; j += kLanes) store_upto(to + j, rounded(load_upto(from + j, count - j), bf16), count - j);
}

bool is_bf16(const Call& call) { return text_attribute_is(call, "precision", "bf16"); }

// The slots that both directions share, counted from the first of them.
enum Operand {
  kInput,
  kInputWeight,
  kBias,
  kRecurrentWeight,
  kPosition,
  kRunOffsets,
  kPeepholeInput,
  kPeepholeForget,
  kPeepholeOutput
};

void check_operands(const Call& call, int first) {
  const Tensor& input = call.input(first + kInput);
  const Tensor& recurrent = call.input(first + kRecurrentWeight);
  const int64_t h = recurrent.rows;
  expect(call, recurrent.columns == 4 * h, "recurrent_weight [h, 4h]");
  expect(call, is_shape(call.input(first + kInputWeight), input.columns, 4 * h), "input_weight [width of input, 4h]");
  if (call.has(first + kBias)) expect(call, is_shape(call.input(first + kBias), 4 * h, 1), "bias [4h]");
  expect(call, call.input(first + kRunOffsets).rows > 0, "run_offsets [runs + 1]");
  const bool peepholes = call.has(first + kPeepholeInput);
  for (int slot = kPeepholeInput; slot <= kPeepholeOutput; ++slot) {
    expect(call, call.has(first + slot) == peepholes, "all three peepholes or none");
    if (peepholes) expect(call, is_shape(call.input(first + slot), h, 1), "peepholes [h]");
  }
  expect(call, is_bf16(call) || text_attribute_is(call, "precision", "float32"), "precision \"float32\" or \"bf16\"");
  check_ids(call, call.input(first + kPosition), input.rows);
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

// Step s reads position s, and there are no others.
bool is_isolated(const Tensor& position, int64_t positions) {
  if (position.rows != positions) return false;
  int32_t differences = 0;
  for (int64_t s = 0; s < position.rows; ++s) differences |= position.i32()[s] ^ static_cast<int32_t>(s);
  return differences == 0;
}

// The runs by falling length, equal ones in their order.
struct Runs {
  const int32_t* offsets;
  const int32_t* order;
  int64_t count;

  SHORTLIST_INLINE int64_t per_group() const { return count < kManyRuns ? kMostRunsPerGroup / 2 : kMostRunsPerGroup; }
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

// ---- forward --------------------------------------------------------------------------------------------------------

enum ForwardOutput { kOutput, kGates, kCell };

void check_forward(const Call& call) {
  const int64_t h = call.input(kRecurrentWeight).rows, steps = call.input(kPosition).rows;
  expect(call, is_shape(call.output(kOutput), steps, h), "output [steps, h]");
  expect(call, is_shape(call.output(kGates), steps, 4 * h), "gates [steps, 4h]");
  expect(call, is_shape(call.output(kCell), steps, h), "cell [steps, h]");
  check_operands(call, 0);
}

// Elements of a row of x or h₋ in the memory that products read, a row each: numbers, or pairs of them in bfloat16.
SHORTLIST_INLINE int64_t state_elements(int64_t width, bool bf16) { return in_pairs(bf16) ? (width + 1) / 2 : width; }

// Number j of such a row on, `count` of them or a vector.
SHORTLIST_INLINE void store_state_upto(float* row, int64_t j, vf x, int64_t count, bool bf16) {
  if (in_pairs(bf16)) {
    store_bf16_upto(row, j, x, count);
  } else {
    store_upto(row + j, rounded(x, bf16), count);
  }
}

SHORTLIST_INLINE void copy_to_state(float* to, const float* from, int64_t count, bool bf16) {
  for (int64_t j = 0; j < count; j += kLanes) store_state_upto(to, j, load_upto(from + j, count - j), count - j, bf16);
}

// What the tiles of one step of a group share. Rows of `state` are [x | h₋], or h₋ alone where `projection` holds x·W + b.
struct GroupStep {
  int64_t h;
  bool bf16;
  int64_t rows;              // of the panels that count: without R's at a run's start, where h₋ = c₋ = 0
  bool first;
  const float* state;        // [runs, state_stride]
  int64_t state_stride;
  float* state_to;           // [runs, state_stride] at h₋
  float* cell;               // [runs, h] c₋, then c
  const int64_t* step;       // [runs]
  const int64_t* ahead;      // [runs] the step to come
  const float* const* projection;  // [runs] or nullptr
  const float* bias;         // [4h] or nullptr, where there is no projection
  Peepholes peepholes;
  Tensor gates, cells, output;
};

// The gates of kRows runs from `run` on before they are activated, the vector of units from j on: to [kRows, 4, kLanes].
template <int kRows, bool kDots>
void tile(const GroupStep& group, int64_t run, int64_t j, const float* panel, float* to) {
  const int64_t h = group.h, left = h - j, stride = group.state_stride;
  vf sum[kRows][4];
#pragma GCC unroll 4
  for (int gate = 0; gate < 4; ++gate) {
    const vf start = group.bias ? load_upto(group.bias + gate * h + j, left) : vf{};
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) sum[r][gate] = start;
  }
  multiply_add<kRows, 4, kAlong, kDots>(group.rows, group.state + run * stride, stride, panel, 4 * kLanes, sum);
  for_each_vector<kRows, 4>([&](int r, int gate) __attribute__((always_inline)) {
    store(to + (4 * r + gate) * kLanes, sum[r][gate]);
  });
}

// What `runs` runs make of their gates, the vector of units from j on.
void activate(const GroupStep& group, int64_t runs, int64_t j, const float* from) {
  const int64_t h = group.h, left = h - j;
  for (int64_t r = 0; r < runs; ++r, from += 4 * kLanes) {
    const int64_t s = group.step[r], next = group.ahead[r];
    float* const gates = group.gates.row(s) + j;
    float* const cell = group.cell + r * h + j;
    for (int gate = 0; gate < 4; ++gate) __builtin_prefetch(group.gates.row(next) + gate * h + j, 1, 2);
    __builtin_prefetch(group.cells.row(next) + j, 1, 2);
    __builtin_prefetch(group.output.row(next) + j, 1, 2);
    vf i = load(from), f = load(from + kLanes), g = load(from + 2 * kLanes), o = load(from + 3 * kLanes);
    if (group.projection) {
      const float* const projection = group.projection[r] + j;
      i += load_upto(projection, left);
      f += load_upto(projection + h, left);
      g += load_upto(projection + 2 * h, left);
      o += load_upto(projection + 3 * h, left);
    }
    const vf before = group.first ? vf{} : load_upto(cell, left);
    if (group.peepholes.input) {
      i = madd(load_upto(group.peepholes.input + j, left), before, i);
      f = madd(load_upto(group.peepholes.forget + j, left), before, f);
    }
    i = sigmoid(i);
    f = sigmoid(f);
    g = hyperbolic_tangent(g);
    const vf c = madd(f, before, i * g);
    if (group.peepholes.output) o = madd(load_upto(group.peepholes.output + j, left), c, o);
    o = sigmoid(o);
    const vf output = o * hyperbolic_tangent(c);
    store_upto(gates, i, left);
    store_upto(gates + h, f, left);
    store_upto(gates + 2 * h, g, left);
    store_upto(gates + 3 * h, o, left);
    store_upto(group.cells.row(s) + j, c, left);
    store_upto(cell, c, left);
    store_upto(group.output.row(s) + j, output, left);
    store_state_upto(group.state_to + r * group.state_stride, j, output, left, group.bf16);
  }
}

typedef void (*GateTile)(const GroupStep&, int64_t, int64_t, const float*, float*);

template <bool kDots>
struct GateTiles {
  static constexpr GateTile of[] = {tile<1, kDots>, tile<2, kDots>, tile<3, kDots>,
#if SHORTLIST_32_REGISTERS
                                    tile<4, kDots>, tile<5, kDots>, tile<6, kDots>
#endif
  };
};

SHORTLIST_INLINE GateTile gate_tile_of(int64_t rows, bool bf16) {
  if constexpr (kBf16Dots) {
    if (bf16) return GateTiles<true>::of[rows - 1];
  }
  return GateTiles<false>::of[rows - 1];
}

// W or R by vectors of units, into panels `between` elements apart of [state_elements(its rows), 4 gates, kLanes]; units past the
// last get zeros, and so does what a pair lacks.
void pack_gates(const Tensor& weight, bool bf16, int64_t between, float* to) {
  const int64_t h = weight.columns / 4, numbers = in_pairs(bf16) ? 2 : 1;
  for (int64_t k = 0; k < weight.rows; k += numbers, to += 4 * kLanes) {
    float* panel = to;
    for (int64_t j = 0; j < h; j += kLanes, panel += between) {
      for (int64_t gate = 0; gate < 4; ++gate) {
        const vf part = load_upto(weight.row(k) + gate * h + j, h - j);
        const vf next = numbers == 2 && k + 1 < weight.rows ? load_upto(weight.row(k + 1) + gate * h + j, h - j) : vf{};
        store(panel + gate * kLanes, numbers == 2 ? bf16_pairs(part, next) : rounded(part, bf16));
      }
    }
  }
}

// [positions, 4h] x·W + b.
Tensor project(const Call& call, const Tensor& input, const Tensor& weight) {
  Tensor projection = input;
  projection.columns = projection.stride = weight.columns;
  projection.data = float_scratch(call, input.rows * weight.columns);
  Epilogue epilogue;
  epilogue.column_bias = call.has(kBias) ? call.input(kBias).f32() : nullptr;
  multiply(call, input.rows, weight.columns, input.columns, {input.f32(), input.stride, 1, is_bf16(call)},
           {weight.f32(), weight.stride, 1, is_bf16(call)}, projection.f32(), projection.stride, epilogue);
  return projection;
}

void forward(const Call& call) {
  const Tensor& input = call.input(kInput);
  const Tensor& input_weight = call.input(kInputWeight);
  const Tensor& position = call.input(kPosition);
  const int64_t h = call.input(kRecurrentWeight).rows;
  const bool isolated = is_isolated(position, input.rows), bf16 = is_bf16(call);
  const int64_t above = state_elements(isolated ? input.columns : 0, bf16), stride = above + state_elements(h, bf16);
  const Tensor projection = isolated ? Tensor{} : project(call, input, input_weight);
  const Runs runs = sort_runs(call, call.input(kRunOffsets));
  const int64_t panel_elements = stride * 4 * kLanes;
  float* const panels = float_scratch(call, (h + kLanes - 1) / kLanes * panel_elements);
  if (isolated) pack_gates(input_weight, bf16, panel_elements, panels);
  pack_gates(call.input(kRecurrentWeight), bf16, panel_elements, panels + above * 4 * kLanes);
  const float* bias = isolated && call.has(kBias) ? call.input(kBias).f32() : nullptr;
  const int64_t buffer_elements = round_up(kMostRunsPerGroup * (2 * stride + h), 16);
  float* buffers = float_scratch(call, worker_count(call) * buffer_elements);
  parallel_blocks(call, runs.count, runs.per_group(), [&](int64_t begin, int64_t end) {
    float* state = buffers + this_worker() * buffer_elements;  // twice [runs, stride]: h₋ and h change places
    float* state_to = state + kMostRunsPerGroup * stride;
    float* const cell = state_to + kMostRunsPerGroup * stride;
    for (float* row = state; in_pairs(bf16) && row < cell; row += stride) {  // what a pair lacks
      if (above > 0) row[above - 1] = 0;
      row[stride - 1] = 0;
    }
    alignas(64) float gates[kMostRunsPerGroup * 4 * kLanes];  // of a vector of units, before they are activated
    int64_t step[kMostRunsPerGroup], ahead[kMostRunsPerGroup];
    const float* projections[kMostRunsPerGroup];
    int64_t active = end - begin;
    for (int64_t t = 0;; ++t) {
      while (active > 0 && runs.length(begin + active - 1) <= t) --active;
      if (active == 0) break;
      for (int64_t i = 0; i < active; ++i) {
        const int64_t s = runs.first_step(begin + i) + t, next = t + 1 < runs.length(begin + i) ? s + 1 : s;
        step[i] = s;
        ahead[i] = next;
        if (isolated) {
          copy_to_state(state + i * stride, input.row(s), input.columns, bf16);
          prefetch_row(input.row(next), input.columns);
        } else {
          projections[i] = projection.row(position.i32()[s]);
          prefetch_row(projection.row(position.i32()[next]), 4 * h);
        }
      }
      const GroupStep group = {h,         bf16,  t > 0 ? stride : above,          t == 0,         state,
                               stride,    state_to + above,                cell,           step,
                               ahead,     isolated ? nullptr : projections, bias,           peepholes_of(call, 0),
                               call.output(kGates), call.output(kCell),     call.output(kOutput)};
      const float* panel = panels;
      for (int64_t j = 0; j < h; j += kLanes, panel += panel_elements) {
        for (int64_t i = 0; i < active; i += kRunsPerTile) {
          gate_tile_of(active - i < kRunsPerTile ? active - i : kRunsPerTile, bf16)(group, i, j, panel, gates + i * 4 * kLanes);
        }
        activate(group, active, j, gates);
      }
      float* const swap = state;
      state = state_to;
      state_to = swap;
    }
  });
}

// ---- gradient -------------------------------------------------------------------------------------------------------

enum GradientInput { kOutputGradient, kOutputIn, kGatesIn, kCellIn, kFirstOperand };
enum GradientOutput { kInputGradient, kInputWeightGradient, kBiasGradient, kRecurrentWeightGradient, kPeepholeGradient };

void check_gradient(const Call& call) {
  const Tensor& recurrent = call.input(kFirstOperand + kRecurrentWeight);
  const int64_t h = recurrent.rows, steps = call.input(kFirstOperand + kPosition).rows;
  expect(call, is_shape(call.input(kOutputGradient), steps, h), "output_gradient [steps, h]");
  expect(call, is_shape(call.input(kOutputIn), steps, h), "output [steps, h]");
  expect(call, is_shape(call.input(kGatesIn), steps, 4 * h), "gates [steps, 4h]");
  expect(call, is_shape(call.input(kCellIn), steps, h), "cell [steps, h]");
  expect(call, same_shape(call.output(kInputGradient), call.input(kFirstOperand + kInput)), "input_gradient of input's shape");
  expect(call, same_shape(call.output(kInputWeightGradient), call.input(kFirstOperand + kInputWeight)),
         "input_weight_gradient of its weight's shape");
  expect(call, same_shape(call.output(kRecurrentWeightGradient), recurrent), "recurrent_weight_gradient of its weight's shape");
  check_operands(call, kFirstOperand);
  const bool has_bias_gradient = call.outputs[kBiasGradient].count > 0;
  expect(call, has_bias_gradient == call.has(kFirstOperand + kBias), "bias_gradient for a bias");
  if (has_bias_gradient) expect(call, is_shape(call.output(kBiasGradient), 4 * h, 1), "bias_gradient [4h]");
  for (int i = 0; i < 3; ++i) {
    const bool has = call.outputs[kPeepholeGradient + i].count > 0;
    expect(call, has == call.has(kFirstOperand + kPeepholeInput), "a gradient for each peephole");
    if (has) expect(call, is_shape(call.output(kPeepholeGradient + i), h, 1), "peephole gradients [h]");
  }
}

// One step of one run, backwards.
struct StepBack {
  const float* output_gradient;  // the loss's own
  const float* dh;               // from the next step, through R
  float* dc;                     // this step's, without the part through h; then the step's before
  const float* gates;
  const float* cell;
  const float* before;  // c₋, or nullptr at a run's start
  float* d;             // [4h] for products
  float* d_copy;        // [4h] or nullptr
  bool bf16;
  float* peephole_sum;  // [3, h], where there are peepholes: += their gradients
};

SHORTLIST_INLINE void step_back(int64_t h, const Peepholes& peepholes, const StepBack& step) {
  for (int64_t j = 0; j < h; j += kLanes) {
    const int64_t left = h - j;
    const float* const gates = step.gates + j;
    const vf i = load_upto(gates, left), f = load_upto(gates + h, left);
    const vf g = load_upto(gates + 2 * h, left), o = load_upto(gates + 3 * h, left);
    const vf before = step.before ? load_upto(step.before + j, left) : vf{};
    const vf cell = load_upto(step.cell + j, left);
    const vf tanh_c = hyperbolic_tangent(cell);
    const vf dh = load_upto(step.output_gradient + j, left) + load_upto(step.dh + j, left);
    const vf d_output = dh * tanh_c * o * (1.0f - o);
    vf dc = load_upto(step.dc + j, left) + dh * o * (1.0f - tanh_c * tanh_c);
    if (peepholes.output) dc = madd(load_upto(peepholes.output + j, left), d_output, dc);
    const vf d_input = dc * g * i * (1.0f - i);
    const vf d_forget = dc * before * f * (1.0f - f);
    const vf d_candidate = dc * i * (1.0f - g * g);
    dc = dc * f;
    if (peepholes.input) {
      dc = madd(load_upto(peepholes.input + j, left), d_input, dc);
      dc = madd(load_upto(peepholes.forget + j, left), d_forget, dc);
      float* const sum = step.peephole_sum + j;
      store_upto(sum, madd(d_input, before, load_upto(sum, left)), left);
      store_upto(sum + h, madd(d_forget, before, load_upto(sum + h, left)), left);
      store_upto(sum + 2 * h, madd(d_output, cell, load_upto(sum + 2 * h, left)), left);
    }
    store_upto(step.dc + j, dc, left);
    const vf d[4] = {d_input, d_forget, d_candidate, d_output};
#pragma GCC unroll 4
    for (int gate = 0; gate < 4; ++gate) {
      store_upto(step.d + gate * h + j, rounded(d[gate], step.bf16), left);
      if (step.d_copy) store_upto(step.d_copy + gate * h + j, d[gate], left);
    }
  }
}

// D [positions, 4h] = the sums of d [steps, 4h] by position, in step order; 0 where no step reads one. Rounded for bf16.
Tensor sum_by_position(const Call& call, const int32_t* position, int64_t positions, const Tensor& d) {
  Tensor sums = d;
  sums.rows = positions;
  sums.data = float_scratch(call, positions * d.columns);
  int32_t* next = int_scratch(call, positions + 2);
  int32_t* step_of = int_scratch(call, d.rows);
  // Counting sort by position, stable: the steps of p end up at step_of[next[p] … next[p + 1]).
  for (int64_t p = 0; p < positions + 2; ++p) next[p] = 0;
  for (int64_t s = 0; s < d.rows; ++s) ++next[position[s] + 2];
  for (int64_t p = 0; p < positions; ++p) next[p + 2] += next[p + 1];
  for (int64_t s = 0; s < d.rows; ++s) step_of[next[position[s] + 1]++] = static_cast<int32_t>(s);
  parallel_blocks(call, positions, 32, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      float* __restrict to = sums.row(p);
      for (int64_t c = 0; c < d.columns; ++c) to[c] = 0;
      for (int32_t i = next[p]; i < next[p + 1]; ++i) {
        const float* __restrict from = d.row(step_of[i]);
        for (int64_t c = 0; c < d.columns; ++c) to[c] += from[c];
      }
      if (is_bf16(call)) copy_row(to, to, d.columns, true);
    }
  });
  return sums;
}

// What a slab of groups gives: [x | h₋ | 1]ᵀ·d, or h₋ᵀ·d alone, and the gradients of the peepholes.
struct Slab {
  float* weight;    // [rows, 4h]
  float* peephole;  // [3, h]
};

struct Backward {
  Tensor input, output_gradient, output, gates, cell, input_gradient;
  Tensor d;         // [steps, 4h] to be written, or without data where positions are isolated
  Peepholes peepholes;
  Runs runs;
  PackedMatrix input_weight;      // Wᵀ, where positions are isolated
  PackedMatrix recurrent_weight;  // Rᵀ
  int64_t h;
  int64_t above;      // width of x in the rows of `read`; 0 where positions are shared
  int64_t weight_rows;
  int64_t d_stride, read_stride;
  bool bf16;

  bool isolated() const { return !d.data; }

  int64_t buffer_elements() const {
    return round_up(kRowsPerProduct * (d_stride + read_stride + above) + kMostRunsPerGroup * 2 * h + 16, 16) +
           (in_pairs(bf16) ? strip_elements(weight_rows, kRowsPerProduct) : 0);
  }

  // Groups [first, last) of runs.per_group() runs.
  void run(int64_t first, int64_t last, const Slab& slab, float* buffer) const {
    float* const own_d = buffer;                                         // [rows, 4h]
    float* const read = own_d + kRowsPerProduct * d_stride;              // [rows] of x, h₋, 1
    float* const input_gradients = read + kRowsPerProduct * read_stride;  // [rows, above]
    float* const dh = input_gradients + kRowsPerProduct * above;         // [runs, h]
    float* const dc = dh + kMostRunsPerGroup * h;                        // [runs, h]
    float* const strips = in_pairs(bf16) ? buffer + buffer_elements() - strip_elements(weight_rows, kRowsPerProduct) : nullptr;
    int32_t step_of[kRowsPerProduct];
    int64_t rows = 0;
    Epilogue accumulate;
    const auto multiply_rows = [&] {
      multiply_alone(weight_rows, 4 * h, rows, {read, 1, read_stride, strips != nullptr}, {own_d, d_stride, 1}, slab.weight, 4 * h,
                     accumulate, strips);
      accumulate.accumulate = true;
      if (isolated()) {
        multiply_packed(rows, 0, above, {own_d, d_stride, 1}, input_weight, input_gradients, above, {});
        for (int64_t r = 0; r < rows; ++r) copy_row(input_gradient.row(step_of[r]), input_gradients + r * above, above, false);
      }
      rows = 0;
    };
    for (int64_t j = 0; j < 3 * h && peepholes.input; ++j) slab.peephole[j] = 0;

    const int64_t per_group = runs.per_group(), stop = last * per_group < runs.count ? last * per_group : runs.count;
    for (int64_t begin = first * per_group; begin < stop; begin += per_group) {
      const int64_t end = begin + per_group < runs.count ? begin + per_group : runs.count;
      int64_t active = 0;
      for (int64_t t = runs.length(begin) - 1; t >= 0; --t) {
        for (; active < end - begin && runs.length(begin + active) > t; ++active) {
          for (int64_t j = 0; j < h; ++j) dh[active * h + j] = dc[active * h + j] = 0;
        }
        if (rows + active > kRowsPerProduct) multiply_rows();
        for (int64_t i = 0; i < active; ++i) {
          const int64_t s = runs.first_step(begin + i) + t;
          if (t > 0) {
            prefetch_row(gates.row(s - 1), 4 * h);
            prefetch_row(output_gradient.row(s - 1), h);
            if (isolated()) prefetch_row(input.row(s - 1), above);
            if (t > 1) prefetch_row(cell.row(s - 2), h);
            if (t > 1) prefetch_row(output.row(s - 2), h);
          }
          step_back(h, peepholes,
                    {output_gradient.row(s), dh + i * h, dc + i * h, gates.row(s), cell.row(s), t > 0 ? cell.row(s - 1) : nullptr,
                     own_d + (rows + i) * d_stride, isolated() ? nullptr : d.row(s), bf16, slab.peephole});
          float* const to = read + (rows + i) * read_stride;
          if (isolated()) {
            copy_row(to, input.row(s), above, bf16);
            to[above + h] = 1;
          }
          for (int64_t j = 0; j < h && t == 0; ++j) to[above + j] = 0;
          if (t > 0) copy_row(to + above, output.row(s - 1), h, bf16);
          step_of[rows + i] = static_cast<int32_t>(s);
        }
        if (t > 0) multiply_packed(active, 0, h, {own_d + rows * d_stride, d_stride, 1}, recurrent_weight, dh, h, {});
        rows += active;
      }
    }
    multiply_rows();
  }
};

// Wᵀ of a weight [in, 4h], packed.
PackedMatrix pack_transposed(const Call& call, const Tensor& weight) {
  const PackedMatrix packed = {float_scratch(call, packed_elements(weight.columns, weight.rows)), weight.columns, weight.rows,
                               is_bf16(call)};
  pack(call, packed, {weight.f32(), 1, weight.stride});
  return packed;
}

void gradient(const Call& call) {
  const Tensor& input = call.input(kFirstOperand + kInput);
  const Tensor& input_weight = call.input(kFirstOperand + kInputWeight);
  const Tensor& position = call.input(kFirstOperand + kPosition);
  const int64_t steps = position.rows, h = call.input(kFirstOperand + kRecurrentWeight).rows;
  const bool isolated = is_isolated(position, input.rows);
  Backward backward;
  backward.input = input;
  backward.output_gradient = call.input(kOutputGradient);
  backward.output = call.input(kOutputIn);
  backward.gates = call.input(kGatesIn);
  backward.cell = call.input(kCellIn);
  backward.input_gradient = call.output(kInputGradient);
  backward.d = call.input(kGatesIn);
  backward.d.columns = backward.d.stride = 4 * h;
  backward.d.data = isolated ? nullptr : float_scratch(call, steps * 4 * h);
  backward.peepholes = peepholes_of(call, kFirstOperand);
  backward.runs = sort_runs(call, call.input(kFirstOperand + kRunOffsets));
  backward.input_weight = isolated ? pack_transposed(call, input_weight) : PackedMatrix{};
  backward.recurrent_weight = pack_transposed(call, call.input(kFirstOperand + kRecurrentWeight));
  backward.h = h;
  backward.bf16 = is_bf16(call);
  backward.above = isolated ? input.columns : 0;
  backward.weight_rows = isolated ? input.columns + h + 1 : h;
  // Strides that are no multiple of 1 KiB, which would lay rows over each other in the cache.
  backward.d_stride = round_up(4 * h, 16) + 16;
  backward.read_stride = round_up(backward.weight_rows, 16) + 16;

  const int64_t per_group = backward.runs.per_group(), groups = (backward.runs.count + per_group - 1) / per_group;
  const int64_t groups_per_slab = (groups + kMostSlabs - 1) / kMostSlabs + (groups == 0);
  const int64_t slabs = groups == 0 ? 1 : (groups + groups_per_slab - 1) / groups_per_slab;
  const int64_t weight_elements = backward.weight_rows * 4 * h, slab_elements = round_up(weight_elements + 3 * h, 16);
  float* partial = float_scratch(call, slabs * slab_elements);
  float* buffers = float_scratch(call, worker_count(call) * backward.buffer_elements());
  parallel(call, slabs, [&](int64_t slab) {
    float* own = partial + slab * slab_elements;
    backward.run(slab * groups_per_slab, (slab + 1) * groups_per_slab, {own, own + weight_elements},
                 buffers + this_worker() * backward.buffer_elements());
  });

  const Tensor& weight_gradient = call.output(kInputWeightGradient);
  const Tensor& recurrent_gradient = call.output(kRecurrentWeightGradient);
  float* bias_gradient = call.outputs[kBiasGradient].count > 0 ? call.output(kBiasGradient).f32() : nullptr;
  const auto sum_slabs = [&](int64_t offset, int64_t count, float* to) {
    for (int64_t j = 0; j < count; j += kLanes) {
      vf sum = load_upto(partial + offset + j, count - j);
      for (int64_t slab = 1; slab < slabs; ++slab) sum += load_upto(partial + slab * slab_elements + offset + j, count - j);
      store_upto(to + j, sum, count - j);
    }
  };
  parallel_blocks(call, backward.weight_rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* to = r < backward.above       ? weight_gradient.row(r)
                  : r < backward.above + h ? recurrent_gradient.row(r - backward.above)
                                           : bias_gradient;
      if (to) sum_slabs(r * 4 * h, 4 * h, to);
    }
  });
  for (int i = 0; i < 3 && backward.peepholes.input; ++i) {
    sum_slabs(weight_elements + i * h, h, call.output(kPeepholeGradient + i).f32());
  }
  if (isolated) return;

  const Tensor& input_gradient = call.output(kInputGradient);
  const Tensor sums = sum_by_position(call, position.i32(), input.rows, backward.d);
  multiply(call, input.rows, input.columns, 4 * h, {sums.f32(), sums.stride, 1}, {input_weight.f32(), 1, input_weight.stride, backward.bf16},
           input_gradient.f32(), input_gradient.stride, {});
  multiply(call, input.columns, 4 * h, input.rows, {input.f32(), 1, input.stride, backward.bf16}, {sums.f32(), sums.stride, 1},
           weight_gradient.f32(), weight_gradient.stride, {});
  if (bias_gradient) column_sums(call, sums, bias_gradient);
}

const char* const kForwardInputs[] = {"input", "input_weight", "bias?", "recurrent_weight", "position", "run_offsets",
                                      "peephole_input?", "peephole_forget?", "peephole_output?", nullptr};
const char* const kForwardOutputs[] = {"output", "gates", "cell", nullptr};
const char* const kGradientInputs[] = {"output_gradient", "output", "gates", "cell", "input", "input_weight", "bias?",
                                       "recurrent_weight", "position", "run_offsets", "peephole_input?", "peephole_forget?",
                                       "peephole_output?", nullptr};
const char* const kGradientOutputs[] = {"input_gradient", "input_weight_gradient", "bias_gradient?",
                                        "recurrent_weight_gradient", "peephole_input_gradient?",
                                        "peephole_forget_gradient?", "peephole_output_gradient?", nullptr};

}  // namespace

extern const Op lstm = {"lstm", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op lstm_gradient = {"lstm_gradient", kGradientInputs, kGradientOutputs, check_gradient, gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist

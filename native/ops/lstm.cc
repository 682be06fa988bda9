// LSTM over sequences, and its gradient; formulas and their source in src/ops/lstm.ts. h is the hidden width, σ the
// sigmoid, ∘ the elementwise product, p the optional peepholes. Sequence r has the timesteps sequence_offsets[r] …
// sequence_offsets[r + 1] − 1 and starts from zero state. Timestep s reads x = input[position[s]].
//
// forward   [i f g o] = x·W + b + h₋·R;  i = σ(i + p_i∘c₋), f = σ(f + p_f∘c₋), g = tanh(g),
//           c = f∘c₋ + i∘g, o = σ(o + p_o∘c), h = o∘tanh(c).  Outputs: h, the activated gates, c.
// gradient  Back-propagation through time. d [4h] is the gradient by the gates before activation, D[p] the sum of d
//           over the timesteps that read input row p, in order. input_gradient = D·Wᵀ, input_weight_gradient = Σ xᵀ·D,
//           bias_gradient = Σ D, recurrent_weight_gradient = Σ h₋ᵀ·d; peepholes: Σ d_i∘c₋, Σ d_f∘c₋, Σ d_o∘c.
//
// Outputs are overwritten. Nothing aliases.
//
// The timesteps of a sequence depend on each other, so sequences are computed in parallel. They are sorted by falling
// length and cut into groups; the fewest are dealt to a few groups in turn (forward: one for each thread), so that all
// threads have about as many timesteps. The sequences of a group that are active at timestep t are therefore its first
// ones.
//
// Forward. A register tile is kSequencesPerTile sequences × the four gates of one vector of units. R is packed once,
// into panels [h, 4, kLanes] (16 KiB at h = 64 and 16 lanes). In each timestep a group computes all its tiles; then,
// one sequence after the other, it activates the gates of all units and computes tanh(c) of all units. The instructions
// of an activation function wait for each other, so its speed depends on how many independent vectors are in flight.
//
// Gradient. In each timestep a group makes one pass over its gates and one product d·Rᵀ. The rows of d are collected;
// up to kRowsPerProduct of them, still in the L2 cache, enter two products: [x | h₋ | 1]ᵀ·d, which is summed over a
// slab of groups, and d·Wᵀ. Groups are assigned to shares in turn, so that each share has long and short sequences. The
// first slabs are two shares and the last slabs are one: small slabs at the end let the threads finish together.
//
// Memory traffic is dominated by per-timestep buffers that are written and read again, mainly the gates (1 KiB for each
// timestep at h = 64). So x·W and d are not stored for timesteps that are the only ones to read their input row, which
// in isolated windows are all of them: a group projects such rows for kTimestepsAtOnce timesteps at a time, into a
// buffer that stays in cache. Repeated rows are those that several timesteps read: an item that many users watched, or
// a position of several sequences. They are projected once, in one product. Their gradients are computed once as well,
// from D, for which d is stored.

#include "native/ops/column_sums.h"
#include "native/ops/gemm.h"
#include "native/ops/operands.h"
#include "native/ops/range_sums.h"
#include "native/simd/math.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// A tile has four accumulators for each sequence: 24 of 32 vector registers, or 12 of 16.
#if defined(__AVX512F__) || defined(__aarch64__)
#define SHORTLIST_32_REGISTERS 1
const int kSequencesPerTile = 6;
#else
#define SHORTLIST_32_REGISTERS 0
const int kSequencesPerTile = 3;
#endif

// Sequences in a group. Larger groups amortise reading the weights from L2 in every timestep; smaller groups balance
// the threads better, because the group of the longest sequences takes the longest. Below kManySequences sequences a
// group has kSequencesOfFew: 1.4× as fast on 45 sequences of up to 100 timesteps, h = 128, two AVX2 threads.
const int64_t kSequencesForward = 2 * kSequencesPerTile;  // whole tiles
const int64_t kSequencesBackward = 12;
const int64_t kSequencesOfFew = 6;
static_assert(kSequencesOfFew <= kSequencesForward && kSequencesOfFew <= kSequencesBackward,
              "buffers are as large as groups of many sequences");
const int64_t kManySequences = 96;
// The gradient of few sequences deals them to two groups, or to so many, so that two threads have equally much to do.
const int64_t kGroupsDealtBackward = 4;
const int64_t kRowsPerProduct = 256;  // rows of d in one product, at most: half a MiB with x and h₋ at h = 64
const int64_t kMostShares = 32;
const int64_t kMostSlabs = 18;       // 14 of two shares and 4 of one divide evenly among 1, 2, 4, 8 and 16 threads
const int64_t kFewTimesteps = 64;    // x·W of so few is one product: packing W would take longer
const int64_t kTimestepsAtOnce = 4;  // timesteps that a group projects at once: 48 KiB at most at h = 64

// Chunks of cheap loops. Each costs some microseconds, far more than handing it to a thread.
const int64_t kRepeatedRowsPerChunk = 256;  // rows that are copied or rounded
const int64_t kWeightRowsPerChunk = 8;      // rows of the weight gradients, each a sum over all slabs
const int64_t kPlacesPerChunk = 4096;       // input rows, of which few have to be cleared

// Whether the operands of products are pairs of bfloat16 numbers (vector.h).
SHORTLIST_INLINE bool in_pairs(bool bf16) { return kBf16Dots && bf16; }

// The slots that both ops have, numbered from the first of them.
enum Operand {
  kInput,
  kInputWeight,
  kBias,
  kRecurrentWeight,
  kPosition,
  kSequenceOffsets,
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
  expect(call, call.input(first + kSequenceOffsets).rows > 0, "sequence_offsets [sequences + 1]");
  const bool peepholes = call.has(first + kPeepholeInput);
  for (int slot = kPeepholeInput; slot <= kPeepholeOutput; ++slot) {
    expect(call, call.has(first + slot) == peepholes, "all three peepholes or none");
    if (peepholes) expect(call, is_shape(call.input(first + slot), h, 1), "peepholes [h]");
  }
  check_precision(call);
  check_ids(call, call.input(first + kPosition), input.rows);
  check_offsets(call, call.input(first + kSequenceOffsets), call.input(first + kPosition).rows);
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

// The input rows that several timesteps read, or all that any timestep reads, in rising order.
struct RepeatedRows {
  int32_t* row;    // [count]
  int32_t* place;  // [rows of the input] its index in `row`; −1 if it is not there, kUnread if no timestep reads it
  int64_t count;
};

const int32_t kUnread = -2;

RepeatedRows find_repeated_rows(const Call& call, const Tensor& position, int64_t rows, bool all = false) {
  RepeatedRows repeated = {int_scratch(call, rows), int_scratch(call, rows), 0};
  for (int64_t p = 0; p < rows; ++p) repeated.place[p] = kUnread;
  for (int64_t s = 0; s < position.rows; ++s) {
    int32_t& place = repeated.place[position.i32()[s]];
    place += place < 0;
  }
  for (int64_t p = 0; p < rows; ++p) {  // no branches: they would often be mispredicted
    const bool is_repeated = repeated.place[p] >= (all ? -1 : 0);
    repeated.place[p] = is_repeated ? static_cast<int32_t>(repeated.count) : repeated.place[p];
    repeated.row[repeated.count] = static_cast<int32_t>(p);
    repeated.count += is_repeated;
  }
  return repeated;
}

// The repeated rows of the input: [repeated rows, columns].
Tensor gather_repeated_rows(const Call& call, const Tensor& input, const RepeatedRows& repeated) {
  Tensor gathered = input;
  gathered.rows = repeated.count;
  gathered.stride = input.columns;
  gathered.data = float_scratch(call, repeated.count * input.columns);
  parallel_blocks(call, repeated.count, kRepeatedRowsPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) copy_row(gathered.row(i), input.row(repeated.row[i]), input.columns, false);
  });
  return gathered;
}

// The sequences, group by group. Those of a group are sorted by falling length; the sort is stable.
struct Sequences {
  const int32_t* offsets;
  const int32_t* order;
  int64_t count;
  int64_t groups;
  int64_t per_group;  // 0 if the sequences are dealt to the groups in turn

  // The first sequence of a group; `count` for the group after the last.
  SHORTLIST_INLINE int64_t group_begin(int64_t group) const {
    if (per_group > 0) return group * per_group < count ? group * per_group : count;
    return group * (count / groups) + (group < count % groups ? group : count % groups);
  }
  SHORTLIST_INLINE int64_t length(int64_t i) const { return offsets[order[i] + 1] - offsets[order[i]]; }
  SHORTLIST_INLINE int64_t first_timestep(int64_t i) const { return offsets[order[i]]; }
};

// Groups of `most` sequences, or smaller ones of few sequences. So few that `dealt` groups hold them are dealt to that
// many. The groups decide in which order the gradients of the weights are summed, but no bit of forward.
Sequences sort_sequences(const Call& call, const Tensor& sequence_offsets, int64_t most, int64_t dealt) {
  const int32_t* offsets = sequence_offsets.i32();
  const int64_t count = sequence_offsets.rows - 1;
  int32_t longest = 0;
  for (int64_t r = 0; r < count; ++r) {
    const int32_t length = offsets[r + 1] - offsets[r];
    longest = length > longest ? length : longest;
  }
  const bool few = count < kManySequences;
  const int64_t per_group = few ? kSequencesOfFew : most;
  int32_t* const order = int_scratch(call, count);
  Sequences sequences = {offsets, order, count, (count + per_group - 1) / per_group, per_group};
  if (few && count > 0 && count <= dealt * kSequencesOfFew) {
    sequences.groups = dealt < count ? dealt : count;
    sequences.per_group = 0;
  }
  // Counting sort; next[longest − length] is the place of the next sequence with that length.
  int32_t* const next = int_scratch(call, longest + 2);
  for (int32_t i = 0; i < longest + 2; ++i) next[i] = 0;
  for (int64_t r = 0; r < count; ++r) ++next[longest - (offsets[r + 1] - offsets[r]) + 1];
  for (int32_t i = 0; i <= longest; ++i) next[i + 1] += next[i];
  for (int64_t r = 0; r < count; ++r) {
    const int64_t place = next[longest - (offsets[r + 1] - offsets[r])]++, groups = sequences.groups;
    const bool in_turn = sequences.per_group == 0;
    order[in_turn ? sequences.group_begin(place % groups) + place / groups : place] = static_cast<int32_t>(r);
  }
  return sequences;
}

// ---- forward --------------------------------------------------------------------------------------------------------

enum ForwardOutput { kOutput, kGates, kCell };

void check_forward(const Call& call) {
  const int64_t h = call.input(kRecurrentWeight).rows, timesteps = call.input(kPosition).rows;
  expect(call, is_shape(call.output(kOutput), timesteps, h), "output [timesteps, h]");
  expect(call, is_shape(call.output(kGates), timesteps, 4 * h), "gates [timesteps, 4h]");
  expect(call, is_shape(call.output(kCell), timesteps, h), "cell [timesteps, h]");
  check_operands(call, 0);
}

// Elements of a sequence's h₋ as products read it: float32 numbers, or pairs of bfloat16 numbers.
SHORTLIST_INLINE int64_t state_elements(int64_t width, bool bf16) { return in_pairs(bf16) ? (width + 1) / 2 : width; }

// Stores the first `count` lanes of x, at most all, as numbers j, j + 1, … of such a row.
SHORTLIST_INLINE void store_state_upto(float* row, int64_t j, vf x, int64_t count, bool bf16) {
  if (in_pairs(bf16)) {
    store_bf16_upto(row, j, x, count);
  } else {
    store_upto(row + j, rounded(x, bf16), count);
  }
}

// h₋·R of kRows sequences, for the vector of units that the panel belongs to. `state` is h₋ [kRows, elements]. The
// result of a sequence is [4 gates, kLanes]; results are `to_stride` elements apart.
template <int kRows, bool kDots>
void tile(int64_t elements, const float* state, int64_t stride, const float* panel, float* to, int64_t to_stride) {
  vf sum[kRows][4] = {};
  multiply_add<kRows, 4, kAlong, kDots>(elements, state, stride, panel, 4 * kLanes, sum);
  for_each_vector<kRows, 4>([&](int r, int gate) __attribute__((always_inline)) {
    store(to + r * to_stride + gate * kLanes, sum[r][gate]);
  });
}

// The operands of one timestep of one sequence.
struct Timestep {
  float* sums;              // [vectors of units, 4, kLanes] h₋·R; the last gate's sums are replaced by o
  const float* projection;  // [4h] x·W + b
  float* cell_state;        // [h rounded up to whole vectors] in: c₋, out: c
  float* state;             // [state_elements(h)] h, for the products of the next timestep
  float* gates;             // [4h]
  float* cell;              // [h] c
  float* output;            // [h] h
  bool bf16;
};

// Activates units `begin` to `end` − 1; with kWhole they are whole vectors.
template <bool kWhole>
SHORTLIST_INLINE void activate(int64_t h, int64_t begin, int64_t end, const Peepholes& peepholes,
                               const Timestep& timestep) {
  const auto left = [&](int64_t j) __attribute__((always_inline)) { return kWhole ? kLanes : h - j; };
  for (int64_t j = begin; j < end; j += kLanes) {
    float* const sums = timestep.sums + 4 * j;
    const float* const projection = timestep.projection + j;
    vf i = load(sums) + load_upto(projection, left(j));
    vf f = load(sums + kLanes) + load_upto(projection + h, left(j));
    vf g = load(sums + 2 * kLanes) + load_upto(projection + 2 * h, left(j));
    vf o = load(sums + 3 * kLanes) + load_upto(projection + 3 * h, left(j));
    const vf before = load(timestep.cell_state + j);
    if (peepholes.input) {
      i = madd(load_upto(peepholes.input + j, left(j)), before, i);
      f = madd(load_upto(peepholes.forget + j, left(j)), before, f);
    }
    i = sigmoid(i);
    f = sigmoid(f);
    g = hyperbolic_tangent(g);
    const vf c = madd(f, before, i * g);
    if (peepholes.output) o = madd(load_upto(peepholes.output + j, left(j)), c, o);
    o = sigmoid(o);
    float* const gates = timestep.gates + j;
    store_upto(gates, i, left(j));
    store_upto(gates + h, f, left(j));
    store_upto(gates + 2 * h, g, left(j));
    store_upto(gates + 3 * h, o, left(j));
    store_upto(timestep.cell + j, c, left(j));
    store(timestep.cell_state + j, c);
    store(sums + 3 * kLanes, o);
  }
  for (int64_t j = begin; j < end; j += kLanes) {
    const vf output = load(timestep.sums + 4 * j + 3 * kLanes) * hyperbolic_tangent(load(timestep.cell_state + j));
    store_upto(timestep.output + j, output, left(j));
    store_state_upto(timestep.state, j, output, left(j), timestep.bf16);
  }
}

SHORTLIST_INLINE void activate(int64_t h, const Peepholes& peepholes, const Timestep& timestep) {
  const int64_t whole = h / kLanes * kLanes;
  activate<true>(h, 0, whole, peepholes, timestep);
  activate<false>(h, whole, h, peepholes, timestep);
}

typedef void (*GateTile)(int64_t, const float*, int64_t, const float*, float*, int64_t);

template <bool kDots>
struct GateTiles {
  static constexpr GateTile of[] = {tile<1, kDots>, tile<2, kDots>,
                                    tile<3, kDots>,
#if SHORTLIST_32_REGISTERS
                                    tile<4, kDots>, tile<5, kDots>,
                                    tile<6, kDots>
#endif
  };
};

SHORTLIST_INLINE GateTile gate_tile_of(int64_t rows, bool bf16) {
  if constexpr (kBf16Dots) {
    if (bf16) return GateTiles<true>::of[rows - 1];
  }
  return GateTiles<false>::of[rows - 1];
}

// Packs R into a panel [state_elements(h), 4 gates, kLanes] for each vector of units, padded with zeros.
void pack_gates(const Tensor& weight, bool bf16, float* to) {
  const int64_t h = weight.rows, numbers = in_pairs(bf16) ? 2 : 1;
  for (int64_t j = 0; j < h; j += kLanes) {
    for (int64_t k = 0; k < h; k += numbers, to += 4 * kLanes) {
      for (int64_t gate = 0; gate < 4; ++gate) {
        const vf part = load_upto(weight.row(k) + gate * h + j, h - j);
        const vf next = numbers == 2 && k + 1 < h ? load_upto(weight.row(k + 1) + gate * h + j, h - j) : vf{};
        store(to + gate * kLanes, numbers == 2 ? bf16_pairs(part, next) : rounded(part, bf16));
      }
    }
  }
}

// The operands of all groups.
struct Forward {
  const Call& call;
  Tensor input;
  const int32_t* position;
  RepeatedRows repeated;
  Tensor repeated_projection;  // [repeated rows, 4h]
  PackedMatrix input_weight;
  const float* bias;              // [4h] or nullptr
  const float* recurrent_weight;  // packed by pack_gates
  Sequences sequences;
  int64_t h;
  bool bf16;

  int64_t stride() const { return state_elements(h, bf16); }
  int64_t units() const { return round_up(h, kLanes); }
  int64_t buffer_elements() const {
    return round_up(kSequencesForward * (2 * stride() + 5 * units() + kTimestepsAtOnce * (input.columns + 4 * h)), 16);
  }

  // Finds x·W + b of sequences `begin` to `begin + count − 1` for kTimestepsAtOnce timesteps from t on, and sets
  // pointers to it. For rows that only one timestep reads it is computed here: into `own` [rows, 4h], from a copy of
  // the rows in x [rows, width of input].
  void project(int64_t begin, int64_t count, int64_t t, float* x, float* own,
               const float* (*projection)[kSequencesForward]) const {
    int64_t rows = 0;
    for (int64_t ahead = 0; ahead < kTimestepsAtOnce; ++ahead) {
      for (int64_t i = 0; i < count && sequences.length(begin + i) > t + ahead; ++i) {
        const int32_t row = position[sequences.first_timestep(begin + i) + t + ahead], place = repeated.place[row];
        if (place >= 0) {
          projection[ahead][i] = repeated_projection.row(place);
          continue;
        }
        copy_row(x + rows * input.columns, input.row(row), input.columns, bf16);
        projection[ahead][i] = own + rows++ * 4 * h;
      }
    }
    Epilogue epilogue;
    epilogue.column_bias = bias;
    multiply_packed(rows, 0, 4 * h, {x, input.columns, 1}, input_weight, own, 4 * h, epilogue);
  }

  // Computes one group: sequences `begin` to `end` − 1.
  void run(int64_t begin, int64_t end, float* buffer) const {
    float* const sums = buffer;
    float* const cell_state = sums + kSequencesForward * 4 * units();
    float* state =
        cell_state + kSequencesForward * units();  // h₋ and h, [sequences, stride] each; swapped every timestep
    float* state_to = state + kSequencesForward * stride();
    float* const x = state_to + kSequencesForward * stride();
    float* const own = x + kSequencesForward * kTimestepsAtOnce * input.columns;
    // The last pair is incomplete if h is odd.
    for (float* row = state; in_pairs(bf16) && row < x; row += stride()) row[stride() - 1] = 0;
    for (int64_t j = 0; j < (end - begin) * units(); ++j) cell_state[j] = 0;
    const Tensor &gates = call.output(kGates), &cell = call.output(kCell), &output = call.output(kOutput);
    const Peepholes peepholes = peepholes_of(call, 0);
    const float* projection[kTimestepsAtOnce][kSequencesForward];
    int64_t active = end - begin;
    for (int64_t t = 0;; ++t) {
      while (active > 0 && sequences.length(begin + active - 1) <= t) --active;
      if (active == 0) break;
      if (t % kTimestepsAtOnce == 0) project(begin, active, t, x, own, projection);
      const float* panel = recurrent_weight;
      for (int64_t j = 0; j < h; j += kLanes, panel += stride() * 4 * kLanes) {
        for (int64_t i = 0; i < active; i += kSequencesPerTile) {
          const GateTile multiply_tile =
              gate_tile_of(active - i < kSequencesPerTile ? active - i : kSequencesPerTile, bf16);
          multiply_tile(t == 0 ? 0 : stride(), state + i * stride(), stride(), panel, sums + 4 * (i * units() + j),
                        4 * units());
        }
      }
      for (int64_t i = 0; i < active; ++i) {
        const int64_t s = sequences.first_timestep(begin + i) + t, length = sequences.length(begin + i);
        if (t + 1 < length) {
          const int32_t next = repeated.place[position[s + 1]];
          if (next >= 0) prefetch_row(repeated_projection.row(next), 4 * h);
          prefetch_row(gates.row(s + 1), 4 * h);
          prefetch_row(cell.row(s + 1), h);
          prefetch_row(output.row(s + 1), h);
        }
        if (t + kTimestepsAtOnce < length) prefetch_row(input.row(position[s + kTimestepsAtOnce]), input.columns);
        activate(h, peepholes,
                 {sums + 4 * i * units(), projection[t % kTimestepsAtOnce][i], cell_state + i * units(),
                  state_to + i * stride(), gates.row(s), cell.row(s), output.row(s), bf16});
      }
      float* const swap = state;
      state = state_to;
      state_to = swap;
    }
  }
};

PackedMatrix pack_weight(const Call& call, const Matrix& weight, int64_t rows, int64_t columns) {
  const PackedMatrix packed = {float_scratch(call, packed_elements(rows, columns)), rows, columns, is_bf16(call)};
  pack(call, packed, weight);
  return packed;
}

// x·W + b of the repeated rows: [repeated rows, 4h].
Tensor project_repeated_rows(const Call& call, const RepeatedRows& repeated) {
  const Tensor x = gather_repeated_rows(call, call.input(kInput), repeated);
  const Tensor& weight = call.input(kInputWeight);
  Tensor projection = x;
  projection.columns = projection.stride = weight.columns;
  projection.data = float_scratch(call, x.rows * weight.columns);
  Epilogue epilogue;
  epilogue.column_bias = call.has(kBias) ? call.input(kBias).f32() : nullptr;
  epilogue.whole_sums = true;
  multiply(call, x.rows, weight.columns, x.columns, {x.f32(), x.stride, 1, is_bf16(call)},
           {weight.f32(), weight.stride, 1, is_bf16(call)}, projection.f32(), projection.stride, epilogue);
  return projection;
}

void forward(const Call& call) {
  const Tensor& input = call.input(kInput);
  const Tensor& input_weight = call.input(kInputWeight);
  const Tensor& position = call.input(kPosition);
  const int64_t h = call.input(kRecurrentWeight).rows;
  const bool bf16 = is_bf16(call);
  const bool few = position.rows <= kFewTimesteps;
  const RepeatedRows repeated = find_repeated_rows(call, position, input.rows, few);
  float* const recurrent_weight = float_scratch(call, round_up(h, kLanes) * state_elements(h, bf16) * 4);
  pack_gates(call.input(kRecurrentWeight), bf16, recurrent_weight);
  const Forward forward = {
      call,
      input,
      position.i32(),
      repeated,
      project_repeated_rows(call, repeated),
      few ? PackedMatrix() : pack_weight(call, {input_weight.f32(), input_weight.stride, 1}, input.columns, 4 * h),
      call.has(kBias) ? call.input(kBias).f32() : nullptr,
      recurrent_weight,
      sort_sequences(call, call.input(kSequenceOffsets), kSequencesForward, worker_count(call)),
      h,
      bf16};
  float* const buffers = float_scratch(call, worker_count(call) * forward.buffer_elements());
  const Sequences& sequences = forward.sequences;
  parallel_in_order(call, sequences.groups, [&](int64_t group) {  // longest sequences first
    forward.run(sequences.group_begin(group), sequences.group_begin(group + 1),
                buffers + this_worker() * forward.buffer_elements());
  });
}

// ---- gradient -------------------------------------------------------------------------------------------------------

enum GradientInput { kOutputGradient, kOutputIn, kGatesIn, kCellIn, kFirstOperand };
enum GradientOutput {
  kInputGradient,
  kInputWeightGradient,
  kBiasGradient,
  kRecurrentWeightGradient,
  kPeepholeGradient
};

void check_gradient(const Call& call) {
  const Tensor& recurrent = call.input(kFirstOperand + kRecurrentWeight);
  const int64_t h = recurrent.rows, timesteps = call.input(kFirstOperand + kPosition).rows;
  expect(call, is_shape(call.input(kOutputGradient), timesteps, h), "output_gradient [timesteps, h]");
  expect(call, is_shape(call.input(kOutputIn), timesteps, h), "output [timesteps, h]");
  expect(call, is_shape(call.input(kGatesIn), timesteps, 4 * h), "gates [timesteps, 4h]");
  expect(call, is_shape(call.input(kCellIn), timesteps, h), "cell [timesteps, h]");
  expect(call, same_shape(call.output(kInputGradient), call.input(kFirstOperand + kInput)),
         "input_gradient of input's shape");
  expect(call, same_shape(call.output(kInputWeightGradient), call.input(kFirstOperand + kInputWeight)),
         "input_weight_gradient of its weight's shape");
  expect(call, same_shape(call.output(kRecurrentWeightGradient), recurrent),
         "recurrent_weight_gradient of its weight's shape");
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

// The operands of the gradient of one timestep of one sequence.
struct TimestepBack {
  const float* output_gradient;  // the gradient by h, without the part from the next timestep
  const float* dh;               // the part of it from the next timestep, through R
  float* dc;                     // in: the gradient by c without the part through h; out: the same for c₋
  const float* gates;
  const float* output;  // h
  const float* cell;    // c; read if there are peepholes
  const float* before;  // c₋, or nullptr at the first timestep
  float* d;             // [4h] d, for the product d·Rᵀ of this timestep
  float* d_kept;        // [4h] d, for the products of many timesteps
  float* d_repeated;    // [4h] d, not rounded, if the timestep reads a repeated row; else nullptr
  bool bf16;
  float* peephole_sum;  // [3, h] += the gradients of the peepholes, if there are any
};

template <bool kWhole>
SHORTLIST_INLINE void timestep_back(int64_t h, int64_t j, int64_t end, const Peepholes& peepholes,
                                    const TimestepBack& timestep) {
  for (; j < end; j += kLanes) {
    const int64_t left = kWhole ? kLanes : h - j;
    const float* const gates = timestep.gates + j;
    const vf i = load_upto(gates, left), f = load_upto(gates + h, left);
    const vf g = load_upto(gates + 2 * h, left), o = load_upto(gates + 3 * h, left);
    const vf before = timestep.before ? load_upto(timestep.before + j, left) : vf{};
    // From h = o·tanh(c): o·(1 − tanh²(c)) = o − h·(h / o), which is exactly 0 if tanh(c) is ±1. o = σ(…) is never 0.
    const vf output = load_upto(timestep.output + j, left);
    const vf dh = load_upto(timestep.output_gradient + j, left) + load_upto(timestep.dh + j, left);
    const vf d_output = dh * output * (1.0f - o);
    vf dc = load_upto(timestep.dc + j, left) + dh * (o - output * quotient(output, o));
    if (peepholes.output) dc = madd(load_upto(peepholes.output + j, left), d_output, dc);
    const vf d_input = dc * g * i * (1.0f - i);
    const vf d_forget = dc * before * f * (1.0f - f);
    const vf d_candidate = dc * i * (1.0f - g * g);
    dc = dc * f;
    if (peepholes.input) {
      dc = madd(load_upto(peepholes.input + j, left), d_input, dc);
      dc = madd(load_upto(peepholes.forget + j, left), d_forget, dc);
      float* const sum = timestep.peephole_sum + j;
      store_upto(sum, madd(d_input, before, load_upto(sum, left)), left);
      store_upto(sum + h, madd(d_forget, before, load_upto(sum + h, left)), left);
      store_upto(sum + 2 * h, madd(d_output, load_upto(timestep.cell + j, left), load_upto(sum + 2 * h, left)), left);
    }
    store_upto(timestep.dc + j, dc, left);
    const vf d[4] = {d_input, d_forget, d_candidate, d_output};
#pragma GCC unroll 4
    for (int gate = 0; gate < 4; ++gate) {
      store_upto(timestep.d + gate * h + j, rounded(d[gate], timestep.bf16), left);
      store_upto(timestep.d_kept + gate * h + j, rounded(d[gate], timestep.bf16), left);
      if (timestep.d_repeated) store_upto(timestep.d_repeated + gate * h + j, d[gate], left);
    }
  }
}

SHORTLIST_INLINE void timestep_back(int64_t h, const Peepholes& peepholes, const TimestepBack& timestep) {
  const int64_t whole = h / kLanes * kLanes;
  timestep_back<true>(h, 0, whole, peepholes, timestep);
  timestep_back<false>(h, whole, h, peepholes, timestep);
}

// The timesteps that read repeated rows, sorted by row and then by timestep.
struct RepeatedTimesteps {
  int32_t* place;    // [timesteps] its index among them, or −1 if it reads no repeated row
  int32_t* offsets;  // [repeated rows + 1] where the timesteps of each row begin
  int64_t count;
};

RepeatedTimesteps sort_repeated_timesteps(const Call& call, const Tensor& position, const RepeatedRows& repeated) {
  RepeatedTimesteps sorted = {int_scratch(call, position.rows), int_scratch(call, repeated.count + 2), 0};
  const auto repeated_row = [&](int64_t timestep) { return repeated.place[position.i32()[timestep]]; };
  // A stable counting sort. next[r + 1] is the place of the next timestep of row r; at the end it is where the
  // timesteps of row r + 1 begin. Timesteps without a repeated row are counted as r = −1, which avoids a branch that
  // would often be mispredicted.
  int32_t* const next = sorted.offsets;
  for (int64_t r = 0; r < repeated.count + 2; ++r) next[r] = 0;
  for (int64_t s = 0; s < position.rows; ++s) ++next[repeated_row(s) + 2];
  next[1] = 0;
  for (int64_t r = 0; r < repeated.count; ++r) next[r + 2] += next[r + 1];
  sorted.count = next[repeated.count + 1];
  for (int64_t s = 0; s < position.rows; ++s) {
    const int32_t row = repeated_row(s), place = next[row + 1]++;
    sorted.place[s] = row < 0 ? -1 : place;
  }
  next[0] = 0;
  return sorted;
}

// The gradients of the weights over a slab of groups: [x | h₋ | 1]ᵀ·d, and the peepholes'. For timesteps that read
// repeated rows, x and 1 are left out: `add_repeated_rows` adds their part.
struct Slab {
  float* weight;    // [rows, 4h]
  float* peephole;  // [3, h]
};

// The operands of all slabs.
struct Backward {
  Tensor input, output_gradient, output, gates, cell, input_gradient;
  const int32_t* position;
  RepeatedTimesteps repeated_timesteps;
  Tensor repeated_d;  // [repeated timesteps, 4h] d, by RepeatedTimesteps::place; written by `sequence`
  Peepholes peepholes;
  Sequences sequences;
  PackedMatrix input_weight;      // Wᵀ
  PackedMatrix recurrent_weight;  // Rᵀ
  int64_t h;
  int64_t above;        // width of x
  int64_t weight_rows;  // rows of [x | h₋ | 1]ᵀ·d
  int64_t d_stride, read_stride;
  bool bf16;

  int64_t buffer_elements() const {
    return round_up(kRowsPerProduct * (d_stride + read_stride + above) + kSequencesBackward * (d_stride + 2 * h) + 16,
                    16) +
           (in_pairs(bf16) ? strip_elements(weight_rows, kRowsPerProduct) : 0);
  }

  // The memory of one thread for a slab.
  struct Buffers {
    float* own_d;            // [rows, 4h] d
    float* read;             // [rows] of [x | h₋ | 1]
    float* input_gradients;  // [rows, above]
    float* timestep_d;       // [sequences, 4h] d of one timestep
    float* dh;               // [sequences, h]
    float* dc;               // [sequences, h]
    float* strips;           // for multiply_alone
    // Rows 0 … alone − 1 of own_d belong to timesteps that are the only readers of their input row, which is row_of.
    // Rows others … kRowsPerProduct − 1 belong to timesteps that read repeated rows.
    int64_t alone, others;
    bool written;  // whether the slab's weight gradient has been written
    int32_t row_of[kRowsPerProduct];
  };

  void place(float* buffer, Buffers* own) const {
    own->own_d = buffer;
    own->read = own->own_d + kRowsPerProduct * d_stride;
    own->input_gradients = own->read + kRowsPerProduct * read_stride;
    own->timestep_d = own->input_gradients + kRowsPerProduct * above;
    own->dh = own->timestep_d + kSequencesBackward * d_stride;
    own->dc = own->dh + kSequencesBackward * h;
    own->strips = in_pairs(bf16) ? buffer + buffer_elements() - strip_elements(weight_rows, kRowsPerProduct) : nullptr;
    own->alone = 0;
    own->others = kRowsPerProduct;
    own->written = false;
  }

  // Adds rows `from` to `from + count − 1` of [x | h₋ | 1]ᵀ·d, over rows `begin` to `end − 1` of d, to the slab's.
  void add_weight_gradient(const Slab& slab, Buffers* own, int64_t begin, int64_t end, int64_t from,
                           int64_t count) const {
    if (begin == end) return;
    Epilogue epilogue;
    epilogue.accumulate = own->written;
    const Matrix read = {own->read + begin * read_stride + from, 1, read_stride, own->strips != nullptr};
    multiply_alone(count, 4 * h, end - begin, read, {own->own_d + begin * d_stride, d_stride, 1},
                   slab.weight + from * 4 * h, 4 * h, epilogue, own->strips);
    own->written = true;
  }

  // Computes the products of the collected rows of d.
  void flush(const Slab& slab, Buffers* own) const {
    if (!own->written && own->alone == 0) {
      for (int64_t j = 0; j < weight_rows * 4 * h; ++j) slab.weight[j] = 0;
      own->written = true;
    }
    add_weight_gradient(slab, own, 0, own->alone, 0, weight_rows);
    add_weight_gradient(slab, own, own->others, kRowsPerProduct, above, h);
    multiply_packed(own->alone, 0, above, {own->own_d, d_stride, 1}, input_weight, own->input_gradients, above, {});
    for (int64_t r = 0; r < own->alone; ++r)
      copy_row(input_gradient.row(own->row_of[r]), own->input_gradients + r * above, above, false);
    own->alone = 0;
    own->others = kRowsPerProduct;
  }

  // Prefetches what timestep s − 1 reads, which is timestep t − 1 of its sequence.
  SHORTLIST_INLINE void prefetch_before(int64_t s, int64_t t) const {
    if (t == 0) return;
    prefetch_row(gates.row(s - 1), 4 * h);
    prefetch_row(output_gradient.row(s - 1), h);
    const int32_t next = repeated_timesteps.place[s - 1];
    if (next < 0) {
      prefetch_row(input.row(position[s - 1]), above);
    } else {
      prefetch_row(repeated_d.row(next), 4 * h);
    }
    if (t > 1) prefetch_row(cell.row(s - 2), h);
    if (t > 1) prefetch_row(output.row(s - 2), h);
  }

  // Timestep s, which is timestep t of sequence i of the group: computes d, and collects it with [x | h₋ | 1].
  SHORTLIST_INLINE void run_step(int64_t s, int64_t t, int64_t i, const Slab& slab, Buffers* own) const {
    prefetch_before(s, t);
    const int32_t repeated_timestep = repeated_timesteps.place[s];
    // A repeated row at the first timestep, where h₋ = 0, adds nothing to the slab's sums.
    const bool kept = repeated_timestep < 0 || t > 0;
    const int64_t row = repeated_timestep < 0 ? own->alone++ : kept ? --own->others : 0;
    float* const d = own->timestep_d + i * d_stride;
    timestep_back(h, peepholes,
                  {output_gradient.row(s), own->dh + i * h, own->dc + i * h, gates.row(s), output.row(s), cell.row(s),
                   t > 0 ? cell.row(s - 1) : nullptr, d, kept ? own->own_d + row * d_stride : d,
                   repeated_timestep < 0 ? nullptr : repeated_d.row(repeated_timestep), bf16, slab.peephole});
    if (!kept) return;
    float* const to = own->read + row * read_stride;
    if (repeated_timestep < 0) {
      copy_row(to, input.row(position[s]), above, bf16);
      to[above + h] = 1;
      own->row_of[row] = position[s];
    }
    if (t > 0) {
      copy_row(to + above, output.row(s - 1), h, bf16);
    } else {
      for (int64_t j = 0; j < h; ++j) to[above + j] = 0;
    }
  }

  // Computes one slab: shares `first` to `first + count − 1`. Group g belongs to share g mod `shares`.
  void run(int64_t first, int64_t count, int64_t shares, const Slab& slab, float* buffer) const {
    Buffers own;
    place(buffer, &own);
    if (peepholes.input) {
      for (int64_t j = 0; j < 3 * h; ++j) slab.peephole[j] = 0;
    }
    for (int64_t turn = 0;; ++turn) {
      const int64_t group = turn / count * shares + first + turn % count;
      if (group >= sequences.groups) break;
      const int64_t begin = sequences.group_begin(group), end = sequences.group_begin(group + 1);
      int64_t active = 0;
      for (int64_t t = sequences.length(begin) - 1; t >= 0; --t) {
        for (; active < end - begin && sequences.length(begin + active) > t; ++active) {
          for (int64_t j = 0; j < h; ++j) own.dh[active * h + j] = own.dc[active * h + j] = 0;
        }
        if (own.others - own.alone < active) flush(slab, &own);
        for (int64_t i = 0; i < active; ++i) run_step(sequences.first_timestep(begin + i) + t, t, i, slab, &own);
        if (t > 0) multiply_packed(active, 0, h, {own.timestep_d, d_stride, 1}, recurrent_weight, own.dh, h, {});
      }
    }
    flush(slab, &own);
  }
};

Backward backward_of(const Call& call, const RepeatedRows& repeated) {
  const Tensor& input = call.input(kFirstOperand + kInput);
  const Tensor& input_weight = call.input(kFirstOperand + kInputWeight);
  const Tensor& position = call.input(kFirstOperand + kPosition);
  const Tensor& recurrent_weight = call.input(kFirstOperand + kRecurrentWeight);
  const int64_t h = recurrent_weight.rows;
  Backward backward;
  backward.input = input;
  backward.output_gradient = call.input(kOutputGradient);
  backward.output = call.input(kOutputIn);
  backward.gates = call.input(kGatesIn);
  backward.cell = call.input(kCellIn);
  backward.input_gradient = call.output(kInputGradient);
  backward.position = position.i32();
  backward.repeated_timesteps = sort_repeated_timesteps(call, position, repeated);
  backward.repeated_d = call.input(kGatesIn);
  backward.repeated_d.rows = backward.repeated_timesteps.count;
  backward.repeated_d.columns = backward.repeated_d.stride = 4 * h;
  backward.repeated_d.data = float_scratch(call, backward.repeated_timesteps.count * 4 * h);
  backward.peepholes = peepholes_of(call, kFirstOperand);
  const Tensor& offsets = call.input(kFirstOperand + kSequenceOffsets);
  const int64_t dealt = offsets.rows - 1 <= 2 * kSequencesOfFew ? 2 : kGroupsDealtBackward;
  backward.sequences = sort_sequences(call, offsets, kSequencesBackward, dealt);
  backward.input_weight = pack_weight(call, {input_weight.f32(), 1, input_weight.stride}, 4 * h, input.columns);
  backward.recurrent_weight = pack_weight(call, {recurrent_weight.f32(), 1, recurrent_weight.stride}, 4 * h, h);
  backward.h = h;
  backward.bf16 = is_bf16(call);
  backward.above = input.columns;
  backward.weight_rows = input.columns + h + 1;
  // Strides that are not a multiple of 1 KiB, because rows would then compete for a few sets of the L1 cache.
  backward.d_stride = round_up(4 * h, 16) + 16;
  backward.read_stride = round_up(backward.weight_rows, 16) + 16;
  return backward;
}

// The gradients of the weights, by slab.
struct Slabs {
  float* data;  // [count, elements], each a Slab: its weight, then its peephole
  int64_t count;
  int64_t elements;
  int64_t weight_elements;

  // to [size] = the sums over the slabs of elements `offset` to `offset + size − 1`.
  void sum(int64_t offset, int64_t size, float* to) const {
    for (int64_t j = 0; j < size; j += kLanes) {
      vf sum = load_upto(data + offset + j, size - j);
      for (int64_t slab = 1; slab < count; ++slab) sum += load_upto(data + slab * elements + offset + j, size - j);
      store_upto(to + j, sum, size - j);
    }
  }
};

Slabs run_slabs(const Call& call, const Backward& backward) {
  const int64_t groups = backward.sequences.groups;
  const int64_t shares = groups == 0 ? 1 : groups < kMostShares ? groups : kMostShares;
  Slabs slabs;
  slabs.count = shares < kMostSlabs ? shares : kMostSlabs;
  slabs.weight_elements = backward.weight_rows * 4 * backward.h;
  slabs.elements = round_up(slabs.weight_elements + 3 * backward.h, 16);
  slabs.data = float_scratch(call, slabs.count * slabs.elements);
  const int64_t pairs = shares - slabs.count;  // the first `pairs` slabs have two shares
  float* const buffers = float_scratch(call, worker_count(call) * backward.buffer_elements());
  parallel_in_order(call, slabs.count, [&](int64_t slab) {  // the first ones have the longest sequences
    float* const own = slabs.data + slab * slabs.elements;
    const int64_t first = slab < pairs ? 2 * slab : slab + pairs, count = slab < pairs ? 2 : 1;
    backward.run(first, count, shares, {own, own + slabs.weight_elements},
                 buffers + this_worker() * backward.buffer_elements());
  });
  return slabs;
}

float* bias_gradient_of(const Call& call) {
  return call.outputs[kBiasGradient].count > 0 ? call.output(kBiasGradient).f32() : nullptr;
}

void sum_slabs(const Call& call, const Backward& backward, const Slabs& slabs) {
  const int64_t h = backward.h, above = backward.above;
  parallel_blocks(call, backward.weight_rows, kWeightRowsPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* const to = r < above       ? call.output(kInputWeightGradient).row(r)
                        : r < above + h ? call.output(kRecurrentWeightGradient).row(r - above)
                                        : bias_gradient_of(call);
      if (to) slabs.sum(r * 4 * h, 4 * h, to);
    }
  });
  for (int i = 0; i < 3 && backward.peepholes.input; ++i) {
    slabs.sum(slabs.weight_elements + i * h, h, call.output(kPeepholeGradient + i).f32());
  }
}

// The gradient of input rows that no timestep reads is 0.
void clear_unread_rows(const Call& call, const RepeatedRows& repeated) {
  const Tensor& input_gradient = call.output(kInputGradient);
  parallel_blocks(call, input_gradient.rows, kPlacesPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      if (repeated.place[p] != kUnread) continue;
      for (int64_t j = 0; j < input_gradient.columns; ++j) input_gradient.row(p)[j] = 0;
    }
  });
}

// The part of the repeated rows: D, and the products that it enters.
void add_repeated_rows(const Call& call, const Backward& backward, const RepeatedRows& repeated) {
  const Tensor& input_weight = call.input(kFirstOperand + kInputWeight);
  const Tensor& input_gradient = call.output(kInputGradient);
  const Tensor& weight_gradient = call.output(kInputWeightGradient);
  const int64_t h = backward.h, columns = backward.above;
  Tensor sums = backward.repeated_d;
  sums.rows = repeated.count;
  sums.data = float_scratch(call, repeated.count * sums.columns);
  sum_ranges(call, backward.repeated_d, backward.repeated_timesteps.offsets, sums);
  const Matrix d = {sums.f32(), sums.stride, 1, backward.bf16};
  const Matrix weight = {input_weight.f32(), 1, input_weight.stride, backward.bf16};
  const Tensor x = gather_repeated_rows(call, backward.input, repeated);
  float* const gradient = float_scratch(call, repeated.count * columns);
  multiply(call, repeated.count, columns, 4 * h, d, weight, gradient, columns, {});
  parallel_blocks(call, repeated.count, kRepeatedRowsPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      copy_row(input_gradient.row(repeated.row[r]), gradient + r * columns, columns, false);
    }
  });
  Epilogue add;
  add.accumulate = true;
  multiply(call, columns, 4 * h, repeated.count, {x.f32(), 1, x.stride, backward.bf16}, d, weight_gradient.f32(),
           weight_gradient.stride, add);
  float* const bias_gradient = bias_gradient_of(call);
  if (bias_gradient == nullptr) return;
  if (backward.bf16) {
    parallel_blocks(call, repeated.count, kRepeatedRowsPerChunk, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) copy_row(sums.row(r), sums.row(r), sums.columns, true);
    });
  }
  float* const repeated_bias = float_scratch(call, 4 * h);
  column_sums(call, sums, repeated_bias);
  for (int64_t j = 0; j < 4 * h; ++j) bias_gradient[j] += repeated_bias[j];
}

void gradient(const Call& call) {
  const Tensor& position = call.input(kFirstOperand + kPosition);
  const RepeatedRows repeated = find_repeated_rows(call, position, call.input(kFirstOperand + kInput).rows);
  const Backward backward = backward_of(call, repeated);
  const Slabs slabs = run_slabs(call, backward);
  sum_slabs(call, backward, slabs);
  clear_unread_rows(call, repeated);
  if (repeated.count > 0) add_repeated_rows(call, backward, repeated);
}

const SlotType kForwardInputs[] = {float32("input", 2),
                                   float32("input_weight", 2),
                                   optional(float32("bias", 1)),
                                   float32("recurrent_weight", 2),
                                   int32("position", 1),
                                   int32("sequence_offsets", 1),
                                   optional(float32("peephole_input", 1)),
                                   optional(float32("peephole_forget", 1)),
                                   optional(float32("peephole_output", 1)),
                                   kNoSlot};
const SlotType kForwardOutputs[] = {float32("output", 2), float32("gates", 2), float32("cell", 2), kNoSlot};
const SlotType kGradientInputs[] = {float32("output_gradient", 2),
                                    float32("output", 2),
                                    float32("gates", 2),
                                    float32("cell", 2),
                                    float32("input", 2),
                                    float32("input_weight", 2),
                                    optional(float32("bias", 1)),
                                    float32("recurrent_weight", 2),
                                    int32("position", 1),
                                    int32("sequence_offsets", 1),
                                    optional(float32("peephole_input", 1)),
                                    optional(float32("peephole_forget", 1)),
                                    optional(float32("peephole_output", 1)),
                                    kNoSlot};
const SlotType kGradientOutputs[] = {float32("input_gradient", 2),
                                     float32("input_weight_gradient", 2),
                                     optional(float32("bias_gradient", 1)),
                                     float32("recurrent_weight_gradient", 2),
                                     optional(float32("peephole_input_gradient", 1)),
                                     optional(float32("peephole_forget_gradient", 1)),
                                     optional(float32("peephole_output_gradient", 1)),
                                     kNoSlot};

}  // namespace

extern const Op lstm = {"lstm", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op lstm_gradient = {"lstm_gradient", kGradientInputs, kGradientOutputs, check_gradient, gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist

// A fully connected layer over the concatenation of its inputs, and its gradients; formulas in src/ops/linear.ts.
//
// linear                  output [rows, out] = activation([x₀ | x₁ | y₀[group] …] · weight + bias)
// relu_gradient           gradient = output_gradient where output > 0, else 0; it may be output_gradient itself
// linear_input_gradient   gradientᵢ [rows, widthᵢ] = output_gradient · weightᵢᵀ;
//                         for group inputs [groups, widthᵢ] = group_gradient · weightᵢᵀ
// linear_weight_gradient  gradient [Σ width, out] = [x₀ | x₁ …]ᵀ · output_gradient;
//                         for the rows of group inputs [y₀ | …]ᵀ · group_gradient
// linear_bias_gradient    gradient [out] = Σ_r output_gradient[r]
//
// Outputs are overwritten. Except in relu_gradient, nothing aliases. Without rows, the gradients of weight and bias are
// 0.
//
// The plan stores the parts of a concatenation as adjacent columns of one buffer if it can; such inputs are one matrix
// and need one product. The products of other inputs are added one after the other. Group inputs are multiplied once
// for each group, and each row starts from the product of its group.

#include "native/ops/column_sums.h"
#include "native/ops/gemm.h"
#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kElementsPerChunk = 4096;

// Inputs that are adjacent columns of one buffer, as one matrix.
struct Span {
  const Tensor* first;
  int64_t columns;     // the sum of the inputs' widths
  int64_t weight_row;  // the first row of the weight that the span is multiplied by
  bool grouped;        // whether they are group inputs
};

// Enumerates all inputs as spans, in the order in which they are concatenated.
class Spans {
 public:
  Spans(const Call& call, const Slot& own, const Slot& grouped)
      : order_(text_attribute(call, "order")), next_{own.tensors, grouped.tensors}, left_(own.count + grouped.count) {}

  bool next(Span* span) {
    if (left_ == 0) return false;
    const bool grouped = *order_ == 'g';
    const Tensor* const first = next_[grouped];
    *span = {first, 0, weight_row_, grouped};
    do {
      span->columns += next_[grouped]->columns;
      ++next_[grouped];
      order_ += *order_ != 0;
      --left_;
    } while (left_ > 0 && (*order_ == 'g') == grouped && next_[grouped]->stride == first->stride &&
             next_[grouped]->data == first->f32() + span->columns);
    weight_row_ += span->columns;
    return true;
  }

 private:
  const char* order_;
  const Tensor* next_[2];
  int64_t left_;
  int64_t weight_row_ = 0;
};

// Checks that `order` has a letter for each input, that inputs have `rows` rows and group inputs `groups` rows. Returns
// the sum of all widths.
int64_t check_inputs(const Call& call, const Slot& own, const Slot& grouped, int64_t rows, int64_t groups) {
  const char* const order = text_attribute(call, "order");
  int64_t width = 0, count[2] = {0, 0};
  for (const char* letter = order; *letter != 0; ++letter) {
    expect(call, *letter == 'x' || *letter == 'g', "order of letters x and g");
    ++count[*letter == 'g'];
  }
  expect(call, own.count > 0, "at least one input");
  expect(call, (*order == 0 || count[0] == own.count) && count[1] == grouped.count,
         "order with a letter for each input");
  for (int32_t i = 0; i < own.count; ++i) {
    expect(call, own.tensors[i].rows == rows, "inputs with as many rows as the output");
    width += own.tensors[i].columns;
  }
  for (int32_t i = 0; i < grouped.count; ++i) {
    expect(call, grouped.tensors[i].rows == groups, "group inputs with a row a group");
    width += grouped.tensors[i].columns;
  }
  return width;
}

enum ForwardInput { kInputs, kWeight, kBias, kGroupInputs, kGroupOffsets };

void check_forward(const Call& call) {
  const Tensor& weight = call.input(kWeight);
  const Slot& grouped = call.inputs[kGroupInputs];
  const bool has_groups = call.has(kGroupOffsets);
  expect(call, has_groups == (grouped.count > 0), "group_offsets beside group_input");
  const int64_t groups = has_groups ? call.input(kGroupOffsets).rows - 1 : 0, rows = call.output(0).rows;
  expect(call, weight.rows == check_inputs(call, call.inputs[kInputs], grouped, rows, groups),
         "weight with one row a column of the inputs");
  expect(call, call.output(0).columns == weight.columns, "output as wide as weight");
  if (call.has(kBias)) expect(call, is_shape(call.input(kBias), weight.columns, 1), "bias [out]");
  if (has_groups) check_offsets(call, call.input(kGroupOffsets), rows);
  expect(call, text_attribute_is(call, "activation", "none") || text_attribute_is(call, "activation", "relu"),
         "activation \"none\" or \"relu\"");
  check_precision(call);
}

// Copies to each row of `to` [rows, out] the row of its group in `products` [groups, out].
void copy_groups(const Call& call, const float* products, const Tensor& offsets, const Tensor& to) {
  const int32_t* const group = group_of_each(call, offsets);
  parallel_blocks(call, to.rows, rows_with_elements(kElementsPerChunk, to.columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* const from = products + group[r] * to.columns;
      for (int64_t c = 0; c < to.columns; c += kLanes) {
        store_upto(to.row(r) + c, load_upto(from + c, to.columns - c), to.columns - c);
      }
    }
  });
}

void forward(const Call& call) {
  const bool bf16 = is_bf16(call);
  const Slot& inputs = call.inputs[kInputs];
  const Slot& group_inputs = call.inputs[kGroupInputs];
  const Tensor& weight = call.input(kWeight);
  const Tensor& output = call.output(0);
  const int64_t out = output.columns;
  const auto multiply_span = [&](const Span& span, int64_t rows, float* to, int64_t stride, const Epilogue& epilogue) {
    multiply(call, rows, out, span.columns, {span.first->f32(), span.first->stride, 1, bf16},
             {weight.row(span.weight_row), weight.stride, 1, bf16}, to, stride, epilogue);
  };
  Span span;
  Epilogue epilogue;
  epilogue.whole_sums = true;
  if (group_inputs.count > 0) {
    const Tensor& offsets = call.input(kGroupOffsets);
    const int64_t groups = offsets.rows - 1;
    float* const products = float_scratch(call, groups * out);
    for (Spans spans(call, inputs, group_inputs); spans.next(&span);) {
      if (!span.grouped) continue;
      multiply_span(span, groups, products, out, epilogue);
      epilogue.accumulate = true;
    }
    copy_groups(call, products, offsets, output);
  }
  int64_t columns = 0;
  for (int32_t i = 0; i < inputs.count; ++i) columns += inputs.tensors[i].columns;
  for (Spans spans(call, inputs, group_inputs); spans.next(&span);) {
    if (span.grouped) continue;
    columns -= span.columns;
    if (columns == 0) {
      epilogue.column_bias = call.has(kBias) ? call.input(kBias).f32() : nullptr;
      epilogue.relu = text_attribute_is(call, "activation", "relu");
    }
    multiply_span(span, output.rows, output.f32(), output.stride, epilogue);
    epilogue.accumulate = true;
  }
}

enum ReluInput { kOutput, kReluOutputGradient };

void check_relu_gradient(const Call& call) {
  expect(call, same_shape(call.input(kOutput), call.input(kReluOutputGradient)), "output_gradient of output's shape");
  expect(call, same_shape(call.output(0), call.input(kOutput)), "gradient of output's shape");
}

void relu_gradient_run(const Call& call) {
  const Tensor& output = call.input(kOutput);
  const Tensor& output_gradient = call.input(kReluOutputGradient);
  const Tensor& gradient = call.output(0);
  const int64_t rows_per_chunk = rows_with_elements(kElementsPerChunk, gradient.columns);
  parallel_blocks(call, gradient.rows, rows_per_chunk, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = 0; c < gradient.columns; c += kLanes) {
        const int64_t left = gradient.columns - c;
        const vf value = load_upto(output_gradient.row(r) + c, left);
        store_upto(gradient.row(r) + c, load_upto(output.row(r) + c, left) > 0.0f ? value : vf{}, left);
      }
    }
  });
}

enum InputGradientInput { kOutputGradient, kGradientWeight, kLike, kGroupGradient, kGroupLike };

// Checks that the gradients by the output, for rows and for groups, are `out` wide. Returns the number of groups.
int64_t check_gradients(const Call& call, const Tensor& output_gradient, int group_gradient, const Slot& grouped,
                        int64_t out) {
  expect(call, output_gradient.columns == out, "output_gradient as wide as weight");
  expect(call, call.has(group_gradient) == (grouped.count > 0), "group_gradient beside group inputs");
  if (grouped.count == 0) return 0;
  expect(call, call.input(group_gradient).columns == out, "group_gradient as wide as weight");
  return call.input(group_gradient).rows;
}

void check_input_gradient(const Call& call) {
  const Tensor& output_gradient = call.input(kOutputGradient);
  const Tensor& weight = call.input(kGradientWeight);
  const int64_t groups = check_gradients(call, output_gradient, kGroupGradient, call.outputs[1], weight.columns);
  expect(call, weight.rows == check_inputs(call, call.outputs[0], call.outputs[1], output_gradient.rows, groups),
         "weight with one row a column of the gradients");
  check_precision(call);
}

void input_gradient(const Call& call) {
  const bool bf16 = is_bf16(call);
  const Tensor& weight = call.input(kGradientWeight);
  Span span;
  for (Spans spans(call, call.outputs[0], call.outputs[1]); spans.next(&span);) {
    const Tensor& above = call.input(span.grouped ? kGroupGradient : kOutputGradient);
    multiply(call, above.rows, span.columns, above.columns, {above.f32(), above.stride, 1, bf16},
             {weight.row(span.weight_row), 1, weight.stride, bf16}, span.first->f32(), span.first->stride, {});
  }
}

enum WeightGradientInput { kGradientInputs, kWeightOutputGradient, kGradientGroupInputs, kWeightGroupGradient };

void check_weight_gradient(const Call& call) {
  const Tensor& output_gradient = call.input(kWeightOutputGradient);
  const Slot& grouped = call.inputs[kGradientGroupInputs];
  const int64_t groups = check_gradients(call, output_gradient, kWeightGroupGradient, grouped, call.output(0).columns);
  const int64_t width = check_inputs(call, call.inputs[kGradientInputs], grouped, output_gradient.rows, groups);
  expect(call, call.output(0).rows == width, "gradient [width of the inputs, width of output_gradient]");
  check_precision(call);
}

void weight_gradient(const Call& call) {
  const bool bf16 = is_bf16(call);
  const Tensor& gradient = call.output(0);
  Span span;
  for (Spans spans(call, call.inputs[kGradientInputs], call.inputs[kGradientGroupInputs]); spans.next(&span);) {
    const Tensor& above = call.input(span.grouped ? kWeightGroupGradient : kWeightOutputGradient);
    multiply(call, span.columns, gradient.columns, above.rows, {span.first->f32(), 1, span.first->stride, bf16},
             {above.f32(), above.stride, 1, bf16}, gradient.row(span.weight_row), gradient.stride, {});
  }
}

void check_bias_gradient(const Call& call) {
  expect(call, is_shape(call.output(0), call.input(0).columns, 1), "gradient [width of output_gradient]");
}

void bias_gradient(const Call& call) { column_sums(call, call.input(0), call.output(0).f32()); }

const SlotType kForwardInputs[] = {list(float32("input", 2)),           float32("weight", 2),
                                   optional(float32("bias", 1)),        optional(list(float32("group_input", 2))),
                                   optional(int32("group_offsets", 1)), kNoSlot};
const SlotType kForwardOutputs[] = {float32("output", 2), kNoSlot};
const SlotType kReluInputs[] = {float32("output", 2), float32("output_gradient", 2), kNoSlot};
const SlotType kGradient[] = {float32("gradient", 2), kNoSlot};
const SlotType kBiasGradient[] = {float32("gradient", 1), kNoSlot};
const SlotType kInputGradientInputs[] = {float32("output_gradient", 2),
                                         float32("weight", 2),
                                         list(float32("like", 2)),
                                         optional(float32("group_gradient", 2)),
                                         optional(list(float32("group_like", 2))),
                                         kNoSlot};
const SlotType kInputGradientOutputs[] = {list(float32("gradient", 2)),
                                          optional(list(float32("group_input_gradient", 2))), kNoSlot};
const SlotType kWeightGradientInputs[] = {list(float32("input", 2)), float32("output_gradient", 2),
                                          optional(list(float32("group_input", 2))),
                                          optional(float32("group_gradient", 2)), kNoSlot};
const SlotType kBiasGradientInputs[] = {float32("output_gradient", 2), kNoSlot};

}  // namespace

extern const Op linear = {"linear", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op relu_gradient = {"relu_gradient", kReluInputs, kGradient, check_relu_gradient, relu_gradient_run};
extern const Op linear_input_gradient = {"linear_input_gradient", kInputGradientInputs, kInputGradientOutputs,
                                         check_input_gradient, input_gradient};
extern const Op linear_weight_gradient = {"linear_weight_gradient", kWeightGradientInputs, kGradient,
                                          check_weight_gradient, weight_gradient};
extern const Op linear_bias_gradient = {"linear_bias_gradient", kBiasGradientInputs, kBiasGradient, check_bias_gradient,
                                        bias_gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist

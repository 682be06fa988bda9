// A fully connected layer over the concatenation of its inputs, and its gradients; formulas in src/ops/linear.ts.
//
// linear                  output [rows, out] = activation([x₀ | x₁ …] · weight + bias)
// relu_gradient           gradient = output_gradient where output > 0, else 0       may write output_gradient in place
// linear_input_gradient   gradientᵢ [rows, widthᵢ] = output_gradient · weightᵢᵀ
// linear_weight_gradient  gradient [Σ width, out] = [x₀ | x₁ …]ᵀ · output_gradient
// linear_bias_gradient    gradient [out] = Σ_r output_gradient[r]
//
// All outputs are =; but for relu_gradient they alias nothing. No rows: zeros for the weight and the bias.
//
// Inputs that are neighbouring column blocks of one buffer, which is how the executor lays a concatenation out, are one
// matrix and one product; other inputs add their products one after the other.

#include "native/ops/column_sums.h"
#include "native/ops/gemm.h"
#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// Neighbouring tensors [first, last) of a list, as one matrix `columns` wide.
struct Span {
  int32_t first;
  int32_t last;
  int64_t columns;
};

Span span_from(const Slot& slot, int32_t first) {
  Span span = {first, first + 1, slot.tensors[first].columns};
  for (; span.last < slot.count; ++span.last) {
    const Tensor& next = slot.tensors[span.last];
    if (next.stride != slot.tensors[first].stride || next.data != slot.tensors[first].f32() + span.columns) break;
    span.columns += next.columns;
  }
  return span;
}

int64_t width_of(const Slot& slot) {
  int64_t width = 0;
  for (int32_t i = 0; i < slot.count; ++i) width += slot.tensors[i].columns;
  return width;
}

void check_rows(const Call& call, const Slot& slot, int64_t rows) {
  expect(call, slot.count > 0, "at least one input");
  for (int32_t i = 0; i < slot.count; ++i) expect(call, slot.tensors[i].rows == rows, "inputs with as many rows as the output");
}

enum ForwardInput { kInputs, kWeight, kBias };

void check_forward(const Call& call) {
  const Tensor& weight = call.input(kWeight);
  check_rows(call, call.inputs[kInputs], call.output(0).rows);
  expect(call, weight.rows == width_of(call.inputs[kInputs]), "weight with one row a column of the inputs");
  expect(call, call.output(0).columns == weight.columns, "output as wide as weight");
  if (call.has(kBias)) expect(call, is_shape(call.input(kBias), weight.columns, 1), "bias [out]");
  expect(call, text_attribute_is(call, "activation", "none") || text_attribute_is(call, "activation", "relu"),
         "activation \"none\" or \"relu\"");
}

void forward(const Call& call) {
  const Slot& inputs = call.inputs[kInputs];
  const Tensor& weight = call.input(kWeight);
  const Tensor& output = call.output(0);
  Epilogue epilogue;
  int64_t weight_row = 0;
  for (int32_t i = 0; i < inputs.count;) {
    const Span span = span_from(inputs, i);
    if (span.last == inputs.count) {
      epilogue.column_bias = call.has(kBias) ? call.input(kBias).f32() : nullptr;
      epilogue.relu = text_attribute_is(call, "activation", "relu");
    }
    multiply(call, output.rows, output.columns, span.columns, {inputs.tensors[i].f32(), inputs.tensors[i].stride, 1},
             {weight.row(weight_row), weight.stride, 1}, output.f32(), output.stride, epilogue);
    epilogue.accumulate = true;
    weight_row += span.columns;
    i = span.last;
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
  const int64_t rows_per_block = 4096 / (gradient.columns + 1) + 1;
  parallel_blocks(call, gradient.rows, rows_per_block, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = 0; c < gradient.columns; c += kLanes) {
        const int64_t left = gradient.columns - c;
        const vf value = load_upto(output_gradient.row(r) + c, left);
        store_upto(gradient.row(r) + c, load_upto(output.row(r) + c, left) > 0.0f ? value : vf{}, left);
      }
    }
  });
}

enum InputGradientInput { kOutputGradient, kGradientWeight, kLike };

void check_input_gradient(const Call& call) {
  const Tensor& output_gradient = call.input(kOutputGradient);
  const Tensor& weight = call.input(kGradientWeight);
  expect(call, output_gradient.columns == weight.columns, "output_gradient as wide as weight");
  check_rows(call, call.outputs[0], output_gradient.rows);
  expect(call, weight.rows == width_of(call.outputs[0]), "weight with one row a column of the gradients");
}

void input_gradient(const Call& call) {
  const Slot& gradients = call.outputs[0];
  const Tensor& output_gradient = call.input(kOutputGradient);
  const Tensor& weight = call.input(kGradientWeight);
  int64_t weight_row = 0;
  for (int32_t i = 0; i < gradients.count;) {
    const Span span = span_from(gradients, i);
    multiply(call, output_gradient.rows, span.columns, output_gradient.columns,
             {output_gradient.f32(), output_gradient.stride, 1}, {weight.row(weight_row), 1, weight.stride},
             gradients.tensors[i].f32(), gradients.tensors[i].stride, {});
    weight_row += span.columns;
    i = span.last;
  }
}

enum WeightGradientInput { kGradientInputs, kWeightOutputGradient };

void check_weight_gradient(const Call& call) {
  const Tensor& output_gradient = call.input(kWeightOutputGradient);
  check_rows(call, call.inputs[kGradientInputs], output_gradient.rows);
  expect(call, is_shape(call.output(0), width_of(call.inputs[kGradientInputs]), output_gradient.columns),
         "gradient [width of the inputs, width of output_gradient]");
}

void weight_gradient(const Call& call) {
  const Slot& inputs = call.inputs[kGradientInputs];
  const Tensor& output_gradient = call.input(kWeightOutputGradient);
  const Tensor& gradient = call.output(0);
  int64_t row = 0;
  for (int32_t i = 0; i < inputs.count;) {
    const Span span = span_from(inputs, i);
    multiply(call, span.columns, gradient.columns, output_gradient.rows, {inputs.tensors[i].f32(), 1, inputs.tensors[i].stride},
             {output_gradient.f32(), output_gradient.stride, 1}, gradient.row(row), gradient.stride, {});
    row += span.columns;
    i = span.last;
  }
}

void check_bias_gradient(const Call& call) {
  expect(call, is_shape(call.output(0), call.input(0).columns, 1), "gradient [width of output_gradient]");
}

void bias_gradient(const Call& call) { column_sums(call, call.input(0), call.output(0).f32()); }

const char* const kForwardInputs[] = {"input*", "weight", "bias?", nullptr};
const char* const kForwardOutputs[] = {"output", nullptr};
const char* const kReluInputs[] = {"output", "output_gradient", nullptr};
const char* const kGradient[] = {"gradient", nullptr};
const char* const kInputGradientInputs[] = {"output_gradient", "weight", "like*", nullptr};
const char* const kInputGradientOutputs[] = {"gradient*", nullptr};
const char* const kWeightGradientInputs[] = {"input*", "output_gradient", nullptr};
const char* const kBiasGradientInputs[] = {"output_gradient", nullptr};

}  // namespace

extern const Op linear = {"linear", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op relu_gradient = {"relu_gradient", kReluInputs, kGradient, check_relu_gradient, relu_gradient_run};
extern const Op linear_input_gradient = {"linear_input_gradient", kInputGradientInputs, kInputGradientOutputs,
                                         check_input_gradient, input_gradient};
extern const Op linear_weight_gradient = {"linear_weight_gradient", kWeightGradientInputs, kGradient, check_weight_gradient,
                                          weight_gradient};
extern const Op linear_bias_gradient = {"linear_bias_gradient", kBiasGradientInputs, kGradient, check_bias_gradient,
                                        bias_gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist

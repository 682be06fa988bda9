// The kernels of every instruction set that this machine has against plain loops in double, odd sizes included; and with
// 1, 2, 3 and 7 threads, bit for bit. test/ops holds the same kernels to many more cases where Node runs; this file is the
// judge where it does not, as under an emulator.

#include <algorithm>
#include <functional>
#include <limits>
#include <tuple>

#include "native/core/philox.h"
#include "test/native/case.h"

using namespace shortlist;

namespace {

using Engines = std::vector<std::shared_ptr<Engine>>;

// ---- values ------------------------------------------------------------------------------------------------------------

uint32_t random_word() {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
  return static_cast<uint32_t>(state >> 33);
}

int64_t below(int64_t limit) { return random_word() % limit; }

// Between −1 and 1; `steps` a unit, so that few steps make equal values and exact sums.
Floats numbers(int64_t count, int64_t steps = 1 << 20) {
  Floats values(static_cast<size_t>(count));
  for (float& x : values) x = static_cast<float>(below(2 * steps + 1) - steps) / static_cast<float>(steps);
  return values;
}

Floats positive(int64_t count) {
  Floats values = numbers(count);
  for (float& x : values) x = std::abs(x) + 0.1f;
  return values;
}

Ints ids(int64_t count, int64_t rows) {
  Ints values(static_cast<size_t>(count));
  for (int32_t& id : values) id = static_cast<int32_t>(below(rows));
  return values;
}

// From 0, `count` ranges of 0 to longest elements.
Ints offsets(int64_t count, int64_t longest) {
  Ints values = {0};
  for (int64_t i = 0; i < count; ++i) values.push_back(values.back() + static_cast<int32_t>(below(longest + 1)));
  return values;
}

// Ranges within 0 … limit, some of them empty, overlapping.
void ranges(int64_t count, int64_t limit, Ints* start, Ints* end) {
  for (int64_t i = 0; i < count; ++i) {
    int32_t a = static_cast<int32_t>(below(limit + 1)), b = static_cast<int32_t>(below(limit + 1));
    start->push_back(std::min(a, b));
    end->push_back(i % 5 == 3 ? std::min(a, b) : std::max(a, b));
  }
}

Doubles zeros(int64_t count) { return Doubles(static_cast<size_t>(count)); }

// An operand of a product: the nearest bfloat16, ties to even, where the product is one of those.
double operand(double x, bool bf16) {
  if (!bf16 || x == 0) return x;
  const double unit = std::ldexp(1.0, std::ilogb(x) - 7);
  return std::nearbyint(x / unit) * unit;
}

const char* precision(bool bf16) { return bf16 ? "precision=bf16" : "precision=float32"; }

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

// ---- linear --------------------------------------------------------------------------------------------------------------

// Two inputs, a and b wide, into `out`: the layer and all its gradients. Where `grouped`, the second has a row a group.
void check_linear(const Engines& engines, bool bf16, bool grouped, int64_t rows, int64_t a, int64_t b, int64_t out) {
  Case test("linear " + std::to_string(rows) + "x" + std::to_string(a + b) + "x" + std::to_string(out) + (grouped ? ", groups" : "") + (bf16 ? ", bf16" : ""));
  Ints group_offsets = {0}, group;
  for (int64_t end = 0; grouped && end < rows;) {
    end = std::min<int64_t>(rows, end + below(9));
    group.resize(static_cast<size_t>(end), static_cast<int32_t>(group_offsets.size()) - 1);
    group_offsets.push_back(static_cast<int32_t>(end));
  }
  const int64_t in = a + b, groups = static_cast<int64_t>(group_offsets.size()) - 1, right_rows = grouped ? groups : rows;
  const Floats& left = test.input("left", {rows, a}, numbers(rows * a));
  const Floats& right = test.input("right", {right_rows, b}, numbers(right_rows * b));
  if (grouped) test.input("group_offsets", {groups + 1}, group_offsets);
  const Floats& weight = test.input("weight", {in, out}, numbers(in * out));
  const Floats& bias = test.input("bias", {out}, numbers(out));
  const Floats& above = test.input("above", {rows, out}, numbers(rows * out));
  Doubles y = zeros(rows * out), g = y, group_gradient = zeros(groups * out), left_gradient = zeros(rows * a), right_gradient = zeros(right_rows * b),
          weight_gradient = zeros(in * out), bias_gradient = zeros(out);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t right_row = grouped ? group[r] : r;
    const auto x = [&](int64_t k) { return operand(k < a ? left[r * a + k] : right[right_row * b + k - a], bf16); };
    for (int64_t n = 0; n < out; ++n) {
      double sum = bias[n];
      for (int64_t k = 0; k < in; ++k) sum += x(k) * operand(weight[k * out + n], bf16);
      const double d = sum > 0 ? above[r * out + n] : 0;
      y[r * out + n] = std::max(sum, 0.0);
      g[r * out + n] = d;
      bias_gradient[n] += d;
      if (grouped) group_gradient[group[r] * out + n] += d;
      for (int64_t k = 0; k < a || (k < in && !grouped); ++k) {
        weight_gradient[k * out + n] += x(k) * operand(d, bf16);
        (k < a ? left_gradient[r * a + k] : right_gradient[r * b + k - a]) += operand(d, bf16) * operand(weight[k * out + n], bf16);
      }
    }
  }
  // The products of groups are with the sums of their rows' gradients. (Those sum some bits further than float32 can.)
  for (int64_t i = 0; i < groups * b * out; ++i) {
    const int64_t n = i % out, k = i / out % b, row = i / out / b;
    const double d = operand(static_cast<float>(group_gradient[row * out + n]), bf16);
    weight_gradient[(a + k) * out + n] += operand(right[row * b + k], bf16) * d;
    right_gradient[row * b + k] += d * operand(weight[(a + k) * out + n], bf16);
  }
  test.output("y", {rows, out}, y);
  test.output("g", {rows, out}, g);
  test.output("left_gradient", {rows, a}, left_gradient);
  test.output("right_gradient", {right_rows, b}, right_gradient);
  test.output("weight_gradient", {in, out}, weight_gradient);
  test.output("bias_gradient", {out}, bias_gradient);
  if (grouped) test.output("group_gradient", {groups, out}, group_gradient);
  const std::string inputs = grouped ? "input=left, group_input=right," : "input=left,right";
  const std::string offsets = grouped ? " group_offsets=group_offsets" : "", above_group = grouped ? " group_gradient=group_gradient" : "";
  const std::string attributes = std::string(precision(bf16)) + (grouped ? " order=xg" : " order=xx");
  test.apply("linear", inputs + offsets + " weight=weight bias=bias", "output=y", "activation=relu " + attributes);
  test.apply("relu_gradient", "output=y output_gradient=above", "gradient=g");
  if (grouped) test.apply("group_sum", "input=g offsets=group_offsets", "output=group_gradient");
  test.apply("linear_input_gradient", "output_gradient=g weight=weight " + std::string(grouped ? "like=left, group_like=right," : "like=left,right") + above_group,
             grouped ? "gradient=left_gradient, group_input_gradient=right_gradient," : "gradient=left_gradient,right_gradient", attributes);
  test.apply("linear_weight_gradient", inputs + " output_gradient=g" + above_group, "gradient=weight_gradient", attributes);
  test.apply("linear_bias_gradient", grouped ? "output_gradient=group_gradient" : "output_gradient=g", "gradient=bias_gradient");
  test.check(engines);
}

// ---- lstm ----------------------------------------------------------------------------------------------------------------

// Where `isolated`, each step reads a position of its own. In bfloat16 a number that differs in its last bit may be rounded to
// the neighbour, 2⁻⁸ of it away.
void check_lstm(const Engines& engines, bool bf16, int64_t h, int64_t runs, bool peepholes, bool isolated) {
  Case test("lstm " + std::to_string(h) + " wide, " + std::to_string(runs) + (isolated ? " isolated runs" : " runs") + (bf16 ? ", bf16" : ""),
            bf16 ? 4e-3 : 2e-5);
  const Ints run_offsets = offsets(runs, 9);
  const int64_t steps = run_offsets.back(), positions = isolated ? steps : steps / 2 + 3, w = 4 * h, in = h + 2;
  const auto small = [](int64_t rows, int64_t columns) {
    Floats weights = numbers(rows * columns);
    for (float& x : weights) x /= std::sqrt(static_cast<float>(rows));
    return weights;
  };
  const Floats& input = test.input("input", {positions, in}, numbers(positions * in));
  const Floats& input_weight = test.input("input_weight", {in, w}, small(in, w));
  const Floats& bias = test.input("bias", {w}, numbers(w));
  const Floats& weight = test.input("weight", {h, w}, small(h, w));
  Ints in_order(static_cast<size_t>(steps));
  for (int64_t s = 0; s < steps; ++s) in_order[s] = static_cast<int32_t>(s);
  const Ints& position = test.input("position", {steps}, isolated ? in_order : ids(steps, positions));
  test.input("run_offsets", {runs + 1}, run_offsets);
  const Floats& above = test.input("above", {steps, h}, numbers(steps * h));
  const Floats zero(static_cast<size_t>(h)), p_i = peepholes ? test.input("p_i", {h}, numbers(h)) : zero,
      p_f = peepholes ? test.input("p_f", {h}, numbers(h)) : zero, p_o = peepholes ? test.input("p_o", {h}, numbers(h)) : zero;

  Doubles output = zeros(steps * h), gates = zeros(steps * w), cell = output, sums = zeros(positions * w), input_gradient = zeros(positions * in),
          input_weight_gradient = zeros(in * w), bias_gradient = zeros(w), weight_gradient = zeros(h * w), p_i_gradient = zeros(h), p_f_gradient = p_i_gradient, p_o_gradient = p_i_gradient;
  for (int64_t r = 0; r < runs; ++r) {
    const int64_t begin = run_offsets[r], end = run_offsets[r + 1];
    const auto before = [&](const Doubles& x, int64_t s, int64_t j) { return s > begin ? x[(s - 1) * h + j] : 0; };
    for (int64_t s = begin; s < end; ++s) {
      double* gate = &gates[s * w];
      for (int64_t n = 0; n < w; ++n) {
        gate[n] = bias[n];
        for (int64_t k = 0; k < in; ++k) gate[n] += operand(input[position[s] * in + k], bf16) * operand(input_weight[k * w + n], bf16);
        for (int64_t k = 0; k < h; ++k) gate[n] += operand(before(output, s, k), bf16) * operand(weight[k * w + n], bf16);
      }
      for (int64_t j = 0; j < h; ++j) {
        const double c = before(cell, s, j);
        double &i = gate[j], &f = gate[h + j], &g = gate[2 * h + j], &o = gate[3 * h + j];
        i = sigmoid(i + p_i[j] * c);
        f = sigmoid(f + p_f[j] * c);
        g = std::tanh(g);
        const double now = cell[s * h + j] = f * c + i * g;
        o = sigmoid(o + p_o[j] * now);
        output[s * h + j] = o * std::tanh(now);
      }
    }
    Doubles dh = zeros(h), dc = zeros(h), d = zeros(w);
    for (int64_t s = end - 1; s >= begin; --s) {
      for (int64_t j = 0; j < h; ++j) {
        const double *gate = &gates[s * w + j], i = gate[0], f = gate[h], g = gate[2 * h], o = gate[3 * h];
        const double c = before(cell, s, j), now = cell[s * h + j], tanh = std::tanh(now);
        dh[j] += above[s * h + j];
        const double d_o = d[3 * h + j] = dh[j] * tanh * o * (1 - o);
        dc[j] += dh[j] * o * (1 - tanh * tanh) + d_o * p_o[j];
        const double d_i = d[j] = dc[j] * g * i * (1 - i), d_f = d[h + j] = dc[j] * c * f * (1 - f);
        d[2 * h + j] = dc[j] * i * (1 - g * g);
        dc[j] = dc[j] * f + d_i * p_i[j] + d_f * p_f[j];
        p_i_gradient[j] += d_i * c;
        p_f_gradient[j] += d_f * c;
        p_o_gradient[j] += d_o * now;
      }
      for (int64_t k = 0; k < h; ++k) {
        dh[k] = 0;
        for (int64_t n = 0; n < w; ++n) {
          dh[k] += operand(d[n], bf16) * operand(weight[k * w + n], bf16);
          weight_gradient[k * w + n] += operand(before(output, s, k), bf16) * operand(d[n], bf16);
        }
      }
      for (int64_t n = 0; n < w; ++n) sums[position[s] * w + n] += d[n];
    }
  }
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t n = 0; n < w; ++n) {
      const double d = operand(sums[p * w + n], bf16);
      bias_gradient[n] += d;
      for (int64_t k = 0; k < in; ++k) {
        input_gradient[p * in + k] += d * operand(input_weight[k * w + n], bf16);
        input_weight_gradient[k * w + n] += d * operand(input[p * in + k], bf16);
      }
    }
  }
  test.output("output", {steps, h}, output);
  test.output("gates", {steps, w}, gates);
  test.output("cell", {steps, h}, cell);
  test.output("input_gradient", {positions, in}, input_gradient);
  test.output("input_weight_gradient", {in, w}, input_weight_gradient);
  test.output("bias_gradient", {w}, bias_gradient);
  test.output("weight_gradient", {h, w}, weight_gradient);
  std::string operands = " input=input input_weight=input_weight bias=bias recurrent_weight=weight position=position run_offsets=run_offsets";
  std::string gradients =
      "input_gradient=input_gradient input_weight_gradient=input_weight_gradient bias_gradient=bias_gradient "
      "recurrent_weight_gradient=weight_gradient";
  if (peepholes) {
    test.output("p_i_gradient", {h}, p_i_gradient);
    test.output("p_f_gradient", {h}, p_f_gradient);
    test.output("p_o_gradient", {h}, p_o_gradient);
    operands += " peephole_input=p_i peephole_forget=p_f peephole_output=p_o";
    gradients += " peephole_input_gradient=p_i_gradient peephole_forget_gradient=p_f_gradient peephole_output_gradient=p_o_gradient";
  }
  test.apply("lstm", operands, "output=output gates=gates cell=cell", precision(bf16));
  test.apply("lstm_gradient", "output_gradient=above output=output gates=gates cell=cell" + operands, gradients, precision(bf16));
  test.check(engines);
}

// ---- embeddings and pooling ------------------------------------------------------------------------------------------------

void check_embedding_bag(const Engines& engines, int64_t width, int64_t samples, bool grouped) {
  Case test("embedding_bag " + std::to_string(width) + " wide");
  const int64_t rows = 19, groups = 37;
  const Ints group = grouped ? offsets(groups, 3) : Ints();
  const int64_t n = grouped ? group.back() : groups;
  Ints start, end;
  ranges(samples, groups, &start, &end);
  const Floats& table = test.input("table", {rows, width}, numbers(rows * width));
  const Ints& id = test.input("ids", {n}, ids(n, rows));
  test.input("start", {samples}, start);
  test.input("end", {samples}, end);
  if (grouped) test.input("offsets", {groups + 1}, group);
  const Floats& above = test.input("above", {samples, width}, numbers(samples * width));
  Doubles output = zeros(samples * width), gradient = zeros(groups * width), looked_up = zeros(n * width);
  for (int64_t s = 0; s < samples; ++s) {
    const int64_t from = grouped ? group[start[s]] : start[s], to = grouped ? group[end[s]] : end[s];
    for (int64_t c = 0; c < width && to > from; ++c) {
      for (int64_t j = from; j < to; ++j) output[s * width + c] += double{table[id[j] * width + c]} / (to - from);
      for (int64_t g = start[s]; g < end[s]; ++g) gradient[g * width + c] += double{above[s * width + c]} / (to - from);
    }
  }
  for (int64_t i = 0; i < n * width; ++i) looked_up[i] = table[id[i / width] * width + i % width];
  test.output("output", {samples, width}, output);
  test.output("gradient", {groups, width}, gradient);
  test.output("looked_up", {n, width}, looked_up);
  const std::string operands = std::string("ids=ids start=start end=end") + (grouped ? " offsets=offsets" : "");
  test.apply("embedding_bag", "table=table " + operands, "output=output");
  test.apply("embedding_bag_gradient", "output_gradient=above " + operands, "rows=gradient");
  test.apply("embedding_lookup", "table=table ids=ids", "output=looked_up");
  test.check(engines);
}

void check_range_max(const Engines& engines, int64_t width, int64_t samples) {
  Case test("range_max " + std::to_string(width) + " wide");
  const int64_t n = 41;
  Ints start, end;
  ranges(samples, n, &start, &end);
  const Floats& input = test.input("input", {n, width}, numbers(n * width, 3));
  test.input("start", {samples}, start);
  test.input("end", {samples}, end);
  const Floats& above = test.input("above", {samples, width}, numbers(samples * width));
  Doubles output = zeros(samples * width), index = output, gradient = zeros(n * width);
  for (int64_t i = 0; i < samples * width; ++i) {
    const int64_t s = i / width, c = i % width;
    int64_t best = start[s] < end[s] ? start[s] : -1;
    for (int64_t r = start[s]; r < end[s]; ++r) best = input[r * width + c] > input[best * width + c] ? r : best;
    index[i] = static_cast<double>(best);
    if (best < 0) continue;
    output[i] = input[best * width + c];
    gradient[best * width + c] += above[i];
  }
  test.output("output", {samples, width}, output);
  test.output("index", {samples, width}, index, Dtype::int32);
  test.output("gradient", {n, width}, gradient);
  test.apply("range_max", "input=input start=start end=end", "output=output index=index");
  test.apply("range_max_gradient", "output_gradient=above index=index input=input", "input_gradient=gradient");
  test.check(engines);
}

// Ranges that lie anywhere, and rising ones (which the gradient shares out).
void check_range_last(const Engines& engines, int64_t width, int64_t samples, bool rising) {
  Case test("range_last " + std::to_string(width) + " wide");
  const int64_t n = rising ? 3 * samples + 2 : 41;
  Ints start, end;
  if (!rising) ranges(samples, n, &start, &end);
  for (int32_t s = 0; rising && s < samples; ++s) {
    start.push_back(2 * s);
    end.push_back(3 * s + 1 + s % 2);
  }
  const Floats& input = test.input("input", {n, width}, numbers(n * width));
  test.input("start", {samples}, start);
  test.input("end", {samples}, end);
  const Floats& above = test.input("above", {samples, width}, numbers(samples * width));
  Doubles output = zeros(samples * width), gradient = zeros(n * width);
  for (int64_t i = 0; i < samples * width; ++i) {
    const int64_t s = i / width, c = i % width;
    if (start[s] == end[s]) continue;
    output[i] = input[(end[s] - 1) * width + c];
    gradient[(end[s] - 1) * width + c] += above[i];
  }
  test.output("output", {samples, width}, output);
  test.output("gradient", {n, width}, gradient);
  test.apply("range_last", "input=input start=start end=end", "output=output");
  test.apply("range_last_gradient", "output_gradient=above start=start end=end input=input", "input_gradient=gradient");
  test.check(engines);
}

// ---- losses ----------------------------------------------------------------------------------------------------------------

// Loss and gradients of one sample by its candidates' scores s (without the noise) and log(k·q).
using Loss = std::function<double(const Doubles& score, const Doubles& noise, const Ints& candidate, double* gradient)>;

double nce(const Doubles& score, const Doubles& noise, const Ints&, double* gradient) {
  double loss = 0;
  for (size_t j = 0; j < score.size(); ++j) {
    const double x = score[j] - noise[j];
    loss += softplus(j == 0 ? -x : x);
    gradient[j] = j == 0 ? -sigmoid(-x) : sigmoid(x);
  }
  return loss;
}

double paddle_nce(const Doubles& score, const Doubles& noise, const Ints&, double* gradient) {
  double loss = 0;
  for (size_t j = 0; j < score.size(); ++j) {
    const double o = sigmoid(score[j]), beta = std::exp(noise[j]);
    loss -= std::log((j == 0 ? o : beta) / (o + beta));
    gradient[j] = (j == 0 ? -beta : o) * (1 - o) / (o + beta);
  }
  return loss;
}

double sampled_softmax(const Doubles& score, const Doubles& noise, const Ints& candidate, double* gradient) {
  double sum = 0;
  for (size_t j = 0; j < score.size(); ++j) {
    gradient[j] = j > 0 && candidate[j] == candidate[0] ? 0 : std::exp(score[j] - noise[j]);
    sum += gradient[j];
  }
  for (size_t j = 0; j < score.size(); ++j) gradient[j] = gradient[j] / sum - (j == 0);
  return std::log(sum) - (score[0] - noise[0]);
}

void check_loss(const Engines& engines, const std::string& name, const Loss& loss, int64_t width, int64_t samples, int64_t draws, bool shared) {
  Case test(name + (shared ? ", shared draws " : ", own draws ") + std::to_string(width) + " wide, " + std::to_string(draws) + " draws");
  const int64_t items = 29, candidates = 1 + draws;
  const Floats& user = test.input("user", {samples, width}, numbers(samples * width));
  const Floats& weight = test.input("weight", {items, width}, numbers(items * width));
  const Floats& bias = test.input("bias", {items}, numbers(items));
  const Ints& target = test.input("target", {samples}, ids(samples, items));
  const Ints& drawn = test.input("negatives", shared ? Shape{draws} : Shape{samples, draws}, ids(shared ? draws : samples * draws, items));
  Floats noise = positive(items);
  for (float& x : noise) x = std::log(x / 20);
  test.input("noise", {items}, noise);
  const Floats& above = test.input("above", {samples}, numbers(samples));
  Doubles losses = zeros(samples), logit_gradient = zeros(samples * candidates), user_gradient = zeros(samples * width), target_scale = losses,
          scale = zeros(samples * draws), rows = zeros(draws * width), row_bias = zeros(draws);
  for (int64_t s = 0; s < samples; ++s) {
    Ints candidate = {target[s]};
    for (int64_t d = 0; d < draws; ++d) candidate.push_back(drawn[(shared ? 0 : s * draws) + d]);
    Doubles score, log_noise;
    for (const int32_t item : candidate) {
      score.push_back(bias[item]);
      for (int64_t c = 0; c < width; ++c) score.back() += double{user[s * width + c]} * weight[item * width + c];
      log_noise.push_back(std::log(static_cast<double>(draws)) + noise[item]);
    }
    losses[s] = loss(score, log_noise, candidate, &logit_gradient[s * candidates]);
    for (int64_t j = 0; j < candidates; ++j) {
      const double e = above[s] * logit_gradient[s * candidates + j];
      for (int64_t c = 0; c < width; ++c) {
        user_gradient[s * width + c] += e * weight[candidate[j] * width + c];
        if (j > 0) rows[(j - 1) * width + c] += e * user[s * width + c];
      }
      if (j > 0) row_bias[j - 1] += e;
      (j > 0 ? scale[s * draws + j - 1] : target_scale[s]) = e;
    }
  }
  test.output("loss", {samples}, losses);
  test.output("logit_gradient", {samples, candidates}, logit_gradient);
  test.output("user_gradient", {samples, width}, user_gradient);
  test.output("target_scale", {samples}, target_scale);
  if (shared) {
    test.output("rows", {draws, width}, rows);
    test.output("row_bias", {draws}, row_bias);
  } else {
    test.output("scale", {samples, draws}, scale);
  }
  test.apply(name, "user=user weight=weight bias=bias target=target negatives=negatives log_noise=noise", "loss=loss logit_gradient=logit_gradient");
  test.apply("candidate_gradient", "loss_gradient=above logit_gradient=logit_gradient user=user weight=weight target=target negatives=negatives",
             std::string("user_gradient=user_gradient target_scale=target_scale ") +
                 (shared ? "negative_rows=rows negative_bias=row_bias" : "negative_scale=scale"));
  test.check(engines);
}

void check_softmax(const Engines& engines, int64_t width, int64_t samples, int64_t items) {
  Case test("softmax " + std::to_string(items) + " items", 1e-4);
  const int64_t skipped = 2;
  const Floats& user = test.input("user", {samples, width}, numbers(samples * width));
  const Floats& weight = test.input("weight", {items, width}, numbers(items * width));
  const Floats& bias = test.input("bias", {items}, numbers(items));
  Ints targets = ids(samples, items - skipped);
  for (int32_t& id : targets) id += static_cast<int32_t>(skipped);
  const Ints& target = test.input("target", {samples}, targets);
  const Floats& above = test.input("above", {samples}, numbers(samples));
  Doubles loss = zeros(samples), partition = loss, user_gradient = zeros(samples * width), weight_gradient = zeros(items * width),
          bias_gradient = zeros(items);
  for (int64_t s = 0; s < samples; ++s) {
    Doubles score(bias.begin(), bias.end());
    double sum = 0;
    for (int64_t i = 0; i < items; ++i) {
      for (int64_t c = 0; c < width; ++c) score[i] += double{user[s * width + c]} * weight[i * width + c];
      if (i >= skipped) sum += std::exp(score[i]);
    }
    partition[s] = std::log(sum);
    loss[s] = partition[s] - score[target[s]];
    for (int64_t i = skipped; i < items; ++i) {
      const double e = above[s] * (std::exp(score[i]) / sum - (i == target[s]));
      bias_gradient[i] += e;
      for (int64_t c = 0; c < width; ++c) {
        user_gradient[s * width + c] += e * weight[i * width + c];
        weight_gradient[i * width + c] += e * user[s * width + c];
      }
    }
  }
  test.output("loss", {samples}, loss);
  test.output("partition", {samples}, partition);
  test.output("user_gradient", {samples, width}, user_gradient);
  test.output("weight_gradient", {items, width}, weight_gradient);
  test.output("bias_gradient", {items}, bias_gradient);
  test.apply("softmax", "user=user weight=weight bias=bias target=target", "loss=loss log_partition=partition", "skip_rows=2");
  test.apply("softmax_gradient", "loss_gradient=above log_partition=partition user=user weight=weight bias=bias target=target",
             "user_gradient=user_gradient weight_gradient=weight_gradient bias_gradient=bias_gradient", "skip_rows=2");
  test.check(engines);
}

// ---- optimizers ------------------------------------------------------------------------------------------------------------

const double kRate = 0.25, kEpsilon = 0.0625, kBeta1 = 0.5, kBeta2 = 0.75;  // float32 exactly
const int64_t kStep = 2;

// Updates θ and its state by g: row-wise AdaGrad apart, every rule is by element.
struct Rule {
  const char* name;
  std::vector<std::string> state;
  const char* attributes;
  void (*update)(double g, double* theta, double* const* state);
};

const Rule kRules[] = {
    {"sgd", {}, "", [](double g, double* theta, double* const*) { *theta -= kRate * g; }},
    {"adagrad", {"accumulator"}, " epsilon=0.0625 epsilon_inside=false",
     [](double g, double* theta, double* const* state) {
       *state[0] += g * g;
       *theta -= kRate * g / (std::sqrt(*state[0]) + kEpsilon);
     }},
    {"adam", {"first_moment", "second_moment"}, " beta1=0.5 beta2=0.75 epsilon=0.0625",
     [](double g, double* theta, double* const* state) {
       double &m = *state[0], &v = *state[1];
       m = kBeta1 * m + (1 - kBeta1) * g;
       v = kBeta2 * v + (1 - kBeta2) * g * g;
       *theta -= kRate * m / (1 - std::pow(kBeta1, kStep + 1)) / (std::sqrt(v / (1 - std::pow(kBeta2, kStep + 1))) + kEpsilon);
     }},
};

// A table whose gradient is three row terms: two ids a row; a scale an id; both offsets and scale. And the dense rule with
// the same gradient.
void check_optimizer(const Engines& engines, const Rule& rule, int64_t rows, int64_t width) {
  Case test(std::string(rule.name) + " " + std::to_string(width) + " wide");
  const int64_t m = 23, pairs = 2 * m;
  const Ints grouping = offsets(m, 4);
  const int64_t grouped = grouping.back(), total = pairs + m + grouped;
  const Ints& a_ids = test.input("a_ids", {m, 2}, ids(pairs, rows));
  const Ints& b_ids = test.input("b_ids", {m}, ids(m, rows));
  const Ints& c_ids = test.input("c_ids", {grouped}, ids(grouped, rows));
  const Floats& a_rows = test.input("a_rows", {m, width}, numbers(m * width));
  const Floats& b_rows = test.input("b_rows", {m, width}, numbers(m * width));
  const Floats& c_rows = test.input("c_rows", {m, width}, numbers(m * width));
  const Floats& b_scale = test.input("b_scale", {m}, numbers(m));
  const Floats& c_scale = test.input("c_scale", {grouped}, numbers(grouped));
  test.input("c_offsets", {m + 1}, grouping);
  test.input("rate", {}, Floats{static_cast<float>(kRate)});
  test.input("step", {}, Ints{static_cast<int32_t>(kStep)}, Dtype::uint32);

  Doubles gradient = zeros(rows * width);
  Ints all;
  const auto add = [&](int32_t id, const Floats& from, int64_t row, double scale) {
    all.push_back(id);
    for (int64_t c = 0; c < width; ++c) gradient[id * width + c] += scale * from[row * width + c];
  };
  for (int64_t j = 0; j < pairs; ++j) add(a_ids[j], a_rows, j / 2, 1);
  for (int64_t j = 0; j < m; ++j) add(b_ids[j], b_rows, j, b_scale[j]);
  for (int64_t r = 0; r < m; ++r) {
    for (int32_t j = grouping[r]; j < grouping[r + 1]; ++j) add(c_ids[j], c_rows, r, c_scale[j]);
  }
  Doubles order(all.size()), distinct = zeros(total), segments(all.size() + 1, static_cast<double>(total));
  for (size_t i = 0; i < all.size(); ++i) order[i] = static_cast<double>(i);
  std::stable_sort(order.begin(), order.end(), [&](double x, double y) { return all[static_cast<size_t>(x)] < all[static_cast<size_t>(y)]; });
  int64_t count = 0;
  const auto sorted_id = [&](int64_t j) { return all[static_cast<size_t>(order[j])]; };
  for (int64_t j = 0; j < total; ++j) {
    if (j > 0 && sorted_id(j) == sorted_id(j - 1)) continue;
    distinct[count] = sorted_id(j);
    segments[count++] = static_cast<double>(j);
  }
  test.output("order", {total}, order, Dtype::int32);
  test.output("rows", {total}, distinct, Dtype::int32);
  test.output("segments", {total + 1}, segments, Dtype::int32);
  test.output("count", {}, {static_cast<double>(count)}, Dtype::int32);
  test.apply("sort_rows", "ids=a_ids,b_ids,c_ids", "order=order rows=rows segments=segments count=count");

  const Floats& base = test.input("base", {rows, width}, numbers(rows * width));
  Doubles scattered = gradient;
  for (size_t i = 0; i < scattered.size(); ++i) scattered[i] += base[static_cast<int64_t>(i)];
  const std::string terms =
      " order=order rows=rows segments=segments count=count ids=a_ids,b_ids,c_ids term_rows=a_rows,b_rows,c_rows"
      " term_offsets=c_offsets, term_scale=b_scale,c_scale";
  test.output("scattered", {rows, width}, scattered);
  test.output("alone", {rows, width}, gradient);
  test.apply("scatter_add", "table=base base=base" + terms, "output=scattered", "terms=psb");
  test.apply("scatter_add", "table=base" + terms, "output=alone", "terms=psb");

  const Floats theta = numbers(rows * width);
  const std::vector<Floats> state(rule.state.size(), positive(rows * width));
  const Floats dense_gradient(gradient.begin(), gradient.end());
  test.input("gradient", {rows, width}, dense_gradient);
  for (const bool sparse : {true, false}) {
    const std::string suffix = sparse ? "_rows" : "_dense";
    Doubles after(theta.begin(), theta.end());
    std::vector<Doubles> state_after;
    for (const Floats& values : state) state_after.emplace_back(values.begin(), values.end());
    for (int64_t i = 0; i < rows * width; ++i) {
      if (sparse && std::find(all.begin(), all.end(), i / width) == all.end()) continue;
      double* element[2] = {};
      for (size_t k = 0; k < state_after.size(); ++k) element[k] = &state_after[k][i];
      rule.update(sparse ? gradient[i] : dense_gradient[i], &after[i], element);
    }
    std::string operands = "parameter=theta" + suffix;
    test.parameter("theta" + suffix, {rows, width}, theta, after);
    for (size_t k = 0; k < state.size(); ++k) {
      test.parameter(rule.state[k] + suffix, {rows, width}, state[k], state_after[k]);
      operands += " " + rule.state[k] + "=" + rule.state[k] + suffix;
    }
    const std::string rest = std::string(" learning_rate=rate") + (rule.state.size() == 2 ? " step=step" : "");
    test.apply(rule.name + std::string(sparse ? "_rows" : ""), operands + rest + (sparse ? terms : " gradient=gradient"), operands,
               (sparse ? "terms=psb" : "") + std::string(rule.attributes));
  }

  Doubles by_row(theta.begin(), theta.end());
  const Floats squares = positive(rows);
  Doubles squares_after(squares.begin(), squares.end());
  for (int64_t row = 0; row < rows; ++row) {
    if (std::find(all.begin(), all.end(), row) == all.end()) continue;
    double sum = 0;
    for (int64_t c = 0; c < width; ++c) sum += gradient[row * width + c] * gradient[row * width + c];
    squares_after[row] += sum / static_cast<double>(width);
    for (int64_t c = 0; c < width; ++c) by_row[row * width + c] -= kRate * gradient[row * width + c] / (std::sqrt(squares_after[row]) + kEpsilon);
  }
  test.parameter("theta_by_row", {rows, width}, theta, by_row);
  test.parameter("squares", {rows}, squares, squares_after);
  test.apply("rowwise_adagrad_rows", "parameter=theta_by_row accumulator=squares learning_rate=rate" + terms, "parameter=theta_by_row accumulator=squares",
             "terms=psb epsilon=0.0625");
  test.check(engines);
}

// The first `count` of the listed rows, each by the steps since it was decayed last.
void check_decay(const Engines& engines, int64_t rows, int64_t count, int64_t width, bool inside) {
  Case test("decay_rows " + std::to_string(width) + " wide");
  const double l2 = 0.125;
  const int32_t now = 9;
  Ints listed, last_step;
  for (int64_t r = 0; r < rows; ++r) {
    listed.push_back(static_cast<int32_t>(rows - 1 - r));
    last_step.push_back(static_cast<int32_t>(below(now + 1)));
  }
  const Floats before = numbers(rows * width), accumulator = positive(rows * width);
  Doubles after(before.begin(), before.end()), steps(last_step.begin(), last_step.end());
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = listed[i];
    for (int64_t c = 0; c < width; ++c) {
      const double a = accumulator[row * width + c], d = inside ? std::sqrt(a + kEpsilon) : std::sqrt(a) + kEpsilon;
      after[row * width + c] *= std::pow(std::max(0.0, 1 - kRate * l2 / d), now - last_step[row]);
    }
    steps[row] = now;
  }
  test.input("rows", {rows}, listed);
  test.input("count", {}, Ints{static_cast<int32_t>(count)});
  test.input("rate", {}, Floats{static_cast<float>(kRate)});
  test.input("step", {}, Ints{now}, Dtype::uint32);
  test.input("accumulator", {rows, width}, accumulator);
  test.parameter("theta", {rows, width}, before, after);
  test.parameter("last_step", {rows}, last_step, steps);
  test.apply("decay_rows", "parameter=theta accumulator=accumulator last_step=last_step rows=rows count=count learning_rate=rate step=step",
             "parameter=theta last_step=last_step", std::string("l2=0.125 epsilon=0.0625 epsilon_inside=") + (inside ? "true" : "false"));
  test.check(engines);
}

// ---- retrieval ---------------------------------------------------------------------------------------------------------------

// Scores are sums of few multiples of 1/16, so equal ones are equal in float32 too.
void check_retrieval(const Engines& engines, int64_t width, int64_t samples, int64_t items, int64_t top) {
  Case test("top_n " + std::to_string(items) + " items", 1e-4);
  const int64_t skipped = 1;
  const Floats& user = test.input("user", {samples, width}, numbers(samples * width, 4));
  const Floats& weight = test.input("weight", {items, width}, numbers(items * width, 4));
  const Ints excluded_offsets = test.input("excluded_offsets", {samples + 1}, offsets(samples, 5));
  const Ints& excluded = test.input("excluded", {excluded_offsets.back()}, ids(excluded_offsets.back(), items));
  const Ints& target = test.input("target", {samples}, ids(samples, items));
  Doubles best(static_cast<size_t>(samples * top), -1), best_score(best.size(), -std::numeric_limits<double>::infinity()), partition = zeros(samples),
      rank = partition;
  for (int64_t s = 0; s < samples; ++s) {
    Doubles score = zeros(items);
    double sum = 0;
    for (int64_t i = 0; i < items; ++i) {
      for (int64_t c = 0; c < width; ++c) score[i] += double{user[s * width + c]} * weight[i * width + c];
      if (i >= skipped) sum += std::exp(score[i]);
    }
    partition[s] = std::log(sum);
    const auto begin = excluded.begin() + excluded_offsets[s], end = excluded.begin() + excluded_offsets[s + 1];
    Ints left;
    rank[s] = target[s] < skipped ? std::numeric_limits<double>::infinity() : 1;
    for (int32_t i = static_cast<int32_t>(skipped); i < items; ++i) {
      if (std::find(begin, end, i) != end) continue;
      left.push_back(i);
      if (i != target[s]) rank[s] += score[i] > score[target[s]] ? 1 : score[i] == score[target[s]] ? 0.5 : 0;
    }
    std::stable_sort(left.begin(), left.end(), [&](int32_t a, int32_t b) { return score[a] > score[b]; });
    for (int64_t i = 0; i < top && i < static_cast<int64_t>(left.size()); ++i) {
      best[s * top + i] = left[i];
      best_score[s * top + i] = score[left[i]];
    }
  }
  test.output("items", {samples, top}, best, Dtype::int32);
  test.output("score", {samples, top}, best_score);
  test.output("partition", {samples}, partition);
  test.output("rank", {samples}, rank);
  const std::string operands = "user=user weight=weight excluded=excluded excluded_offsets=excluded_offsets";
  test.apply("top_n", operands, "items=items score=score log_partition=partition", "skip_rows=1");
  test.apply("target_rank", operands + " target=target", "rank=rank", "skip_rows=1");
  test.check(engines);
}

// Weights that are NaN or infinite: such a target is a miss, NaN of another item counts as higher.
void check_rank_of_broken_scores(const Engines& engines, int64_t samples, int64_t items) {
  Case test("target_rank of scores that are not finite", 0);
  const double infinity = std::numeric_limits<double>::infinity();
  Floats weight = numbers(items, 4);
  for (int64_t i = 0; i < items; i += 3) weight[i] = i % 2 == 0 ? NAN : i % 9 == 0 ? INFINITY : -INFINITY;
  test.input("user", {samples, 1}, Floats(static_cast<size_t>(samples), 1));
  test.input("weight", {items, 1}, weight);
  const Ints excluded_offsets = test.input("excluded_offsets", {samples + 1}, offsets(samples, 5));
  const Ints& excluded = test.input("excluded", {excluded_offsets.back()}, ids(excluded_offsets.back(), items));
  const Ints& target = test.input("target", {samples}, ids(samples, items));
  Doubles rank(static_cast<size_t>(samples), infinity);
  for (int64_t s = 0; s < samples; ++s) {
    const double own = weight[target[s]];
    if (!std::isfinite(own)) continue;
    rank[s] = 1;
    const auto begin = excluded.begin() + excluded_offsets[s], end = excluded.begin() + excluded_offsets[s + 1];
    for (int32_t i = 0; i < items; ++i) {
      if (i == target[s] || std::find(begin, end, i) != end) continue;
      rank[s] += std::isnan(weight[i]) || weight[i] > own ? 1 : weight[i] == own ? 0.5 : 0;
    }
  }
  test.output("rank", {samples}, rank);
  test.apply("target_rank", "user=user weight=weight excluded=excluded excluded_offsets=excluded_offsets target=target", "rank=rank", "skip_rows=0");
  test.check(engines);
}

// ---- the rest ------------------------------------------------------------------------------------------------------------------

void check_small_ops(const Engines& engines, int64_t n) {
  Case test("small ops of " + std::to_string(n));
  const Floats& x = test.input("x", {n}, numbers(n));
  const Floats& y = test.input("y", {n}, numbers(n));
  const Floats& above = test.input("above", {}, numbers(1));
  Doubles added = zeros(n), decayed = added;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    added[i] = double{x[i]} + y[i];
    decayed[i] = x[i] + 0.5 * y[i];
    sum += x[i];
  }
  test.output("added", {n}, added);
  test.output("decayed", {n}, decayed);
  test.output("filled", {}, {0.5});
  test.output("sum", {}, {sum});
  test.output("mean", {}, {n > 0 ? sum / n : 0});
  test.output("sum_gradient", {n}, Doubles(static_cast<size_t>(n), above[0]));
  test.output("mean_gradient", {n}, Doubles(static_cast<size_t>(n), double{above[0]} / n));
  test.apply("add", "left=x right=y", "output=added");
  test.apply("l2_decay", "gradient=x parameter=y", "output=decayed", "l2=0.5");
  test.apply("fill", "", "output=filled", "value=0.5");
  test.apply("sum", "input=x", "output=sum");
  test.apply("mean", "input=x", "output=mean");
  test.apply("sum_gradient", "output_gradient=above input=x", "input_gradient=sum_gradient");
  test.apply("mean_gradient", "output_gradient=above input=x", "input_gradient=mean_gradient");
  test.check(engines);
}

void check_clip(const Engines& engines, int64_t rows, int64_t columns, double limit) {
  Case test("clip_gradients " + std::to_string(rows));
  const Floats& x = test.input("x", {rows, columns}, numbers(rows * columns));
  const Floats& y = test.input("y", {7}, numbers(7));
  double squares = 0;
  for (const float value : x) squares += double{value} * value;
  for (const float value : y) squares += double{value} * value;
  const double scale = std::min(1.0, limit / std::sqrt(squares));
  Doubles of_x(x.begin(), x.end()), of_y(y.begin(), y.end());
  for (double& value : of_x) value *= scale;
  for (double& value : of_y) value *= scale;
  test.output("of_x", {rows, columns}, of_x);
  test.output("of_y", {7}, of_y);
  test.apply("clip_gradients", "gradient=x,y", "output=of_x,of_y", "limit=" + std::to_string(limit));
  test.check(engines);
}

void check_dropouts(const Engines& engines, int64_t rows, int64_t columns) {
  Case test("dropout " + std::to_string(columns) + " wide");
  const uint32_t seed = 54321, step = 9, site = 4;
  const Floats& x = test.input("x", {rows, columns}, numbers(rows * columns));
  const Ints& id = test.input("id", {rows}, ids(rows, 17));
  test.input("seed", {}, Ints{static_cast<int32_t>(seed)}, Dtype::uint32);
  test.input("step", {}, Ints{static_cast<int32_t>(step)}, Dtype::uint32);
  const auto keeps = [&](int64_t block, int64_t row, int64_t word) {
    const uint32_t counter[4] = {static_cast<uint32_t>(block), static_cast<uint32_t>(row), step, site};
    uint32_t words[4];
    philox(counter, seed, 5, words);
    return words[word] >= 1u << 30;
  };
  const int64_t blocks = (columns + 3) / 4;
  Doubles dropped, ids_left, numbered;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      dropped.push_back(keeps(c % blocks, r, c / blocks) ? x[r * columns + c] / 0.75 : 0);
    }
    ids_left.push_back(keeps(r / 4, 0, r % 4) ? id[r] : 0);
    numbered.push_back(static_cast<double>(3 + r));
  }
  test.output("dropped", {rows, columns}, dropped);
  test.output("ids_left", {rows}, ids_left, Dtype::int32);
  test.output("numbered", {rows}, numbered, Dtype::int32);
  test.apply("dropout", "input=x seed=seed step=step", "output=dropped", "rate=0.25 site=4");
  test.apply("drop_ids", "ids=id seed=seed step=step", "output=ids_left", "rate=0.25 site=4 limit=17");
  test.apply("row_numbers", "like=id", "output=numbered", "first=3");
  test.check(engines);
}

void check_draws(const Engines& engines, int64_t samples, int64_t draws) {
  Case test("draw_negatives");
  const uint32_t items = 11, seed = 12345, step = 6;
  Ints thresholds(items);
  for (int32_t& threshold : thresholds) threshold = static_cast<int32_t>(random_word() * 2);
  const Ints& threshold = test.input("threshold", {items}, thresholds, Dtype::uint32);
  const Ints& alias = test.input("alias", {items}, ids(items, items));
  test.input("target", {samples}, ids(samples, items));
  test.input("seed", {}, Ints{static_cast<int32_t>(seed)}, Dtype::uint32);
  test.input("step", {}, Ints{static_cast<int32_t>(step)}, Dtype::uint32);
  Doubles drawn;
  for (uint32_t s = 0; s < samples; ++s) {
    for (uint32_t d = 0; d < draws; ++d) {
      const uint32_t counter[4] = {d / 2, s, step, 0};
      uint32_t words[4];
      philox(counter, seed, 1, words);
      const uint32_t column = static_cast<uint32_t>(uint64_t{words[2 * (d % 2)]} * items >> 32);
      drawn.push_back(words[2 * (d % 2) + 1] < static_cast<uint32_t>(threshold[column]) ? static_cast<int32_t>(column) : alias[column]);
    }
  }
  test.output("negatives", {samples, draws}, drawn, Dtype::int32);
  test.apply("draw_negatives", "threshold=threshold alias=alias target=target seed=seed step=step", "negatives=negatives",
             "draws=" + std::to_string(draws) + " shared=false");
  test.check(engines);
}

void check_isa(const std::string& isa) {
  Engines engines;
  for (const int threads : {1, 2, 3, 7}) engines.push_back(std::make_shared<Engine>(threads, isa));
  for (const auto& [rows, a, b, out] : {std::tuple(0, 2, 3, 4), std::tuple(1, 1, 1, 1), std::tuple(5, 3, 4, 15), std::tuple(33, 17, 16, 49),
                                        std::tuple(61, 64, 1, 31), std::tuple(130, 300, 7, 33), std::tuple(700, 5, 6, 3)}) {
    for (const bool grouped : {false, true}) {
      for (const bool bf16 : {false, true}) check_linear(engines, bf16, grouped, rows, a, b, out);
    }
  }
  for (const auto& [h, runs] : {std::pair(1, 1), std::pair(3, 5), std::pair(16, 30), std::pair(37, 60), std::pair(64, 26), std::pair(7, 130), std::pair(5, 0)}) {
    for (const bool peepholes : {false, true}) {
      for (const bool isolated : {false, true}) {
        for (const bool bf16 : {false, true}) check_lstm(engines, bf16, h, runs, peepholes, isolated);
      }
    }
  }
  for (const int width : {1, 3, 16, 33, 64, 100}) {
    for (const bool grouped : {false, true}) check_embedding_bag(engines, width, 150, grouped);
    check_range_max(engines, width, 90);
    for (const bool rising : {false, true}) check_range_last(engines, width, 150, rising);
    check_dropouts(engines, 70, width);
    for (const Rule& rule : kRules) check_optimizer(engines, rule, 31, width);
    for (const bool inside : {false, true}) check_decay(engines, 90, inside ? 90 : 77, width, inside);
    for (const bool shared : {false, true}) {
      for (const auto& [samples, draws] : {std::pair(2, 1), std::pair(19, 5), std::pair(50, 37)}) {
        check_loss(engines, "nce", nce, width, samples, draws, shared);
        check_loss(engines, "paddle_nce", paddle_nce, width, samples, draws, shared);
        check_loss(engines, "sampled_softmax", sampled_softmax, width, samples, draws, shared);
      }
    }
  }
  for (const auto& [width, samples, items] : {std::tuple(1, 1, 3), std::tuple(7, 5, 83), std::tuple(33, 70, 200)}) {
    check_softmax(engines, width, samples, items);
    for (const int top : {1, 10, 100}) check_retrieval(engines, width, samples, items, top);
  }
  for (const int samples : {1, 2, 3, 4}) {  // few samples are scored in another way
    for (const int width : {1, 16, 31, 300}) check_retrieval(engines, width, samples, 90, 10);
    for (const int samples : {1, 4, 70}) check_rank_of_broken_scores(engines, samples, 200);
  }
  for (const int n : {1, 2, 15, 16, 17, 5000}) check_small_ops(engines, n);
  for (const double limit : {0.5, 1000.0}) check_clip(engines, 300, 65, limit);
  check_draws(engines, 40, 5);
  check_draws(engines, 3, 1);
}

}  // namespace

int main() {
  for (const Isa& isa : usable_isas()) check_isa(isa.name);
  return failures() > 0;
}

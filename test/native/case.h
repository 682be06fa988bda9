#pragma once

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "test/native/check.h"

// A Program of a few instructions, with what goes in and what must come out: the judges of test/native/kernels.cc.

namespace shortlist {

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;
using Doubles = std::vector<double>;
using Shape = std::vector<int64_t>;

class Case {
 public:
  explicit Case(std::string name, double tolerance = 2e-5) : name_(std::move(name)), tolerance_(tolerance) {}

  const Floats& input(const std::string& name, const Shape& shape, Floats values) {
    define(name, "input", Dtype::float32, shape);
    inputs_.push_back(name);
    return floats_[name] = std::move(values);
  }
  const Ints& input(const std::string& name, const Shape& shape, Ints values, Dtype dtype = Dtype::int32) {
    define(name, "input", dtype, shape);
    inputs_.push_back(name);
    return ints_[name] = std::move(values);
  }
  // What the program updates in place.
  void parameter(const std::string& name, const Shape& shape, Floats before, Doubles after) {
    define(name, "parameter", Dtype::float32, shape);
    parameters_.push_back(name);
    floats_[name] = std::move(before);
    expected_[name] = std::move(after);
  }
  void parameter(const std::string& name, const Shape& shape, Ints before, Doubles after) {
    define(name, "parameter", Dtype::uint32, shape);
    parameters_.push_back(name);
    ints_[name] = std::move(before);
    expected_[name] = std::move(after);
  }
  void output(const std::string& name, const Shape& shape, Doubles expected, Dtype dtype = Dtype::float32) {
    define(name, "output", dtype, shape);
    expected_[name] = std::move(expected);
  }

  // Operands as "input=x,y weight=w": a list slot has a comma, at the end for a list of one. Attributes likewise.
  void apply(const std::string& op, const std::string& inputs, const std::string& outputs, const std::string& attributes = "") {
    instructions_ += (instructions_.empty() ? "" : ",\n") + ("{\"op\":\"" + op) + "\",\"inputs\":{" + json(inputs) + "},\"outputs\":{" + json(outputs) +
                     "},\"attributes\":{" + json(attributes) + "}}";
  }

  // Runs on each engine: the first one's results must be near what is expected, the others' the same bits.
  void check(const std::vector<std::shared_ptr<Engine>>& engines) const {
    const std::string where = name_ + " on " + engines[0]->isa();
    Results first;
    for (const std::shared_ptr<Engine>& engine : engines) {
      Results results;
      const std::string error = error_of(Status::input, [&] { results = run(engine); });
      if (error != "no error") return report(__FILE__, __LINE__, where + ": " + error);
      if (first.empty()) first = results;
      for (const auto& [tensor, words] : results) {
        if (words == first[tensor]) continue;
        report(__FILE__, __LINE__, where + ": " + tensor + " has other bits with " + std::to_string(engine->thread_count()) + " threads");
      }
    }
    for (const auto& [tensor, words] : first) judge(where, tensor, words, expected_.at(tensor));
  }

 private:
  struct Spec {
    Dtype dtype;
    Shape shape;
    int64_t elements;
  };
  using Results = std::map<std::string, std::vector<uint32_t>>;  // the bits of each output and parameter

  void define(const std::string& name, const std::string& role, Dtype dtype, const Shape& shape) {
    static const char* const kDtypes[] = {"float32", "int32", "uint32"};
    std::string dims;
    int64_t elements = 1;
    for (const int64_t size : shape) {
      dims += (dims.empty() ? "" : ",") + std::to_string(size);
      elements *= size;
    }
    specs_[name] = {dtype, shape, elements};
    tensors_ += (tensors_.empty() ? "" : ",\n") + ("{\"name\":\"" + name) + "\",\"dtype\":\"" + kDtypes[static_cast<int>(dtype)] + "\",\"shape\":[" +
                dims + "],\"role\":\"" + role + "\"}";
  }

  static std::string value(const std::string& text) {
    const bool bare = text == "true" || text == "false" || text.find_first_not_of("0123456789.e-") == std::string::npos;
    return bare ? text : "\"" + text + "\"";
  }

  // "a=x b=y,z c=1" as the members of an object.
  static std::string json(const std::string& pairs) {
    std::istringstream words(pairs);
    std::string members;
    for (std::string word; words >> word;) {
      const size_t equals = word.find('=');
      const std::string right = word.substr(equals + 1);
      members += (members.empty() ? "\"" : ",\"") + word.substr(0, equals) + "\":";
      if (right.find(',') == std::string::npos) {
        members += value(right);
        continue;
      }
      std::istringstream parts(right);
      std::string list;
      for (std::string part; std::getline(parts, part, ',');) list += (list.empty() ? "" : ",") + value(part);
      members += "[" + list + "]";
    }
    return members;
  }

  Results run(const std::shared_ptr<Engine>& engine) const {
    auto store = std::make_shared<Store>();
    for (const std::string& name : parameters_) {
      const Spec& spec = specs_.at(name);
      store->define(name, spec.dtype, spec.shape);
      const void* const before = spec.dtype == Dtype::float32 ? static_cast<const void*>(floats_.at(name).data()) : ints_.at(name).data();
      store->write(name, spec.dtype, before, 0, spec.elements);
    }
    Executor executor(parse_program("{\"format\":\"shortlist-program\",\"version\":1,\"dims\":[],\"tensors\":[" + tensors_ + "],\"instructions\":[" +
                                    instructions_ + "]}"),
                      store, engine, false);
    std::vector<InputArray> arrays;
    for (const std::string& name : inputs_) {
      const bool is_float = floats_.count(name) > 0;
      const int64_t given = static_cast<int64_t>(is_float ? floats_.at(name).size() : ints_.at(name).size());
      arrays.push_back({is_float ? static_cast<const void*>(floats_.at(name).data()) : ints_.at(name).data(), given, specs_.at(name).dtype, true});
    }
    executor.execute(*executor.prepare({}, arrays));
    Results results;
    for (const int output : executor.outputs()) {
      const std::string& name = executor.program().tensors[output].name;
      results[name].resize(static_cast<size_t>(specs_.at(name).elements));
      executor.copy_output(output, results[name].data());
    }
    for (const std::string& name : parameters_) {
      results[name].resize(static_cast<size_t>(specs_.at(name).elements));
      store->read(name, results[name].data(), 0, specs_.at(name).elements);
    }
    return results;
  }

  void judge(const std::string& where, const std::string& tensor, const std::vector<uint32_t>& words, const Doubles& expected) const {
    CHECK(words.size() == expected.size());
    for (size_t i = 0; i < words.size() && i < expected.size(); ++i) {
      float number;
      std::memcpy(&number, &words[i], sizeof number);
      const bool is_float = specs_.at(tensor).dtype == Dtype::float32;
      const double received = is_float ? number : static_cast<int32_t>(words[i]);
      if (received == expected[i] || (is_float && std::abs(received - expected[i]) <= tolerance_ * (1 + std::abs(expected[i])))) continue;
      return report(__FILE__, __LINE__, where + ": expected " + std::to_string(expected[i]) + " in " + tensor + " at " + std::to_string(i) +
                                            " but received " + std::to_string(received));
    }
  }

  std::string name_, tensors_, instructions_;
  double tolerance_;
  std::vector<std::string> inputs_, parameters_;
  std::map<std::string, Spec> specs_;
  std::map<std::string, Floats> floats_;
  std::map<std::string, Ints> ints_;
  std::map<std::string, Doubles> expected_;
};

}  // namespace shortlist

#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "native/core/json.h"
#include "test/fuzz/random.h"

// A Program that can be changed as an attacker would: it keeps its structure, with other contents.

namespace shortlist {

inline std::string quoted_json(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return quoted + "\"";
}

template <class List, class Format>
std::string joined(const List& list, const Format& format) {
  std::string text;
  for (const auto& member : list) text += (text.empty() ? "" : ",") + format(member);
  return text;
}

struct MutableTensor {
  std::string name, dtype, role;
  std::vector<std::string> shape;  // each size as JSON text: 7, "samples+1"
};

struct MutableOperand {
  std::string slot;
  bool list;
  std::vector<std::string> tensors;
};

struct MutableInstruction {
  std::string op;
  std::vector<MutableOperand> inputs, outputs;
  std::vector<std::pair<std::string, std::string>> attributes;  // name, and value as JSON text
};

class MutableProgram {
 public:
  std::vector<std::string> dims;
  std::vector<MutableTensor> tensors;
  std::vector<MutableInstruction> instructions;
  std::map<std::string, int64_t> sizes;               // the size of each dim
  std::map<std::string, std::vector<double>> values;  // the numbers of integer tensors that are given or stored

  static MutableProgram parse(const Json& json) {
    MutableProgram program;
    for (const Json& dim : json.find("dims")->items()) program.dims.push_back(dim.string());
    for (const Json& tensor : json.find("tensors")->items()) {
      MutableTensor copy{
          tensor.find("name")->string(), tensor.find("dtype")->string(), tensor.find("role")->string(), {}};
      for (const Json& axis : tensor.find("shape")->items()) copy.shape.push_back(axis.format());
      program.tensors.push_back(std::move(copy));
    }
    for (const Json& instruction : json.find("instructions")->items()) {
      MutableInstruction copy{instruction.find("op")->string(),
                              operands(*instruction.find("inputs")),
                              operands(*instruction.find("outputs")),
                              {}};
      for (const Json::Member& member : instruction.find("attributes")->members())
        copy.attributes.emplace_back(member.first, member.second.format());
      program.instructions.push_back(std::move(copy));
    }
    return program;
  }

  std::string format() const {
    const auto strings = [](const std::vector<std::string>& list) { return joined(list, quoted_json); };
    const auto verbatim = [](const std::string& json) { return json; };
    const auto operand = [&](const MutableOperand& of) {
      const std::string names = strings(of.tensors);
      return quoted_json(of.slot) + ":" + (of.list || of.tensors.size() != 1 ? "[" + names + "]" : names);
    };
    const auto attribute = [](const std::pair<std::string, std::string>& of) {
      return quoted_json(of.first) + ":" + of.second;
    };
    const auto tensor = [&](const MutableTensor& of) {
      return "{\"name\":" + quoted_json(of.name) + ",\"dtype\":" + quoted_json(of.dtype) + ",\"shape\":[" +
             joined(of.shape, verbatim) + "],\"role\":" + quoted_json(of.role) + "}";
    };
    const auto instruction = [&](const MutableInstruction& of) {
      return "{\"op\":" + quoted_json(of.op) + ",\"inputs\":{" + joined(of.inputs, operand) + "},\"outputs\":{" +
             joined(of.outputs, operand) + "},\"attributes\":{" + joined(of.attributes, attribute) + "}}";
    };
    return "{\"format\":\"shortlist-program\",\"version\":2,\"dims\":[" + strings(dims) + "],\"tensors\":[" +
           joined(tensors, tensor) + "],\"instructions\":[" + joined(instructions, instruction) + "]}";
  }

  void mutate(Random& random) {
    switch (random.below(12)) {
      case 0: return change_dtype(random);
      case 1: return change_role(random);
      case 2: return change_shape(random);
      case 3: return resize(random);
      case 4: return change_operand(random);
      case 5: return change_operand_list(random);
      case 6: return change_attribute(random);
      case 7: return change_instruction(random);
      case 8: return compute_integers(random);
      default: return change_values(random);
    }
  }

  // Changes integers of a tensor: to indices of rows that do not exist, falling offsets, or an invalid order.
  void change_values(Random& random) {
    if (values.empty()) return;
    auto entry = values.begin();
    std::advance(entry, static_cast<int64_t>(random.below(values.size())));
    std::vector<double>& numbers = entry->second;
    if (numbers.empty()) return;
    const auto number = [&]() -> double {
      switch (random.below(6)) {
        case 0: return -1;
        case 1: return random.one_in(2) ? 2147483647 : -2147483648.0;
        case 2: return static_cast<double>(random.below(70));
        case 3: return numbers[random.below(numbers.size())];
        default: return some_size(random);
      }
    };
    switch (random.below(4)) {
      case 0: std::fill(numbers.begin(), numbers.end(), number()); break;
      case 1: std::sort(numbers.begin(), numbers.end()); break;
      case 2: std::swap(numbers[random.below(numbers.size())], numbers[random.below(numbers.size())]); break;
      default: numbers[random.one_in(3) ? numbers.size() - 1 : random.below(numbers.size())] = number();
    }
  }

 private:
  static std::vector<MutableOperand> operands(const Json& json) {
    std::vector<MutableOperand> list;
    for (const Json::Member& member : json.members()) {
      MutableOperand operand{member.first, member.second.is_array(), {}};
      if (operand.list) {
        for (const Json& name : member.second.items()) operand.tensors.push_back(name.string());
      } else {
        operand.tensors.push_back(member.second.string());
      }
      list.push_back(std::move(operand));
    }
    return list;
  }

  static bool is_number(const std::string& axis) {
    return !axis.empty() && axis.find_first_not_of("0123456789") == std::string::npos;
  }

  MutableTensor& some_tensor(Random& random) { return tensors[random.below(tensors.size())]; }

  // The size of an axis of some tensor, or a number near it, or a size at which kernels change their strategy.
  double some_size(Random& random) {
    static const std::vector<double> kSizes = {0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100};
    const MutableTensor& tensor = some_tensor(random);
    if (random.one_in(3) || tensor.shape.empty() || !is_number(random.pick(tensor.shape))) return random.pick(kSizes);
    const std::string& axis = tensor.shape[random.below(tensor.shape.size())];
    if (!is_number(axis)) return random.pick(kSizes);
    return std::max(0.0, std::stod(axis) + static_cast<double>(random.below(3)) - 1);
  }

  std::string some_axis(Random& random) {
    if (random.one_in(40)) return random.one_in(2) ? "1073741824" : "9007199254740991";
    if (!dims.empty() && random.one_in(3)) return quoted_json(random.pick(dims) + (random.one_in(3) ? "+1" : ""));
    return std::to_string(static_cast<int64_t>(some_size(random)));
  }

  void change_dtype(Random& random) {
    some_tensor(random).dtype = random.pick(std::vector<std::string>{"float32", "int32", "uint32"});
  }

  void change_role(Random& random) {
    MutableTensor& tensor = some_tensor(random);
    const std::vector<std::string> given = {"parameter", "constant", "optimizer_state", "input"},
                                   made = {"temporary", "output"};
    const bool is_made = tensor.role == "temporary" || tensor.role == "output";
    tensor.role = random.pick(is_made == random.one_in(10) ? given : made);
  }

  void change_shape(Random& random) {
    std::vector<std::string>& shape = some_tensor(random).shape;
    switch (random.below(5)) {
      case 0:
        if (!shape.empty()) shape.erase(shape.begin() + static_cast<int64_t>(random.below(shape.size())));
        break;
      case 1: shape.push_back(random.one_in(2) ? "0" : some_axis(random)); break;
      case 2: std::reverse(shape.begin(), shape.end()); break;
      default:
        if (!shape.empty()) shape[random.below(shape.size())] = some_axis(random);
    }
  }

  // Replaces a size by another one in all axes that have it, so that the Program often stays valid.
  void resize(Random& random) {
    const int64_t to = static_cast<int64_t>(some_size(random));
    if (!dims.empty() && random.one_in(2)) {
      sizes[random.pick(dims)] = to;
      return;
    }
    const MutableTensor& tensor = some_tensor(random);
    if (tensor.shape.empty()) return;
    const std::string from = random.pick(tensor.shape);
    for (MutableTensor& other : tensors) std::replace(other.shape.begin(), other.shape.end(), from, std::to_string(to));
  }

  std::vector<MutableOperand>& some_operands(Random& random) {
    MutableInstruction& instruction = instructions[random.below(instructions.size())];
    return random.one_in(4) ? instruction.outputs : instruction.inputs;
  }

  void change_operand(Random& random) {
    std::vector<MutableOperand>& operands = some_operands(random);
    if (operands.empty()) return;
    MutableOperand& operand = operands[random.below(operands.size())];
    switch (random.below(5)) {
      case 0: std::swap(operand.tensors, operands[random.below(operands.size())].tensors); break;
      case 1: operands.erase(operands.begin() + (&operand - operands.data())); break;
      case 2: operand.slot = operands[random.below(operands.size())].slot; break;
      default:
        if (!operand.tensors.empty())
          operand.tensors[random.below(operand.tensors.size())] = same_kind(random, operand.tensors[0]);
    }
  }

  // A tensor, often one with the dtype and rank of another one.
  std::string same_kind(Random& random, const std::string& like) {
    const auto found =
        std::find_if(tensors.begin(), tensors.end(), [&](const MutableTensor& tensor) { return tensor.name == like; });
    for (int attempt = 0; attempt < 20 && found != tensors.end(); ++attempt) {
      const MutableTensor& tensor = some_tensor(random);
      if (tensor.dtype == found->dtype && tensor.shape.size() == found->shape.size()) return tensor.name;
    }
    return some_tensor(random).name;
  }

  void change_operand_list(Random& random) {
    std::vector<MutableOperand>& operands = some_operands(random);
    if (operands.empty()) return;
    MutableOperand& operand = operands[random.below(operands.size())];
    switch (random.below(4)) {
      case 0: operand.list = !operand.list; break;
      case 1:
        if (!operand.tensors.empty()) operand.tensors.pop_back();
        break;
      case 2: std::reverse(operand.tensors.begin(), operand.tensors.end()); break;
      default:
        operand.tensors.push_back(operand.tensors.empty() || random.one_in(2) ? some_tensor(random).name
                                                                              : operand.tensors[0]);
    }
  }

  void change_attribute(Random& random) {
    std::vector<std::pair<std::string, std::string>>& attributes =
        instructions[random.below(instructions.size())].attributes;
    if (attributes.empty()) return;
    std::string& value = attributes[random.below(attributes.size())].second;
    static const std::vector<std::string> kNumbers = {
        "-1",         "0",          "0.5",        "1",     "2",      "3",      "0.9999999999",
        "2147483647", "2147483648", "4294967295", "1e300", "-1e300", "1e-300", "9007199254740992"};
    static const std::vector<std::string> kOthers = {"true", "false", "\"\"", "\"p\"", "\"bf16\"", "\"x\"", "null"};
    if (value[0] == '"' && random.one_in(2)) {  // letters of `terms` and `order`, names of activations
      const std::string letters = "posbxg";
      const size_t at = 1 + random.below(value.size() - 1);
      if (random.one_in(2) && at + 1 < value.size()) value.erase(at, 1);
      else value.insert(at, 1, letters[random.below(letters.size())]);
    } else if (random.one_in(4)) {
      value = random.pick(kOthers);
    } else {
      value = random.one_in(3) ? std::to_string(static_cast<int64_t>(some_size(random))) : random.pick(kNumbers);
    }
  }

  void change_instruction(Random& random) {
    const size_t at = random.below(instructions.size()), other = random.below(instructions.size());
    switch (random.below(4)) {
      case 0: std::swap(instructions[at], instructions[other]); break;
      case 1:
        if (instructions.size() > 1) instructions.erase(instructions.begin() + static_cast<int64_t>(at));
        break;
      case 2:
        instructions.insert(instructions.begin() + static_cast<int64_t>(other), MutableInstruction(instructions[at]));
        break;
      default: instructions[at].op = instructions[other].op;
    }
  }

  // Inserts an op before an instruction that computes one of its integer operands.
  void compute_integers(Random& random) {
    const size_t at = random.below(instructions.size());
    std::vector<std::string*> found;
    for (MutableOperand& operand : instructions[at].inputs) {
      for (std::string& name : operand.tensors) {
        const auto tensor =
            std::find_if(tensors.begin(), tensors.end(), [&](const MutableTensor& of) { return of.name == name; });
        if (tensor != tensors.end() && tensor->dtype == "int32") found.push_back(&name);
      }
    }
    if (found.empty()) return;
    std::string& operand = *found[random.below(found.size())];
    const std::string like = operand, made = "made" + std::to_string(tensors.size());
    const auto shape_of = [&](const std::string& name) {
      return std::find_if(tensors.begin(), tensors.end(),
                          [&](const MutableTensor& tensor) { return tensor.name == name; })
          ->shape;
    };
    MutableInstruction maker;
    if (random.one_in(2)) {
      maker = {"row_numbers",
               {{"like", false, {like}}},
               {{"output", false, {made}}},
               {{"first", random.one_in(2) ? "0" : std::to_string(random.below(12))}}};
      tensors.push_back({made, "int32", "temporary", shape_of(like)});
      operand = made;
    } else {
      static const std::vector<std::string> kParts = {"order", "rows", "segments", "count"};
      maker = {"sort_rows", {{"ids", true, {like}}}, {}, {}};
      const std::vector<std::string> shape = shape_of(like);
      for (const std::string& part : kParts) {
        std::vector<std::string> own = part == "count" ? std::vector<std::string>() : shape;
        if (part == "segments" && own.size() == 1)
          own[0] = is_number(own[0]) ? std::to_string(std::stoll(own[0]) + 1)
                                     : quoted_json(own[0].substr(1, own[0].size() - 2) + "+1");
        tensors.push_back({made + part, "int32", "temporary", own});
        maker.outputs.push_back({part, false, {made + part}});
      }
      // Replaces all four outputs of sort_rows if the instruction reads such operands, or one of them anywhere.
      const bool all = random.one_in(2);
      if (!all) operand = made + random.pick(kParts);
      for (MutableOperand& other : instructions[at].inputs) {
        if (all && std::find(kParts.begin(), kParts.end(), other.slot) != kParts.end())
          other.tensors = {made + other.slot};
      }
    }
    instructions.insert(instructions.begin() + static_cast<int64_t>(at), std::move(maker));
  }
};

}  // namespace shortlist

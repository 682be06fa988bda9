#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/core/tensor.h"

namespace shortlist {

// The size of one axis: Σ factor · size(dim) + constant, written like "5*samples+tags+1".
struct Dim {
  int64_t constant = 0;
  std::vector<std::pair<int, int64_t>> terms;  // index into Program::dims, rising, and factor, not 0

  bool fixed() const { return terms.empty(); }
  bool operator==(const Dim& other) const { return constant == other.constant && terms == other.terms; }
};

enum class Role : uint8_t { parameter, constant, optimizer_state, input, temporary, output };

// Whether tensors of this role are kept in a store between runs.
inline bool stored(Role role) {
  return role == Role::parameter || role == Role::constant || role == Role::optimizer_state;
}

const char* name_of(Role role);
const char* name_of(Dtype dtype);

struct TensorSpec {
  std::string name;
  Dtype dtype;
  Role role;
  std::vector<Dim> shape;  // at most 2 axes
};

// The tensors of one named slot of an instruction.
struct Operand {
  std::string slot;
  bool list;
  std::vector<int> tensors;  // indices into Program::tensors
};

struct Attribute {
  enum class Kind : uint8_t { number, flag, text };
  std::string name;
  Kind kind;
  double number = 0;
  bool flag = false;
  std::string text;
};

struct Instruction {
  size_t number;  // position in the parsed text, from 0; for messages
  std::string op;
  std::vector<Operand> inputs;
  std::vector<Operand> outputs;
  std::vector<Attribute> attributes;
};

// Everything that a run computes, as plain data; src/graph/program.ts documents it.
struct Program {
  std::vector<std::string> dims;
  std::vector<TensorSpec> tensors;
  std::vector<Instruction> instructions;
};

// Parses program.json, of any version of the format, with the checks of toProgram in src/graph/program.ts. Throws
// Error(Status::program).
Program parse_program(std::string_view text);

// The part of a Program that computes the named outputs, as selectOutputs in src/graph/program.ts. Throws
// Error(Status::program) for a name that is not an output.
Program select_outputs(const Program& program, const std::vector<std::string>& outputs);

// The size of an axis, where `sizes` has one size for each of Program::dims. Throws Error(Status::input) if it exceeds
// 2⁵³ − 1.
int64_t evaluate(const Dim& dim, const std::vector<int64_t>& sizes);

// A shape as text, for example "[64, 5*samples+1]".
std::string format_shape(const Program& program, const std::vector<Dim>& shape);

}  // namespace shortlist

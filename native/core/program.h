#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/core/tensor.h"

namespace shortlist {

// One axis of a shape: Σ factor · size(name) + constant, as in "5*samples+tags+1".
struct Dim {
  int64_t constant = 0;
  std::vector<std::pair<int, int64_t>> terms;  // index into Program::dims (rising) and factor (not 0)

  bool fixed() const { return terms.empty(); }
  bool operator==(const Dim& other) const { return constant == other.constant && terms == other.terms; }
};

enum class Role : uint8_t { parameter, constant, optimizer_state, input, temporary, output };

// Whether tensors of this role live in a store, between runs.
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

// What fills one named slot of an op.
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
  size_t number;  // in the text that it was read from, counted from 0: for messages
  std::string op;
  std::vector<Operand> inputs;
  std::vector<Operand> outputs;
  std::vector<Attribute> attributes;
};

// Everything that a run computes, as plain data: src/graph/program.ts says what it means.
struct Program {
  std::vector<std::string> dims;
  std::vector<TensorSpec> tensors;
  std::vector<Instruction> instructions;
};

// Reads program.json with the checks of parseProgram in src/graph/program.ts. Throws Error(Status::program).
Program parse_program(std::string_view text);

// The part of a Program that some of its outputs need: selectOutputs in src/graph/program.ts.
Program select_outputs(const Program& program, const std::vector<std::string>& outputs);

// The number that a dim stands for; `sizes` has one size for each of Program::dims.
// Throws Error(Status::input) where it does not fit 2⁵³.
int64_t evaluate(const Dim& dim, const std::vector<int64_t>& sizes);

// "[64, 5*samples+1]"
std::string format_shape(const Program& program, const std::vector<Dim>& shape);

}  // namespace shortlist

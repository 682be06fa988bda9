#include "native/serve/migrate.h"

#include <string>

#include "native/core/error.h"

namespace shortlist {
namespace {

// A name that a version gives to a dim or an input; the same names stand in src/model/migrate.ts.
struct Renamed {
  int64_t version;
  const char *before, *now;
};

const Renamed kDims[] = {{2, "runs", "sequences"}, {2, "steps", "timesteps"}};
const Renamed kInputs[] = {{2, "run_offsets", "sequence_offsets"},
                           {2, "step_position", "timestep_position"},
                           {2, "step_start", "timestep_start"},
                           {2, "step_end", "timestep_end"}};

void refuse(const char* what, const Renamed& renamed) {
  throw Error(Status::program, std::string("Program: expected no ") + what + " \"" + renamed.now +
                                   "\" before version " + std::to_string(renamed.version) +
                                   ". If it is that of a feature, rename the feature in the schema, and prepare and "
                                   "train again");
}

}  // namespace

Program migrate_program(Program program, int64_t version) {
  for (const Renamed& renamed : kDims) {
    if (renamed.version <= version) continue;
    for (const std::string& dim : program.dims) {
      if (dim == renamed.now) refuse("dim", renamed);
    }
    for (std::string& dim : program.dims) {
      if (dim == renamed.before) dim = renamed.now;
    }
  }
  for (const Renamed& renamed : kInputs) {
    if (renamed.version <= version) continue;
    for (const TensorSpec& tensor : program.tensors) {
      if (tensor.name == renamed.now) refuse("tensor", renamed);
    }
    for (TensorSpec& tensor : program.tensors) {
      if (tensor.role == Role::input && tensor.name == renamed.before) tensor.name = renamed.now;
    }
  }
  return program;
}

}  // namespace shortlist

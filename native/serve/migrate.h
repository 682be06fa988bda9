#pragma once

#include <cstdint>

#include "native/core/program.h"

namespace shortlist {

// The inference Program of a model folder of this version of the format, with the names of dims and inputs of the
// current version; src/model/migrate.ts. Throws Error(Status::program) where it has a name of a later version.
Program migrate_program(Program program, int64_t version);

}  // namespace shortlist

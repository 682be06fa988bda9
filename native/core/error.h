#pragma once

#include <stdexcept>
#include <string>

namespace shortlist {

// What went wrong, as the doors (C, Node-API) report it. The names are those of src/errors.ts without ERR_.
enum class Status { ok, executor, file, input, model, option, program };

// Thrown by core and by the ops' checks, never by kernels; every door catches it.
class Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

}  // namespace shortlist

#pragma once

#include <stdexcept>
#include <string>

namespace shortlist {

// The kind of an error, as the bindings (C, Node-API) report it. The names are those of src/errors.ts without ERR_.
enum class Status { ok, executor, file, input, model, option, program };

// The exception of core and of the ops' checks. Kernels throw it only if there is no memory left. Every binding catches
// it.
class Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

}  // namespace shortlist

#pragma once

#include <string>
#include <vector>

#include "native/core/safetensors.h"
#include "native/serve/encoding.h"

namespace shortlist {

// The attributes of every item, as of the last click on it in the training log: for each item feature but the item
// itself its values, where a "click" is an item; src/data/catalogue.ts.
class Catalogue {
 public:
  Catalogue() = default;
  // Reads it from the tensors of a model folder; it is empty if none of them is there. `path` opens the messages.
  // Throws Error(Status::model or Status::file).
  Catalogue(const Encoding& encoding, const Safetensors& tensors, const std::string& path);

  // Adds a click on an item, as the user's newest one, with the attributes of the item.
  void add_click(const Encoding& encoding, User* user, int32_t item) const;

 private:
  std::vector<User::Values> attributes_;
};

}  // namespace shortlist

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace shortlist {

// The tokens of one feature; src/data/vocabulary.ts.
struct Vocabulary {
  std::vector<std::string> tokens;  // in id order; 0 is <unk>
  std::unordered_map<std::string, int32_t> ids;

  // Reads `token ⇥ count` lines in id order (docs/formats.md); `path` opens the messages. Throws Error(Status::model).
  static Vocabulary parse(std::string_view text, const std::string& path);

  // 0 for a token that is not held: "", NULL and <unk> are not.
  int32_t id(const std::string& token) const {
    const auto found = ids.find(token);
    return found == ids.end() ? 0 : found->second;
  }
};

}  // namespace shortlist

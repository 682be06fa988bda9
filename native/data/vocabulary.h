#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace shortlist {

// The tokens of one feature; src/data/vocabulary.ts.
class Vocabulary {
 public:
  // Reads `token ⇥ count` lines in id order (docs/formats.md); `path` opens the messages. Throws Error(Status::model).
  static Vocabulary parse(std::string_view text, const std::string& path);

  // Ids are from 0 to size() − 1. The token of id 0 is <unk>.
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  // A NUL byte follows it.
  std::string_view token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }

  // 0 for a token that is not held: "", NULL and <unk> are not.
  int32_t id(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? 0 : found->second;
  }

 private:
  std::unique_ptr<char[]> text_;  // what the tokens point into
  std::vector<std::string_view> tokens_;
  std::unordered_map<std::string_view, int32_t> ids_;
};

}  // namespace shortlist

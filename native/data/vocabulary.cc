#include "native/data/vocabulary.h"

#include <cstring>

#include "native/core/error.h"
#include "native/core/text.h"

namespace shortlist {
namespace {

const int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

bool is_count(std::string_view digits) {
  int64_t count = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return false;
    count = count * 10 + (c - '0');
    if (count > kMaxSafeInteger) return false;
  }
  return !digits.empty();
}

}  // namespace

Vocabulary Vocabulary::parse(std::string_view text, const std::string& path) {
  Vocabulary vocabulary;
  const auto fail = [&](const char* expected, std::string_view received) {
    throw Error(Status::model, path + ":" + std::to_string(vocabulary.size() + 1) + ": Expected " + expected +
                                   " but received " + quoted(received));
  };
  if (text.empty() || text.back() != '\n')
    throw Error(Status::model, path + ": Expected lines that end in a newline (the file is cut short)");
  if (!is_utf8(text)) throw Error(Status::model, path + ": Expected UTF-8 text but received other bytes");
  vocabulary.text_ = std::make_unique<char[]>(text.size());
  char* kept = vocabulary.text_.get();
  for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    std::string_view line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const size_t tab = line.rfind('\t');
    const std::string_view token = line.substr(0, tab);
    if (tab == std::string_view::npos || token.empty() || !is_count(line.substr(tab + 1)))
      fail("a token, a tab and a whole number", line);
    if (token.find('\0') != std::string_view::npos) fail("a token without a NUL byte", token);
    if (begin == 0 && token != "<unk>") fail("the token <unk>", token);
    std::memcpy(kept, token.data(), token.size());
    const std::string_view copy(kept, token.size());
    kept += token.size();
    *kept++ = '\0';
    if (!vocabulary.ids_.emplace(copy, static_cast<int32_t>(vocabulary.size())).second) fail("each token once", token);
    vocabulary.tokens_.push_back(copy);
  }
  return vocabulary;
}

}  // namespace shortlist

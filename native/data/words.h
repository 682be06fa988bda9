#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shortlist {

// The tokens of a query, which is UTF-8: its words, then its pairs of neighbouring words with a space between them. A
// word is a run of letters and digits, each in its compatibility form in lower case; src/data/searches.ts.
std::vector<std::string> query_tokens(std::string_view query);

}  // namespace shortlist

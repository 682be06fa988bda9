#include "native/serve/encoding.h"

#include <utility>

#include "test/native/check.h"

using namespace shortlist;

namespace {

Encoding encoding(bool escapes) {
  Config config = {};
  config.max_line_bytes = 1000;
  config.schema.escapes = escapes;
  config.schema.missing = MissingWords({"\\N"});
  config.schema.columns = {{"city", Column::Kind::categorical, false},
                           {"langs", Column::Kind::categorical, true},
                           {"searches", Column::Kind::tokens, false},
                           {"clicks", Column::Kind::clicks, false}};
  config.schema.click = {{"item"}, {"tags", true}};
  std::vector<Vocabulary> vocabularies;  // of city, langs, searches, item and tags
  vocabularies.push_back(Vocabulary::parse("<unk>\t1\na\tb\t1\na\\_b\t1\n", ""));
  vocabularies.push_back(Vocabulary::parse("<unk>\t1\na_b\t1\na\\\t1\nb\t1\n\\N\t1\n", ""));
  vocabularies.push_back(Vocabulary::parse("<unk>\t1\ncat\t1\ndog\t1\ncat dog\t1\n", ""));
  vocabularies.push_back(Vocabulary::parse("<unk>\t1\na:b;c_d\\\t1\na\t1\n", ""));
  vocabularies.push_back(Vocabulary::parse("<unk>\t1\nt_\t\t1\nt\\\t1\n", ""));
  return Encoding(std::move(config), std::move(vocabularies));
}

using Ids = std::vector<int32_t>;

}  // namespace

// Texts of several values are separated and escaped as in a log; a text that is one value is that value.
int main() {
  const Encoding escaped = encoding(true), plain = encoding(false);
  User user = escaped.new_user();
  escaped.set(&user, "city", "a\tb");
  CHECK(user.tokens == Ids({1}));
  escaped.set(&user, "city", "a\\_b");
  CHECK(user.tokens == Ids({2}));
  escaped.set(&user, "langs", "a\\_b_a\\\\_b_\\N_\\\\N_");
  CHECK(user.lists[0] == Ids({1, 2, 3, 0, 4, 0}));
  escaped.set(&user, "searches", "cat\\;dog;\\N;dog");
  CHECK(user.searches[0].ids == Ids({1, 2, 3, 2}) && user.searches[0].offsets == Ids({0, 3, 4}));
  escaped.set(&user, "searches", "\\N");
  CHECK(user.searches[0].ids.empty() && user.searches[0].offsets == Ids({0}));
  escaped.add_click(&user, std::vector<std::string>{"a:b;c_d\\", "t\\_\\t_t\\\\"});
  CHECK(user.values[0].ids == Ids({1}) && user.values[1].ids == Ids({1, 2}));

  const User line = escaped.parse_line("a\\tb\ta\\_b_a\\\\\tcat\\;dog\ta\\:b\\;c_d\\\\:t\\_\\t_t\\\\;a:\\N");
  CHECK(line.tokens == Ids({1}) && line.lists[0] == Ids({1, 2}) && line.searches[0].ids == Ids({1, 2, 3}));
  CHECK(line.values[0].ids == Ids({1, 2}) && line.values[1].ids == Ids({1, 2, 0}));

  user = plain.new_user();
  plain.set(&user, "langs", "a\\_b_a\\\\_b");
  CHECK(user.lists[0] == Ids({2, 3, 0, 3}));
  plain.add_click(&user, std::vector<std::string>{"a", "t\\_\\t"});
  CHECK(user.values[1].ids == Ids({2, 0}));
  return failures() > 0;
}

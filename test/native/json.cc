#include "native/core/json.h"

#include "test/native/check.h"

using namespace shortlist;

namespace {

std::string round_trip(const std::string& text) { return Json::parse(text).format(); }

std::string mistake(const std::string& text) {
  return error_of(Status::program, [&] { Json::parse(text); });
}

}  // namespace

int main() {
  CHECK_TEXT(round_trip(" { \"a\" : [ 1 , -2.5e3 , true , false , null ] , \"b\" : { } , \"c\" : [ ] } "),
             "{\"a\":[1,-2500,true,false,null],\"b\":{},\"c\":[]}");
  CHECK_TEXT(round_trip("0.1"), "0.1");
  CHECK_TEXT(round_trip("9007199254740991"), "9007199254740991");
  CHECK_TEXT(Json::parse("\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\n\\/\"").string(), "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n/");
  CHECK_TEXT(round_trip("\"\\u0000\\u001f\\\"\\\\\""), "\"\\u0000\\u001f\\\"\\\\\"");
  CHECK(Json::parse("{\"a\":1}").find("a")->number() == 1);
  CHECK(Json::parse("{\"a\":1}").find("b") == nullptr);
  CHECK(Json::parse("[1]").find("a") == nullptr);

  int64_t size = 0;
  CHECK(Json::parse("9007199254740991").to_size(&size) && size == 9007199254740991);
  for (const char* text : {"-1", "1.5", "9007199254740992", "\"1\"", "null"}) CHECK(!Json::parse(text).to_size(&size));

  CHECK_TEXT(mistake(""), "JSON: expected a value at byte 0 but received the end");
  CHECK_TEXT(mistake("[1,]"), "JSON: expected a value at byte 3 but received ']'");
  CHECK_TEXT(mistake("{\"a\":1,}"), "JSON: expected a name in quotes at byte 7 but received '}'");
  CHECK_TEXT(mistake("{\"a\":1,\"a\":2}"), "JSON: expected a name that is new in its object at byte 7 but received '\"'");
  CHECK_TEXT(mistake("[1 2]"), "JSON: expected ',' or ']' at byte 3 but received '2'");
  CHECK_TEXT(mistake("\"a"), "JSON: expected '\"' at byte 2 but received the end");
  CHECK_TEXT(mistake("\"a\nb\""), "JSON: expected no control character in a string at byte 2 but received 0x0a");
  for (const char* text : {"01", "1.", ".5", "+1", "-", "1e", "1e999", "nan", "tru", "'a'", "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"",
                           "\"\\ud800\\u0041\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xe2\x82\"", "1 1", "[", "{", "{\"a\"}", "// x\n1"}) {
    CHECK(mistake(text).rfind("JSON: expected ", 0) == 0);
  }
  CHECK(mistake(std::string("\"\0\"", 3)).rfind("JSON: expected ", 0) == 0);
  CHECK(mistake(std::string("1\0", 2)).rfind("JSON: expected the end", 0) == 0);

  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK_TEXT(round_trip(nested(65)), nested(65));
  CHECK(mistake(nested(66)).rfind("JSON: expected at most 64 levels", 0) == 0);
  CHECK(mistake(std::string(1000000, '[')).rfind("JSON: expected at most 64 levels", 0) == 0);
  return failures() > 0;
}

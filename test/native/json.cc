#include "native/core/json.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "native/core/sanitizers.h"
#include "test/native/check.h"

using namespace shortlist;

namespace {

// The number of bytes allocated by `new` and not yet deleted, and its maximum.
size_t allocated = 0, most_allocated = 0;

}  // namespace

// ThreadSanitizer defines these functions itself, so memory is not counted there.
#if !defined(SHORTLIST_THREAD_SANITIZER)
namespace {

const size_t kPrefix = alignof(std::max_align_t);  // bytes before each block, which hold its size

void* allocate(size_t bytes) {
  char* const block = static_cast<char*>(std::malloc(bytes + kPrefix));
  if (block == nullptr) throw std::bad_alloc();
  *reinterpret_cast<size_t*>(block) = bytes;
  allocated += bytes;
  if (allocated > most_allocated) most_allocated = allocated;
  return block + kPrefix;
}

void release(void* memory) {
  if (memory == nullptr) return;
  char* const block = static_cast<char*>(memory) - kPrefix;
  allocated -= *reinterpret_cast<size_t*>(block);
  std::free(block);
}

}  // namespace

void* operator new(size_t bytes) { return allocate(bytes); }
void* operator new[](size_t bytes) { return allocate(bytes); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, size_t) noexcept { release(memory); }
void operator delete[](void* memory, size_t) noexcept { release(memory); }
#endif

namespace {

// The memory that parsing a text takes, in bytes for each byte of the text, whether or not it is JSON.
double memory_factor(const std::string& text) {
  const size_t before = allocated;
  most_allocated = allocated;
  try {
    Json::parse(text);
  } catch (const Error&) {}
  CHECK(allocated == before);
  return static_cast<double>(most_allocated - before) / static_cast<double>(text.size());
}

std::string repeated(const std::string& part, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += part;
  return text;
}

std::string round_trip(const std::string& text) { return Json::parse(text).format(); }

std::string mistake(const std::string& text) {
  return error_of(Status::program, [&] { Json::parse(text); });
}

void check_values() {
  CHECK_TEXT(round_trip(" { \"a\" : [ 1 , -2.5e3 , true , false , null ] , \"b\" : { } , \"c\" : [ ] } "),
             "{\"a\":[1,-2500,true,false,null],\"b\":{},\"c\":[]}");
  CHECK_TEXT(round_trip("0.1"), "0.1");
  CHECK_TEXT(round_trip("9007199254740991"), "9007199254740991");
  CHECK_TEXT(Json::parse("\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\n\\/\"").string(),
             "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n/");
  CHECK_TEXT(round_trip("\"\\u0000\\u001f\\\"\\\\\""), "\"\\u0000\\u001f\\\"\\\\\"");
  CHECK(Json::parse("{\"a\":1}").find("a")->number() == 1);
  CHECK(Json::parse("{\"a\":1}").find("b") == nullptr);
  CHECK(Json::parse("[1]").find("a") == nullptr);

  int64_t size = 0;
  CHECK(Json::parse("9007199254740991").to_size(&size) && size == 9007199254740991);
  for (const char* text : {"-1", "1.5", "9007199254740992", "\"1\"", "null"}) CHECK(!Json::parse(text).to_size(&size));

  // Underflow gives 0, as in JavaScript, also for a number whose digits without the exponent would overflow.
  CHECK(Json::parse("1e-400").number() == 0 && Json::parse("5e-324").number() > 0 &&
        Json::parse("2e-324").number() == 0);
  CHECK(Json::parse("1" + std::string(400, '0') + "e-400").number() == 1 &&
        Json::parse("0." + std::string(400, '0') + "1e401").number() == 1);
  CHECK(Json::parse("-0").to_size(&size) && size == 0 && Json::parse("1.5e1").to_size(&size) && size == 15);
}

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

void check_mistakes() {
  CHECK_TEXT(mistake(""), "JSON: expected a value at byte 0 but received the end");
  CHECK_TEXT(mistake("[1,]"), "JSON: expected a value at byte 3 but received ']'");
  CHECK_TEXT(mistake("{\"a\":1,}"), "JSON: expected a name in quotes at byte 7 but received '}'");
  CHECK_TEXT(mistake("{\"a\":1,\"a\":2}"),
             "JSON: expected each name once in the object that ends at byte 12 but received \"a\" again");
  CHECK_TEXT(mistake("[1 2]"), "JSON: expected ',' or ']' at byte 3 but received '2'");
  CHECK_TEXT(mistake("\"a"), "JSON: expected '\"' at byte 2 but received the end");
  CHECK_TEXT(mistake("\"a\nb\""), "JSON: expected no control character in a string at byte 2 but received 0x0a");
  for (const char* text : {"01",
                           "1.",
                           ".5",
                           "+1",
                           "-",
                           "1e",
                           "1e999",
                           "nan",
                           "tru",
                           "'a'",
                           "\"\\x\"",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\xff\"",
                           "\"\xc0\x80\"",
                           "\"\xed\xa0\x80\"",
                           "\"\xe2\x82\"",
                           "1 1",
                           "[",
                           "{",
                           "{\"a\"}",
                           "// x\n1"}) {
    CHECK(mistake(text).rfind("JSON: expected ", 0) == 0);
  }
  CHECK(mistake(std::string("\"\0\"", 3)).rfind("JSON: expected ", 0) == 0);
  CHECK(mistake(std::string("1\0", 2)).rfind("JSON: expected the end", 0) == 0);

  CHECK_TEXT(round_trip(nested(65)), nested(65));
  CHECK(mistake(nested(66)).rfind("JSON: expected at most 64 levels", 0) == 0);
  CHECK(mistake(std::string(1000000, '[')).rfind("JSON: expected at most 64 levels", 0) == 0);
}

void check_memory() {
  // The texts that take the most memory: deep or many lists, short strings, objects with one member.
  const std::string deep = repeated(nested(64) + ",", 1 << 20), names = [] {
    std::string text = "{";
    for (int i = 0; i < 100000; ++i) text += "\"" + std::to_string(i) + "\":0,";
    return text + "\"\":0}";
  }();
  double most = 0;
  for (const std::string& list : {repeated("0,", 1 << 20), repeated("[],", 1 << 20), repeated("[0],", 1 << 20), deep,
                                  repeated("\"a\",", 1 << 20), repeated("\"0123456789abcdef\",", 1 << 20),
                                  repeated("{\"\":0},", 1 << 20), repeated("{\"a\":{\"\":[[]]}},", 1 << 20),
                                  repeated(",", 1 << 20), repeated("[", 1 << 20), repeated("0,", 1 << 20) + "]"}) {
    for (const std::string& text : {"[" + list + "0]", "[" + list}) most = std::max(most, memory_factor(text));
  }
  most = std::max(most, memory_factor(names));
  std::printf("memory: at most %.1f times the text\n", most);
  CHECK(most <= 20);
}

}  // namespace

int main() {
  check_values();
  check_mistakes();
  check_memory();
  return failures() > 0;
}

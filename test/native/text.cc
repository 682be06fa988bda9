#include "native/core/text.h"

#include <cmath>

#include "test/native/check.h"

using namespace shortlist;

int main() {
  for (const char* text : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(is_utf8(text));
  for (const char* text : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2x", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
                           "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x82"}) {
    CHECK(!is_utf8(text));
  }

  for (const char* text : {"0", "007", "-1", "+1", "1.", ".5", "-.5e+3", "1E-9", "9007199254740993"})
    CHECK(is_decimal(text));
  for (const char* text :
       {"", "-", ".", "e1", "1e", "1e+", "0x10", "inf", "nan", " 1", "1 ", "1,5", "1_0", "--1", "1.2.3", "\xd9\xa1"})
    CHECK(!is_decimal(text));
  CHECK(parse_decimal("+.5e1") == 5 && parse_decimal("-007") == -7 && parse_decimal("1.") == 1);
  CHECK(parse_decimal("1e400") == HUGE_VAL && parse_decimal("-1e400") == -HUGE_VAL &&
        parse_decimal("1e99999999999999999999") == HUGE_VAL);
  CHECK(parse_decimal("1e-400") == 0 && std::signbit(parse_decimal("-1e-400")) &&
        parse_decimal("1e-99999999999999999999") == 0);
  CHECK(parse_decimal("5e-324") == 0x1p-1074 && parse_decimal("2.2250738585072011e-308") == 0x1.ffffffffffffep-1023);

  CHECK_TEXT(quoted(std::string("a\0\n", 3)), "\"a\\u0000\\n\"");
  CHECK_TEXT(quoted("a\"\\\x1f\x7f"), "\"a\\\"\\\\\\u001f\x7f\"");
  // Counted and cut in UTF-16 code units, as JavaScript does.
  CHECK_TEXT(quoted(std::string(59, 'x') + "\xe2\x82\xac"), "\"" + std::string(59, 'x') + "\xe2\x82\xac\"");
  CHECK_TEXT(quoted(std::string(61, 'x')), "\"" + std::string(60, 'x') + "\"… (61 characters)");
  CHECK_TEXT(quoted(std::string(59, 'x') + "\xf0\x9f\x98\x80"),
             "\"" + std::string(59, 'x') + "\\ud83d\"… (61 characters)");
  // What is no UTF-8, in the parts that the Encoding Standard replaces.
  CHECK_TEXT(quoted("\xf0\x9f\x98|\xe0\x9f|\xff"), "\"\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\"");
  return failures() > 0;
}

// `read_formats FORMAT` reads inputs from stdin, each preceded by its length in 4 bytes (little-endian). It prints a
// line for each: "ok" and the value, or "no" and the reason. test/data/readers.test.ts compares it with the readers in
// TypeScript.

#include <cstdint>
#include <cstdio>
#include <string>

#include "native/core/error.h"
#include "test/fuzz/formats.h"

int main(int argc, char** argv) {
  const shortlist::Format* const format = argc == 2 ? shortlist::find_format(argv[1]) : nullptr;
  if (format == nullptr) return 2;
  unsigned char prefix[4];
  std::string input;
  while (std::fread(prefix, 1, sizeof prefix, stdin) == sizeof prefix) {
    input.resize(uint32_t{prefix[0]} | uint32_t{prefix[1]} << 8 | uint32_t{prefix[2]} << 16 |
                 uint32_t{prefix[3]} << 24);
    if (std::fread(&input[0], 1, input.size(), stdin) != input.size()) return 2;
    std::string line;
    try {
      line = "ok " + format->read(input);
    } catch (const shortlist::Error& error) {
      line = std::string("no ") + error.what();
    }
    for (char& c : line) c = c == '\n' || c == '\r' ? ' ' : c;
    std::puts(line.c_str());
  }
  return 0;
}

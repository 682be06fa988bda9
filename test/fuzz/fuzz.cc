// A target of libFuzzer for the format FUZZ_FORMAT: every input must be read, or refused with an Error.

#include <cstddef>
#include <cstdint>

#include "native/core/error.h"
#include "test/fuzz/formats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const shortlist::Format* const format = shortlist::find_format(FUZZ_FORMAT);
  try {
    format->read(std::string_view(reinterpret_cast<const char*>(data), size));
  } catch (const shortlist::Error&) {}
  return 0;
}

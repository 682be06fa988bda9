#pragma once

#include <string>
#include <string_view>

namespace shortlist {

// A text or file format of model folders and click logs, as the native readers take it. `read` throws Error where it
// refuses an input; of a line it returns what was read, else "".
struct Format {
  const char* name;
  std::string (*read)(std::string_view input);
};

// json, safetensors, program, vocabulary, config, line; ended by {nullptr, nullptr}.
extern const Format kFormats[];

const Format* find_format(const std::string& name);

}  // namespace shortlist

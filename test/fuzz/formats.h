#pragma once

#include <string>
#include <string_view>

namespace shortlist {

// A text or file format of model folders and click logs, with its native reader. `read` throws Error if it refuses an
// input. For formats that readers.test.ts compares by value it returns the value as text, else "".
struct Format {
  const char* name;
  std::string (*read)(std::string_view input);
};

// json, safetensors, program, vocabulary, config, old_config, line, user; the list ends with {nullptr, nullptr}.
extern const Format kFormats[];

const Format* find_format(const std::string& name);

}  // namespace shortlist

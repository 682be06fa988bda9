#pragma once

#include <cstdio>
#include <exception>
#include <string>

#include "native/core/error.h"

// A minimal test library. CHECK counts and prints failures and continues; a program returns `failures() > 0`.

namespace shortlist {

inline int& failures() {
  static int count = 0;
  return count;
}

inline void report(const char* file, int line, const std::string& what) {
  std::printf("%s:%d: %s\n", file, line, what.c_str());
  ++failures();
}

// The message and the status of the Error that `body` throws, or "no error".
template <class Body>
std::string error_of(Status status, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.status() == status ? error.what() : "another status: " + std::string(error.what());
  }
  return "no error";
}

}  // namespace shortlist

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) shortlist::report(__FILE__, __LINE__, "expected " #condition); \
  } while (false)

#define CHECK_TEXT(actual, expected)                                                                  \
  do {                                                                                                \
    const std::string text_ = (actual);                                                               \
    if (text_ != (expected))                                                                          \
      shortlist::report(__FILE__, __LINE__,                                                           \
                        "expected \"" + std::string(expected) + "\" but received \"" + text_ + "\""); \
  } while (false)

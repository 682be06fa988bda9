#pragma once

#include <napi.h>

#include <new>
#include <string>

#include "native/core/error.h"

namespace shortlist {

// The JavaScript error with this message and the `code` of src/errors.ts that belongs to `status`.
Napi::Error to_js(Napi::Env env, Status status, const std::string& message);

// Throws ERR_INPUT: an argument has the wrong type.
[[noreturn]] void fail(Napi::Env env, const std::string& message);

// Calls `body` and throws its native errors as JavaScript errors.
template <class Body>
auto guarded(Napi::Env env, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    throw to_js(env, error.status(), error.what());
  } catch (const std::bad_alloc&) {
    throw to_js(env, Status::executor, "Expected more memory but the system has none left");
  }
}

}  // namespace shortlist

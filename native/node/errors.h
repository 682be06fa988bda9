#pragma once

#include <napi.h>

#include <new>
#include <string>

#include "native/core/error.h"

namespace shortlist {

// A JavaScript error with this message, whose `code` is the one of src/errors.ts for `status`.
Napi::Error to_js(Napi::Env env, Status status, const std::string& message);

// Throws ERR_INPUT, for an argument of the wrong type.
[[noreturn]] void fail(Napi::Env env, const std::string& message);

// Calls `body` and converts native errors that it throws to JavaScript errors.
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

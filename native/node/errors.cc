#include "native/node/errors.h"

namespace shortlist {
namespace {

const char* code_of(Status status) {
  switch (status) {
    case Status::file: return "ERR_FILE";
    case Status::input: return "ERR_INPUT";
    case Status::model: return "ERR_MODEL";
    case Status::option: return "ERR_OPTION";
    case Status::program: return "ERR_PROGRAM";
    case Status::ok:
    case Status::executor: break;
  }
  return "ERR_EXECUTOR";
}

}  // namespace

Napi::Error to_js(Napi::Env env, Status status, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code_of(status)));
  return error;
}

void fail(Napi::Env env, const std::string& message) { throw to_js(env, Status::input, message); }

}  // namespace shortlist

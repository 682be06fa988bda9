// File operations that Node lacks: the atomic exchange of two names, and locks that end with the process that holds
// them. src/platform/files.ts is the only caller. Each function returns 0 or the error number of the operating system.

#include "native/node/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

namespace shortlist {
namespace {

int exchange_names(const char* a, const char* b) {
#if defined(__linux__) && defined(SYS_renameat2)
  const unsigned kExchange = 1 << 1;  // RENAME_EXCHANGE; older C libraries have neither the name nor the function
  return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, kExchange) == 0 ? 0 : errno;
#elif defined(__APPLE__)
  return renamex_np(a, b, RENAME_SWAP) == 0 ? 0 : errno;
#else
  (void)a;
  (void)b;
  return ENOSYS;
#endif
}

Napi::Error type_error(Napi::Env env, const char* message) { return Napi::TypeError::New(env, message); }

// Arguments: (path, path). Exchanges what the two names refer to, atomically.
Napi::Value exchange(const Napi::CallbackInfo& info) {
  if (!info[0].IsString() || !info[1].IsString()) throw type_error(info.Env(), "Expected two paths");
  const std::string a = info[0].As<Napi::String>().Utf8Value(), b = info[1].As<Napi::String>().Utf8Value();
  return Napi::Number::New(info.Env(), exchange_names(a.c_str(), b.c_str()));
}

// Arguments: (descriptor). Takes an exclusive lock on an open file or folder; closing the descriptor ends it. Returns
// EWOULDBLOCK if another process or descriptor has the lock.
Napi::Value lock_file(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) throw type_error(info.Env(), "Expected a file descriptor");
  const int result = flock(info[0].As<Napi::Number>().Int32Value(), LOCK_EX | LOCK_NB);
  return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

}  // namespace

void define_files(Napi::Env env, Napi::Object exports) {
  exports.Set("exchange", Napi::Function::New<exchange>(env, "exchange"));
  exports.Set("lockFile", Napi::Function::New<lock_file>(env, "lockFile"));
}

}  // namespace shortlist

// File operations that Node lacks: the atomic exchange of two names, locks that end with the process that holds them,
// and what it takes to write much memory at little cost. src/platform/files.ts is the only caller.

#include "native/node/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

#include "native/core/memory.h"
#include "native/core/xxh64.h"
#include "native/node/arguments.h"
#include "native/node/errors.h"

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

// Arguments: (path, path). Exchanges what the two names refer to, atomically. Returns 0 or the system's error number.
Napi::Value exchange(const Napi::CallbackInfo& info) {
  if (!info[0].IsString() || !info[1].IsString()) throw type_error(info.Env(), "Expected two paths");
  const std::string a = info[0].As<Napi::String>().Utf8Value(), b = info[1].As<Napi::String>().Utf8Value();
  return Napi::Number::New(info.Env(), exchange_names(a.c_str(), b.c_str()));
}

// Arguments: (descriptor). Takes an exclusive lock on an open file or folder; closing the descriptor ends it. Returns 0
// or the system's error number: EWOULDBLOCK if another process or descriptor has the lock.
Napi::Value lock_file(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) throw type_error(info.Env(), "Expected a file descriptor");
  const int result = flock(info[0].As<Napi::Number>().Int32Value(), LOCK_EX | LOCK_NB);
  return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

int set_uncached(int descriptor, bool on) {
#if defined(__linux__)
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0) return errno;
  return fcntl(descriptor, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 ? 0 : errno;
#elif defined(__APPLE__)
  return fcntl(descriptor, F_NOCACHE, on ? 1 : 0) == 0 ? 0 : errno;
#else
  (void)descriptor;
  (void)on;
  return ENOSYS;
#endif
}

// Arguments: (descriptor, on). From now on, writes go from memory to the disk without a copy in the system's cache.
// Then addresses, positions and lengths have to be multiples of a block. Returns 0 or the system's error number.
Napi::Value write_uncached(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber() || !info[1].IsBoolean())
    throw type_error(info.Env(), "Expected a file descriptor and a flag");
  const int descriptor = info[0].As<Napi::Number>().Int32Value();
  return Napi::Number::New(info.Env(), set_uncached(descriptor, info[1].As<Napi::Boolean>().Value()));
}

// Arguments: (bytes). Returns an ArrayBuffer that begins at a page of memory, filled with zeros.
Napi::Value whole_pages(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int64_t bytes;
  const int64_t least = int64_t{256} << 10;  // smaller blocks of Memory begin anywhere
  if (!is_size(info[0], &bytes) || bytes < least) throw type_error(env, "Expected at least 256 KiB");
  return guarded(env, [&] {
    auto memory = std::make_unique<Memory>(Memory::zeroed(static_cast<size_t>(bytes)));
    const auto free = [](Napi::Env, void*, Memory* held) { delete held; };
    const Napi::Value buffer =
        Napi::ArrayBuffer::New(env, memory->data(), static_cast<size_t>(bytes), free, memory.get());
    memory.release();
    return buffer;
  });
}

// Arguments: (bytes, seed). Returns XXH64 of the bytes of a Uint8Array. The seed and the result are BigInts.
Napi::Value checksum(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsTypedArray() || !info[1].IsBigInt()) throw type_error(env, "Expected a Uint8Array and a BigInt");
  int64_t elements;
  const void* const data = elements_of(env, info[0], "bytes", &elements);
  bool lossless;
  const uint64_t seed = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
  return Napi::BigInt::New(env, xxh64(data, info[0].As<Napi::TypedArray>().ByteLength(), seed));
}

}  // namespace

void define_files(Napi::Env env, Napi::Object exports) {
  exports.Set("exchange", Napi::Function::New<exchange>(env, "exchange"));
  exports.Set("lockFile", Napi::Function::New<lock_file>(env, "lockFile"));
  exports.Set("writeUncached", Napi::Function::New<write_uncached>(env, "writeUncached"));
  exports.Set("wholePages", Napi::Function::New<whole_pages>(env, "wholePages"));
  exports.Set("checksum", Napi::Function::New<checksum>(env, "checksum"));
}

}  // namespace shortlist

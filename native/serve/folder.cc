#include "native/serve/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "native/core/error.h"
#include "native/core/sha256.h"
#include "native/core/text.h"

namespace shortlist {
namespace {

const char* const kConfig = "config.json";
const int kMaxWaits = 10;
const std::chrono::milliseconds kWait(20);

// Tells versions of a folder apart: the folder and its config.json, which is written last.
std::string version_of(const std::string& path) {
  std::string version;
  for (const std::string& at : {path, path + "/" + kConfig}) {
    struct stat status;
    if (stat(at.c_str(), &status) != 0) continue;
#if defined(__APPLE__)
    const struct timespec& changed = status.st_mtimespec;
#else
    const struct timespec& changed = status.st_mtim;
#endif
    const bool is_folder = S_ISDIR(status.st_mode);  // whose own time changes with what is written beside the members
    for (const int64_t part :
         {static_cast<int64_t>(status.st_dev), static_cast<int64_t>(status.st_ino),
          is_folder ? 0 : static_cast<int64_t>(changed.tv_sec), is_folder ? 0 : static_cast<int64_t>(changed.tv_nsec),
          is_folder ? 0 : static_cast<int64_t>(status.st_size)}) {
      version += std::to_string(part) + ",";
    }
  }
  return version;
}

bool is_digest(const Json* value) {
  if (value == nullptr || value->string().size() != 64) return false;
  return std::all_of(value->string().begin(), value->string().end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Whether a name in a folder is one that a writer means to rename to `target`, or to any name where that is "";
// src/data/hidden_names.ts.
bool is_partial(const std::string& name, const std::string& target) {
  const size_t at = name.rfind(".partial-");
  return name[0] == '.' && at != std::string::npos && at > 0 && (target.empty() || name.substr(1, at - 1) == target);
}

bool holds_partial(const std::string& folder, const std::string& target) {
  DIR* const entries = opendir(folder.c_str());
  if (entries == nullptr) return false;
  bool found = false;
  while (const dirent* entry = readdir(entries)) found = found || is_partial(entry->d_name, target);
  closedir(entries);
  return found;
}

}  // namespace

Folder::Folder(const std::string& path) : path_(path), version_(version_of(path)) {
#if defined(O_PATH)
  const int access = O_PATH;  // also of a folder that cannot be listed
#else
  const int access = O_RDONLY;
#endif
  descriptor_ = open(path.c_str(), access | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) error_ = errno;
}

Folder::~Folder() {
  if (descriptor_ >= 0) close(descriptor_);
}

int Folder::descriptor(const std::string& name) const {
  if (descriptor_ < 0) throw Error(Status::file, path(name) + ": " + std::strerror(error_));
  return descriptor_;
}

std::string Folder::read(const std::string& name) const {
  std::string text = File(descriptor(name), name, path(name)).read();
  if (!checks_ids()) return text;
  const auto digest = digests_.find(name);
  check(name, "sha256", digest == digests_.end() ? "(none)" : digest->second, sha256(text));
  return text;
}

Safetensors Folder::tensors(const std::string& name) const {
  Safetensors tensors(descriptor(name), name, path(name));
  const std::string* const id = tensors.find_metadata("id");
  if (checks_ids()) check(name, "id", id_, id ? *id : "(none)");
  return tensors;
}

void Folder::expect(const Json& config) {
  const Json *id = config.find("id"), *members = config.find("members");
  if (id == nullptr && members == nullptr) return;
  bool fits = is_digest(id) && members != nullptr && members->is_object();
  if (fits) {
    for (const Json::Member& member : members->members()) fits = fits && is_digest(&member.second);
  }
  if (!fits) throw Error(Status::model, "Expected \"id\" to be a sha256 and \"members\" an object of them");
  id_ = id->string();
  for (const Json::Member& member : members->members()) digests_[member.first] = member.second.string();
}

void Folder::check(const std::string& name, const char* what, const std::string& expected,
                   const std::string& received) const {
  if (received == expected) return;
  throw Error(Status::model, path(name) + ": Expected " + what + " " + expected + ", as " + kConfig +
                                 " says, but received " + quoted(received) +
                                 ". The file was changed, or belongs to another version of the folder: copy the folder "
                                 "whole, or write it anew");
}

bool Folder::has_changed() const { return version_of(path_) != version_; }

bool Folder::is_being_replaced() const {
  char* const resolved = realpath(path_.c_str(), nullptr);
  if (resolved == nullptr) return false;
  const std::string real = resolved;
  std::free(resolved);
  const size_t slash = real.rfind('/');
  return holds_partial(real.substr(0, slash + 1), real.substr(slash + 1)) || holds_partial(real, "");
}

bool wait_for_writer(int* waits) {
  if (*waits == kMaxWaits) return false;
  std::this_thread::sleep_for(kWait * ++*waits);
  return true;
}

}  // namespace shortlist

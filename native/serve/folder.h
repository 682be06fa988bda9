#pragma once

#include <string>
#include <unordered_map>
#include <utility>

#include "native/core/json.h"
#include "native/core/safetensors.h"

namespace shortlist {

// One version of a model folder: its members are opened relative to the folder's handle, so they stay those of the same
// folder when another one takes its name, and each is checked against what config.json says of it (docs/formats.md,
// src/data/members.ts).
class Folder {
 public:
  explicit Folder(const std::string& path);
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // What messages call a member.
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  // The text of a member, checked once `expect` was called. Throws Error(Status::file or Status::model).
  std::string read(const std::string& name) const;
  // The tensors, their id checked.
  Safetensors tensors(const std::string& name) const;

  // From now on members are checked: `config` has the id of the whole, and the digests of its members. A folder that an
  // older version wrote has neither. Throws Error(Status::model).
  void expect(const Json& config);
  bool checks_ids() const { return !id_.empty(); }

  // Whether its name leads to another version now.
  bool has_changed() const;
  // Whether somebody seems to be writing its next version.
  bool is_being_replaced() const;

 private:
  // Of the open folder, to open this member.
  int descriptor(const std::string& name) const;
  void check(const std::string& name, const char* what, const std::string& expected, const std::string& received) const;

  std::string path_;
  std::string version_;
  int descriptor_, error_ = 0;
  std::string id_;
  std::unordered_map<std::string, std::string> digests_;
};

// Waits a little for whoever seems to be replacing a folder: true, until it has waited `*waits` times too often.
bool wait_for_writer(int* waits);

const int kMaxReads = 100;  // of a folder that is replaced again and again

// Calls `open` with one version of the folder, and again where it failed while the folder was replaced: a reader gets
// the one version or the other, and no mixture of both.
template <class Open>
auto read_folder(const std::string& path, const Open& open) -> decltype(open(std::declval<Folder&>())) {
  int waits = 0;
  for (int reads = 1;; ++reads) {
    Folder folder(path);
    try {
      auto result = open(folder);
      if (folder.checks_ids() || reads == kMaxReads || !folder.has_changed()) return result;
    } catch (...) {
      if (reads == kMaxReads) throw;
      const bool busy = folder.is_being_replaced();  // asked first: a writer that is done by now has changed the folder
      if (!folder.has_changed() && !(busy && wait_for_writer(&waits))) throw;
    }
  }
}

}  // namespace shortlist

// DataDirectory: the directory of one node, locked by the `up` that runs on it.
// Owns:  the lock, and a temporary directory's contents.
#pragma once

#include <string>

#include "dataplane/base/result.h"

namespace millrace::cli {

class DataDirectory {
 public:
  // Makes the directory (mode 0750) if it is missing. Error already_exists names the process that
  // runs on it.
  static base::Result<DataDirectory> open(const std::string& path);

  // For the catalog of a node that keeps nothing: removed at the end. What a killed predecessor of
  // this user left is removed now.
  static base::Result<DataDirectory> create_temporary();

  DataDirectory(DataDirectory&& other) noexcept;
  DataDirectory& operator=(DataDirectory&&) = delete;
  ~DataDirectory();

  const std::string& path() const { return path_; }

 private:
  DataDirectory(std::string path, int lock_fd, bool is_temporary)
      : path_(std::move(path)), lock_fd_(lock_fd), is_temporary_(is_temporary) {}

  std::string path_;
  int lock_fd_ = -1;
  bool is_temporary_ = false;
};

}  // namespace millrace::cli

// Scratch: a directory on a real disk for one run, gone with it.
// Owns:  the directory and a lock on it. What a killed run of this user left is removed by the
// next.
#pragma once

#include <string>

#include "dataplane/base/result.h"

namespace millrace::bench {

class Scratch {
 public:
  // Under $TMPDIR, else /var/tmp: /tmp is often memory.
  static base::Result<Scratch> create();
  Scratch(Scratch&& other) noexcept;
  Scratch& operator=(Scratch&&) = delete;
  ~Scratch();

  const std::string& path() const { return path_; }

 private:
  Scratch(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}

  std::string path_;
  int lock_fd_ = -1;
};

}  // namespace millrace::bench

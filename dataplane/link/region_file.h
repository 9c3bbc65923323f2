// RegionFile: a mapping of the shared Region, by path or as an anonymous memory file.
// Owns:  one descriptor and one shared mapping; both are released on destruction, the contents
// stay.
//
// A fresh file is sized, zeroed and stamped under an flock, so both planes may open it at once.
// Zero is the valid starting state of every other field.
#pragma once

#include <string>

#include "dataplane/base/result.h"
#include "dataplane/link/region.h"

namespace millrace::link {

class RegionFile {
 public:
  // Makes the file (mode 0600) when it is missing or empty. Errors: permission, no_space,
  // corrupt (not a region), invalid_argument (another version of Millrace made it).
  static base::Result<RegionFile> open_or_create(const std::string& path);

  // A memory file without a name. It is closed on exec; make_inheritable() lets children have it.
  static base::Result<RegionFile> create_anonymous();

  RegionFile(RegionFile&& other) noexcept;
  RegionFile& operator=(RegionFile&&) = delete;
  ~RegionFile();

  Region& region() { return *region_; }
  int fd() const { return fd_; }

  // After this, a child started by exec reaches the region at path_for_children().
  base::Result<void> make_inheritable();
  std::string path_for_children() const;

 private:
  RegionFile(int fd, Region* region) : fd_(fd), region_(region) {}
  static base::Result<RegionFile> map(int fd, const std::string& name);

  int fd_ = -1;
  Region* region_ = nullptr;
};

}  // namespace millrace::link

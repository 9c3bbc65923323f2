// find_device: from a folder to the block device under it and what that promises.
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <filesystem>
#include <fstream>

#include "storage/uring_disk.h"

namespace millrace::storage {
namespace {

constexpr long xfs_magic = 0x58465342;

std::string read_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string_view file_system_name(long type) {
  switch (type) {
    case EXT4_SUPER_MAGIC:
      return "ext4";
    case xfs_magic:
      return "xfs";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case TMPFS_MAGIC:
      return "tmpfs";
    case RAMFS_MAGIC:
      return "ramfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlay";
    case NFS_SUPER_MAGIC:
      return "nfs";
    default:
      return "unknown file system";
  }
}

}  // namespace

DeviceFacts find_device(const std::string& folder, const std::string& sys_root) {
  DeviceFacts facts;
  struct stat status {};
  struct statfs file_system {};
  if (::stat(folder.c_str(), &status) != 0 || ::statfs(folder.c_str(), &file_system) != 0) {
    facts.text = "unknown";
    return facts;
  }
  const std::string_view fs_name = file_system_name(file_system.f_type);
  std::error_code error;
  auto device = std::filesystem::canonical(
      fmt::format("{}/dev/block/{}:{}", sys_root, major(status.st_dev), minor(status.st_dev)),
      error);
  if (error) {  // not on a block device of its own
    facts.text = fs_name;
    return facts;
  }
  if (std::filesystem::exists(device / "partition", error)) device = device.parent_path();
  const auto driver = std::filesystem::read_symlink(device / "device" / "driver", error);
  facts.text = fmt::format("{}{}{}, {}", error ? "" : driver.filename().string(), error ? "" : " ",
                           device.filename().string(), fs_name);
  const std::string cache = read_line(device / "queue" / "write_cache");
  if (cache == "write through") {
    facts.durability = Durability::plp;
  } else if (cache == "write back") {
    const bool fua = read_line(device / "queue" / "fua") == "1";
    facts.durability = fua ? Durability::fua : Durability::flush;
  }
  return facts;
}

}  // namespace millrace::storage

// Preflight: looks for everything DPDK may miss before DPDK is asked, and names each with its fix.
// Reads /sys, /proc and /dev only; under a root of its own in tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/port/port_spec.h"

namespace millrace::port {

class HostView {
 public:
  explicit HostView(std::string root = "") : root_(std::move(root)) {}

  std::optional<std::string> read(const std::string& path) const;
  bool exists(const std::string& path) const;
  bool is_directory(const std::string& path) const;
  bool can_read(const std::string& path) const;
  bool can_write(const std::string& path) const;
  // The last component of what a symbolic link points to.
  std::optional<std::string> link_name(const std::string& path) const;
  // Whether a file in the directory starts with the prefix.
  bool has_file(const std::string& directory, const std::string& prefix) const;

 private:
  std::string root_;
};

// Bytes in free huge pages of all sizes.
std::uint64_t free_huge_bytes(const HostView& host);

// Enough of them for bytes_needed.
base::Result<void> check_huge_pages(const HostView& host, std::uint64_t bytes_needed);

// Whether this process may lock so much memory; the error says for what and how to allow it.
inline constexpr std::uint64_t all_memory = ~0ULL;
base::Result<void> check_memlock(const HostView& host, std::uint64_t bytes,
                                 std::string_view purpose);

// What this port's device needs: its driver, and the kind's own things. locked_bytes: the memory
// that vfio or an AF_XDP socket pins.
base::Result<void> check_port(const HostView& host, const PortSpec& spec,
                              std::uint64_t locked_bytes);

}  // namespace millrace::port

// Any bytes as a frame: parse_frame must stay inside them, and what it accepts can be answered.
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "dataplane/base/check.h"
#include "dataplane/net/write.h"

using namespace millrace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const net::Identity identity{.mac = {2, 0, 0, 0, 0, 1}, .ipv4 = 0x0a000001};
  // A copy of the exact size, so that the sanitizer sees a read past its end. The first input byte
  // says whether the destination is made ours, for the deeper checks to be reached.
  const std::size_t bytes = size - 1;
  const auto frame = std::make_unique<std::byte[]>(bytes);
  if (bytes != 0) std::memcpy(frame.get(), data + 1, bytes);
  if ((data[0] & 1) != 0 && bytes >= 6) std::memcpy(frame.get(), identity.mac.data(), 6);
  const auto parsed = net::parse_frame({frame.get(), bytes}, identity, (data[0] & 2) != 0);
  CHECK((parsed.kind == net::FrameKind::dropped) == (parsed.reason != base::DropReason::none));
  if (!parsed.payload.empty()) {
    CHECK(parsed.payload.data() >= frame.get());
    CHECK(parsed.payload.data() + parsed.payload.size() <= frame.get() + bytes);
  }
  std::array<std::byte, 70000> out;
  if (parsed.kind == net::FrameKind::icmp_echo) {
    const auto written = net::write_icmp_echo_reply(out, identity, parsed.peer, parsed.payload);
    CHECK(written == net::udp_headers_bytes - 8 + parsed.payload.size());
  }
  if (parsed.kind == net::FrameKind::arp_request) {
    CHECK(net::write_arp_reply(out.data(), identity, parsed.peer) == net::arp_frame_bytes);
  }
  return 0;
}

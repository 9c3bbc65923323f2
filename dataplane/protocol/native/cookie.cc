#include "dataplane/protocol/native/cookie.h"

#include <bit>

#include "dataplane/base/units.h"

namespace millrace::native {

namespace {

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }

  void absorb(std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

}  // namespace

std::uint64_t siphash(const Secret& key, std::span<const std::uint64_t> words) {
  SipState state{key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL,
                 key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL};
  for (const std::uint64_t word : words) state.absorb(word);
  state.absorb(static_cast<std::uint64_t>(words.size() * 8) << 56);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

Cookie CookieMaker::make_for_minute(const base::Endpoint& peer, const Nonce& nonce,
                                    std::uint64_t minute) const {
  const std::uint64_t source = std::uint64_t{peer.ipv4} << 32 | std::uint64_t{peer.udp_port} << 16 |
                               std::uint64_t{peer.port_index};
  const std::array<std::uint64_t, 4> words{source, nonce[0], nonce[1], minute};
  return {minute, siphash(secret_, words)};
}

Cookie CookieMaker::make(const base::Endpoint& peer, const Nonce& nonce,
                         std::uint64_t now_ns) const {
  // From 1, so that no cookie is all zero.
  return make_for_minute(peer, nonce, now_ns / (60 * base::second_ns) + 1);
}

bool CookieMaker::valid(const Cookie& cookie, const base::Endpoint& peer, const Nonce& nonce,
                        std::uint64_t now_ns) const {
  const std::uint64_t minute = now_ns / (60 * base::second_ns) + 1;
  if (cookie[0] != minute && cookie[0] + 1 != minute) return false;
  return cookie[1] == make_for_minute(peer, nonce, cookie[0])[1];
}

}  // namespace millrace::native

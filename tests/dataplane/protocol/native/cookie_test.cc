#include "dataplane/protocol/native/cookie.h"

#include <gtest/gtest.h>

#include "dataplane/base/units.h"

namespace millrace::native {
namespace {

constexpr std::uint64_t minute_ns = 60 * base::second_ns;

// Key 00..0f; message 00..07 and 00..3f of eight-byte words: the vectors in the paper's reference.
TEST(NativeCookie, siphash_gives_the_published_vectors) {
  const Secret key{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  EXPECT_EQ(siphash(key, {}), 0x726fdb47dd0e0e31ULL);
  const std::array<std::uint64_t, 1> words{0x0706050403020100ULL};
  EXPECT_EQ(siphash(key, words), 0x93f5f5799a932462ULL);
}

TEST(NativeCookie, a_cookie_is_good_for_its_source_nonce_and_two_minutes_only) {
  const CookieMaker maker({1, 2});
  const base::Endpoint peer{.ipv4 = 1, .udp_port = 2};
  const Nonce nonce{3, 4};
  const Cookie cookie = maker.make(peer, nonce, 5 * minute_ns);
  EXPECT_TRUE(maker.valid(cookie, peer, nonce, 5 * minute_ns));
  EXPECT_TRUE(maker.valid(cookie, peer, nonce, 7 * minute_ns - 1));
  EXPECT_FALSE(maker.valid(cookie, peer, nonce, 7 * minute_ns));
  EXPECT_FALSE(maker.valid(cookie, peer, nonce, 5 * minute_ns - 1));
  EXPECT_FALSE(maker.valid(cookie, peer, {3, 5}, 5 * minute_ns));
  EXPECT_FALSE(maker.valid(cookie, {.ipv4 = 1, .udp_port = 3}, nonce, 5 * minute_ns));
  EXPECT_FALSE(maker.valid({}, peer, nonce, 0));
  EXPECT_FALSE(CookieMaker({1, 3}).valid(cookie, peer, nonce, 5 * minute_ns));
}

}  // namespace
}  // namespace millrace::native

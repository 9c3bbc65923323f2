#include "dataplane/base/wire.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <random>

namespace millrace::base {
namespace {

constexpr std::array<std::byte, 9> bytes = {std::byte{0xff}, std::byte{0x01}, std::byte{0x02},
                                            std::byte{0x03}, std::byte{0x04}, std::byte{0x05},
                                            std::byte{0x06}, std::byte{0x07}, std::byte{0x88}};

TEST(Wire, loads_at_an_odd_address_in_the_named_order) {
  const std::byte* at = bytes.data() + 1;
  EXPECT_EQ(load_le<std::uint8_t>(at), 0x01);
  EXPECT_EQ(load_be<std::uint8_t>(at), 0x01);
  EXPECT_EQ(load_le<std::uint16_t>(at), 0x0201);
  EXPECT_EQ(load_be<std::uint16_t>(at), 0x0102);
  EXPECT_EQ(load_le<std::uint32_t>(at), 0x04030201U);
  EXPECT_EQ(load_be<std::uint32_t>(at), 0x01020304U);
  EXPECT_EQ(load_le<std::uint64_t>(at), 0x8807060504030201ULL);
  EXPECT_EQ(load_be<std::uint64_t>(at), 0x0102030405060788ULL);
}

TEST(Wire, signed_integers_keep_their_sign) {
  EXPECT_EQ(load_le<std::int64_t>(bytes.data() + 1), static_cast<std::int64_t>(0x8807060504030201));
  EXPECT_LT(load_le<std::int64_t>(bytes.data() + 1), 0);
  EXPECT_EQ(load_be<std::int16_t>(bytes.data()), -255);
}

template <typename T>
void round_trip(std::mt19937_64& random) {
  std::array<std::byte, sizeof(T) + 3> buffer{};
  const T value = static_cast<T>(random());
  store_be(buffer.data() + 1, value);
  EXPECT_EQ(load_be<T>(buffer.data() + 1), value);
  EXPECT_EQ(buffer[1],
            static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * (sizeof(T) - 1))));
  store_le(buffer.data() + 1, value);
  EXPECT_EQ(load_le<T>(buffer.data() + 1), value);
  EXPECT_EQ(buffer[1], static_cast<std::byte>(value));
  EXPECT_EQ(buffer[0], std::byte{0});
  EXPECT_EQ(buffer[sizeof(T) + 1], std::byte{0});
}

TEST(Wire, what_is_stored_loads_back_and_touches_no_neighbour) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 1000; ++i) {
    round_trip<std::uint8_t>(random);
    round_trip<std::int16_t>(random);
    round_trip<std::uint16_t>(random);
    round_trip<std::int32_t>(random);
    round_trip<std::uint32_t>(random);
    round_trip<std::int64_t>(random);
    round_trip<std::uint64_t>(random);
  }
}

}  // namespace
}  // namespace millrace::base

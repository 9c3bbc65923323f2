// Tables as people see them.
#include "control/cli/table.h"

#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

TEST(Table, aligns_text_to_the_left_and_numbers_to_the_right_without_trailing_spaces) {
  Table table({"NAME", "COUNT", "STATE"});
  table.add_row({"a", "5", "ok"});
  table.add_row({"longer-name", "12345678", ""});
  EXPECT_EQ(table.text(),
            "NAME            COUNT  STATE\n"
            "a                   5  ok\n"
            "longer-name  12345678\n");
}

TEST(Table, without_rows_is_its_headers) {
  EXPECT_EQ(Table({"NAME", "COUNT"}).text(), "NAME  COUNT\n");
}

TEST(HumanBytes, keeps_small_numbers_exact_and_large_ones_short) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(5ULL << 40), "5.0 TiB");
}

}  // namespace
}  // namespace millrace::cli

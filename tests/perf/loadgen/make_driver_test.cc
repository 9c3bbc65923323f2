#include "perf/loadgen/drivers/make_driver.h"

#include <gtest/gtest.h>

#include <set>

namespace millrace::loadgen {
namespace {

std::string error_of(const DriverOptions& options) {
  const auto made = make_driver(options);
  return made ? "none" : std::string(made.error().message());
}

TEST(MakeDriver, each_name_is_there_once_and_makes_a_driver) {
  std::set<std::string> names;
  for (const DriverInfo& info : drivers()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(error_of({.name = info.name, .address = {}, .settings = {}}), "none");
  }
}

TEST(MakeDriver, what_is_not_known_is_named) {
  EXPECT_TRUE(error_of({.name = "carrier-pigeon", .address = {}, .settings = {}})
                  .starts_with("no driver 'carrier-pigeon'; there are null, native"));
  EXPECT_EQ(error_of({.name = "native", .address = {}, .settings = {{"akc", "memory"}}}),
            "driver native has no setting 'akc'; it has ack, port-offset, batch-bytes");
  EXPECT_EQ(error_of({.name = "native", .address = {}, .settings = {{"ack", "often"}}}),
            "setting ack: 'often' is not durable or memory");
  EXPECT_EQ(error_of({.name = "native", .address = {}, .settings = {{"batch-bytes", "1k"}}}),
            "setting batch-bytes: '1k' is no number");
}

}  // namespace
}  // namespace millrace::loadgen

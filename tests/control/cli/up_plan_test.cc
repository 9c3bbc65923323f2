// UpPlan: flags over file over defaults, and the arguments that the planes get.
#include "control/cli/up_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "control/cli/programs.h"

namespace millrace::cli {
namespace {

using Words = std::vector<std::string>;

bool has_pair(const Words& words, const std::string& flag, const std::string& value) {
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == flag && words[i + 1] == value) return true;
  }
  return false;
}

TEST(UpPlan, by_default_is_reachable_from_this_host_alone) {
  const auto plan = plan_up({.data = "/srv/m"}, {});
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(plan->data_plane_arguments,
            (Words{"--data", "/srv/m", "--port", "udp:127.0.0.1:7070"}));
  EXPECT_EQ(plan->control_arguments,
            (Words{"--data", "/srv/m", "--admin-address", "127.0.0.1", "--admin-port", "9644"}));
}

TEST(UpPlan, shifts_every_port_by_the_offset) {
  const auto plan = plan_up({.memory_only = true,
                             .ports = {"udp:0.0.0.0:7070", "memif:socket=/m,ip=10.0.0.1"},
                             .listeners = {"514=syslog,partitions=2"}},
                            {.port_offset = 40, .has_port_offset = true});
  ASSERT_TRUE(plan) << plan.error().message();
  const auto& data = plan->data_plane_arguments;
  EXPECT_EQ(data.front(), "--memory-only");
  EXPECT_TRUE(has_pair(data, "--port", "udp:0.0.0.0:7110"));
  EXPECT_TRUE(has_pair(data, "--port", "memif:socket=/m,ip=10.0.0.1"));
  EXPECT_TRUE(has_pair(data, "--listen", "554=syslog,framing=datagram,key=none"));
  EXPECT_TRUE(has_pair(plan->control_arguments, "--ensure-topic", "syslog:2"));
  EXPECT_TRUE(has_pair(plan->control_arguments, "--admin-port", "9684"));
}

TEST(UpPlan, lets_flags_win_over_the_file) {
  const std::string path = testing::TempDir() + "up_plan_test.toml";
  std::ofstream(path)
      << "[node]\ndata = \"/srv/file\"\nport_offset = 5\nprofile = \"laptop\"\n"
         "[storage]\njournal_size = \"1GiB\"\n[[port]]\nspec = \"udp:0.0.0.0:80\"\n";
  const auto from_file = plan_up({.config = path}, {});
  ASSERT_TRUE(from_file) << from_file.error().message();
  EXPECT_TRUE(has_pair(from_file->data_plane_arguments, "--data", "/srv/file"));
  EXPECT_TRUE(has_pair(from_file->data_plane_arguments, "--port", "udp:0.0.0.0:85"));
  EXPECT_TRUE(has_pair(from_file->data_plane_arguments, "--journal-size", "1073741824"));

  const auto plan = plan_up({.memory_only = true,
                             .config = path,
                             .ports = {"udp:127.0.0.1:90"},
                             .profile = "dedicated",
                             .cores = "0,1",
                             .journal_size = "64MiB",
                             .scrub_rate = "0B",
                             .max_sessions = 5000},
                            {.port_offset = 7, .has_port_offset = true});
  std::filesystem::remove(path);
  ASSERT_TRUE(plan) << plan.error().message();
  const auto& data = plan->data_plane_arguments;
  EXPECT_EQ(data.front(), "--memory-only");
  EXPECT_EQ(std::count(data.begin(), data.end(), "--port"), 1);
  EXPECT_TRUE(has_pair(data, "--port", "udp:127.0.0.1:97"));
  EXPECT_TRUE(has_pair(data, "--profile", "dedicated"));
  EXPECT_TRUE(has_pair(data, "--cores", "0,1"));
  EXPECT_TRUE(has_pair(data, "--journal-size", "67108864"));
  EXPECT_TRUE(has_pair(data, "--scrub-rate", "0"));
  EXPECT_TRUE(has_pair(data, "--max-sessions", "5000"));
}

TEST(UpPlan, binds_the_default_port_elsewhere_only_when_told_so) {
  const auto plan = plan_up({.data = "/d", .bind = "0.0.0.0"}, {});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->port_specs, Words{"udp:0.0.0.0:7070"});
}

TEST(UpPlan, refuses_flags_that_contradict_or_are_off) {
  const Globals globals;
  EXPECT_FALSE(plan_up({.data = "/d", .memory_only = true}, globals));
  EXPECT_FALSE(plan_up({.data = "/d", .ports = {"udp:0.0.0.0:1"}, .bind = "0.0.0.0"}, globals));
  EXPECT_FALSE(plan_up({.data = "/d", .bind = "everywhere"}, globals));
  EXPECT_FALSE(plan_up({.data = "/d", .listeners = {"514"}}, globals));
  EXPECT_FALSE(plan_up({.data = "/d", .cores = "0-3"}, globals));
  EXPECT_FALSE(plan_up({.data = "/d", .journal_size = "1G"}, globals));
  EXPECT_FALSE(plan_up({.data = "/d", .listeners = {"60000=a"}},
                       {.port_offset = 10'000, .has_port_offset = true}));
  EXPECT_FALSE(plan_up({.data = "/d", .scrub_rate = "1KiB"}, globals));
  const auto size = plan_up({.data = "/d", .journal_size = "1KiB"}, globals);
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().message(), "--journal-size: the journal's size is 64MiB to 16TiB");
}

TEST(UpPlan, gives_each_port_offset_a_data_directory_of_its_own) {
  const auto first = default_data_directory(0);
  const auto second = default_data_directory(3);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*second, *first + "-3");
}

TEST(Programs, are_looked_for_beside_this_one_and_around_it_in_the_build_tree) {
  const auto directories = program_directories("/src/build/control/millrace");
  EXPECT_EQ(directories.front(), "/src/build/control");
  for (const char* place : {"/src/build", "/src/build/dataplane", "/src/build/dataplane/core"}) {
    EXPECT_NE(std::find(directories.begin(), directories.end(), place), directories.end()) << place;
  }
}

TEST(Programs, that_are_missing_are_an_error_with_the_fix) {
  const auto program = find_program("millraced", "/no/such/directory");
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().code(), base::ErrorCode::not_found);
  EXPECT_NE(program.error().message().find("--programs"), std::string_view::npos);
}

}  // namespace
}  // namespace millrace::cli

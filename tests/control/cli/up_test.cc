// The real `millrace` and `millrace-control` with a fake millraced: start, verbs, supervision,
// stop.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "control/config/node_config.h"
#include "tests/control/cli/program_run.h"

namespace millrace::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A port offset whose admin port is free now.
int free_port_offset() {
  for (int offset = 2000 + getpid() % 20'000;; ++offset) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(control::admin_port_default + offset));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    close(fd);
    if (bound == 0) return offset;
  }
}

class UpTest : public testing::Test {
 protected:
  UpTest() {
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    fs::create_directory(directory_ + "/programs");
    fs::create_symlink(FAKE_MILLRACED_PATH, directory_ + "/programs/millraced");
    fs::create_symlink(MILLRACE_CONTROL_PATH, directory_ + "/programs/millrace-control");
  }
  ~UpTest() override {
    up_.reset();
    fs::remove_all(directory_);
  }

  std::vector<std::string> command(std::vector<std::string> words) const {
    words.insert(words.begin(), {MILLRACE_PATH, "--port-offset", std::to_string(offset_)});
    return words;
  }
  ProgramRun& up(std::vector<std::string> flags, std::vector<std::string> environment = {}) {
    std::vector<std::string> words = {"up", "--programs", directory_ + "/programs"};
    words.insert(words.end(), flags.begin(), flags.end());
    environment.push_back("TMPDIR=" + directory_);
    up_ = std::make_unique<ProgramRun>(command(words), directory_ + "/up", environment);
    return *up_;
  }
  int run(std::vector<std::string> words) {
    ProgramRun verb(command(std::move(words)), directory_ + "/verb");
    const int code = verb.wait();
    out_ = verb.out();
    err_ = verb.err();
    return code;
  }
  json status() {
    EXPECT_EQ(run({"status", "-o", "json"}), 0) << err_;
    return json::parse(out_, nullptr, false);
  }
  std::string data() const { return directory_ + "/data"; }

  std::string directory_ = testing::TempDir() + "up-XXXXXX";
  int offset_ = free_port_offset();
  std::unique_ptr<ProgramRun> up_;
  std::string out_;
  std::string err_;
};

TEST_F(UpTest, starts_says_what_to_type_next_serves_and_stops_cleanly) {
  auto& node = up({"--data", data(), "--listen", "514=syslog,partitions=2"});
  ASSERT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << node.err();
  EXPECT_EQ(out_, "ready\n");
  ASSERT_TRUE(eventually([&] { return node.out().find("Ctrl-C stops") != std::string::npos; }));
  EXPECT_NE(node.out().find(fmt::format("--port-offset {} topic create events", offset_)),
            std::string::npos)
      << node.out();

  const json pids = status()["pids"];
  EXPECT_EQ(pids["up"], node.pid());
  EXPECT_EQ(run({"topic", "create", "events", "--partitions", "3"}), 0) << err_;
  EXPECT_EQ(out_, "created topic events\n");
  EXPECT_EQ(run({"topic", "create", "events"}), 1);
  EXPECT_NE(err_.find("already exists"), std::string::npos);
  EXPECT_EQ(run({"topic", "create", "events", "--if-not-exists"}), 0);
  EXPECT_EQ(run({"topic", "list", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_)["topics"].size(), 2U);
  EXPECT_EQ(run({"topic", "list"}), 0);
  EXPECT_EQ(out_.rfind("NAME    PARTITIONS  DURABILITY", 0), 0U) << out_;
  EXPECT_EQ(run({"topic", "describe", "events", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_)["offsets"].size(), 3U);
  EXPECT_EQ(run({"topic", "delete", "events"}), 0);
  EXPECT_EQ(run({"topic", "describe", "events"}), 3);
  EXPECT_EQ(run({"status"}), 0);
  EXPECT_NE(out_.find("DURABILITY  flush on fake\n"), std::string::npos) << out_;

  node.signal(SIGINT);
  EXPECT_EQ(node.wait(), 0) << node.err();
  EXPECT_NE(kill(pids["millraced"].get<int>(), 0), 0);
  EXPECT_NE(kill(pids["millrace-control"].get<int>(), 0), 0);
  EXPECT_EQ(run({"status"}), 6);
}

TEST_F(UpTest, brings_either_plane_back_after_kill_9_and_keeps_the_catalog) {
  auto& node = up({"--data", data()});
  ASSERT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << node.err();
  ASSERT_EQ(run({"topic", "create", "kept"}), 0) << err_;
  for (const char* name : {"millrace-control", "millraced"}) {
    const int pid = status()["pids"][name].get<int>();
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    ASSERT_TRUE(eventually([&] {
      return node.err().find(fmt::format("{} ended with signal 9", name)) != std::string::npos;
    }));
    ASSERT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << node.err();
    EXPECT_NE(status()["pids"][name], pid);
    EXPECT_EQ(run({"topic", "describe", "kept", "-o", "json"}), 0) << err_;
    EXPECT_EQ(json::parse(out_)["offsets"][0]["present"], true);
  }
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait(), 0) << node.err();
}

TEST_F(UpTest, leaves_no_child_behind_when_it_is_killed_itself) {
  auto& node = up({"--data", data()});
  ASSERT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << node.err();
  const json pids = status()["pids"];
  node.signal(SIGKILL);
  node.wait();
  for (const char* name : {"millraced", "millrace-control"}) {
    EXPECT_TRUE(eventually([&] { return kill(pids[name].get<int>(), 0) != 0; })) << name;
  }
  auto& again = up({"--data", data()});
  EXPECT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << again.err();
}

TEST_F(UpTest, refuses_a_data_directory_that_is_in_use_and_says_by_whom) {
  auto& node = up({"--data", data()});
  ASSERT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << node.err();
  EXPECT_EQ(run({"up", "--programs", directory_ + "/programs", "--data", data()}), 1);
  EXPECT_NE(err_.find(fmt::format("pid {}", node.pid())), std::string::npos) << err_;
}

TEST_F(UpTest, refuses_a_taken_admin_port_at_once_with_the_fix) {
  auto& node = up({"--data", data()});
  ASSERT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << node.err();
  EXPECT_EQ(run({"up", "--programs", directory_ + "/programs", "--data", data() + "-2"}), 1);
  EXPECT_NE(err_.find("is taken by another program"), std::string::npos) << err_;
}

TEST_F(UpTest, memory_only_leaves_nothing_behind) {
  auto& node = up({"--memory-only"});
  ASSERT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << node.err();
  EXPECT_TRUE(status()["data"].is_null());
  const auto leftovers = [&] {
    int count = 0;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      count += entry.path().filename().string().rfind("millrace-memory-", 0) == 0 ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(leftovers(), 1);
  node.signal(SIGKILL);
  node.wait();
  auto& second = up({"--memory-only"});
  ASSERT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << second.err();
  EXPECT_EQ(leftovers(), 1) << "the killed one's was removed";
  second.signal(SIGTERM);
  EXPECT_EQ(second.wait(), 0);
  EXPECT_EQ(leftovers(), 0);
}

TEST_F(UpTest, gives_up_at_once_on_a_program_that_says_what_is_wrong) {
  auto& node = up({"--data", data()}, {"FAKE_MILLRACED=fail"});
  EXPECT_EQ(node.wait(), 1);
  EXPECT_NE(node.err().find("last words: millraced: the fake was told to fail"), std::string::npos)
      << node.err();
}

TEST_F(UpTest, gives_up_on_a_program_that_dies_again_and_again) {
  auto& node = up({"--data", data()}, {"FAKE_MILLRACED=die"});
  EXPECT_EQ(node.wait(), 1);
  EXPECT_NE(node.err().find("5th time within 10 s"), std::string::npos) << node.err();
}

TEST_F(UpTest, kills_a_program_that_does_not_stop_when_asked_twice) {
  auto& node = up({"--data", data()}, {"FAKE_MILLRACED=stuck"});
  ASSERT_EQ(run({"wait", "--timeout", "50s"}), 0) << err_ << node.err();
  node.signal(SIGINT);
  // The control plane is gone once the first signal has been dealt with.
  ASSERT_TRUE(eventually([&] { return run({"status"}) == 6; }));
  node.signal(SIGINT);
  EXPECT_EQ(node.wait(), 1);
  EXPECT_NE(node.err().find("millraced did not stop in time"), std::string::npos) << node.err();
}

TEST_F(UpTest, wrong_usage_and_absent_nodes_have_exit_codes_of_their_own) {
  EXPECT_EQ(run({"topic", "list"}), 6);
  EXPECT_NE(err_.find("millrace up"), std::string::npos);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(run({"wait", "--timeout", "50ms"}), 4);
  EXPECT_EQ(run({"wait", "--timeout", "50"}), 2);
  EXPECT_EQ(run({"up", "--data", data(), "--cores", "all"}), 2);
  EXPECT_EQ(run({"up", "--config", directory_ + "/missing.toml"}), 2);
  EXPECT_EQ(run({"topic", "create", "a/b"}), 2);
  EXPECT_EQ(run({"topic", "create", "a", "-p", "0"}), 2);
  EXPECT_EQ(run({"frobnicate"}), 2);
  EXPECT_NE(err_.find("frobnicate"), std::string::npos) << err_;
  EXPECT_EQ(run({"status", "-o", "xml"}), 2);
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_EQ(run({"topic", "create", "--help"}), 0);
  EXPECT_NE(out_.find("--partitions"), std::string::npos);
}

}  // namespace
}  // namespace millrace::cli

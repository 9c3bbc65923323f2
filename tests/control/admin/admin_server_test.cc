// The admin API over a real loopback port, with a fake data plane in the region.
#include "control/admin/admin_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "control/admin/elastic_workers.h"
#include "control/cli/admin_client.h"
#include "tests/control/fake_data_plane.h"

namespace millrace::control {
namespace {

using nlohmann::json;

class AdminServerTest : public testing::Test {
 protected:
  AdminServerTest()
      : topics_(std::move(*Catalog::open(":memory:")), *region_),
        node_{*region_, topics_, events_, "/data", 4711},
        server_(std::move(*AdminServer::start(node_, "127.0.0.1", 0))),
        client_("127.0.0.1", server_.port()) {}

  void start_data_plane() {
    plane_.emplace(*region_);
    for (int i = 0; i < 5000 && !is_ready(node_); ++i) {
      ASSERT_TRUE(topics_.pump());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_TRUE(is_ready(node_));
  }
  json get(const std::string& path, int expected_status = 200) {
    const auto reply = client_.get(path);
    if (!reply) return ADD_FAILURE() << reply.error().message(), json();
    EXPECT_EQ(reply->status, expected_status) << reply->body;
    return json::parse(reply->body, nullptr, false);
  }
  json post(const std::string& body, int expected_status) {
    const auto reply = client_.post("/v1/topics", body);
    if (!reply) return ADD_FAILURE() << reply.error().message(), json();
    EXPECT_EQ(reply->status, expected_status) << reply->body;
    return json::parse(reply->body, nullptr, false);
  }
  // Bytes as they are, and the answer's head: for requests that no client would make.
  std::string exchange(const std::string& request) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(server_.port()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
    std::string answer;
    char bytes[4096];
    ssize_t count = 0;
    while (answer.find("\r\n\r\n") == std::string::npos &&
           (count = read(fd, bytes, sizeof bytes)) > 0) {
      answer.append(bytes, static_cast<std::size_t>(count));
    }
    close(fd);
    return answer;
  }

  std::unique_ptr<link::Region> region_ = std::make_unique<link::Region>();
  TopicService topics_;
  EventLog events_;
  Node node_;
  AdminServer server_;
  cli::AdminClient client_;
  std::optional<FakeDataPlaneThread> plane_;
};

TEST_F(AdminServerTest, lives_before_it_is_ready_and_says_what_is_missing) {
  EXPECT_EQ(client_.get("/livez")->status, 200);
  const auto before = client_.get("/readyz?verbose");
  EXPECT_EQ(before->status, 503);
  EXPECT_NE(before->body.find("[-]dataplane failed: down\n"), std::string::npos) << before->body;
  EXPECT_NE(before->body.find("[-]catalog failed:"), std::string::npos);
  start_data_plane();
  EXPECT_EQ(client_.get("/readyz")->body, "ready\n");
  EXPECT_EQ(client_.get("/readyz?verbose")->body,
            "[+]process ok\n[+]dataplane ok\n[+]catalog ok\n[+]ports ok\n[+]storage ok\nready\n");
}

TEST_F(AdminServerTest, is_not_ready_with_a_port_down_or_a_failed_device) {
  start_data_plane();
  region_->ports[0].live.set(0);
  EXPECT_NE(client_.get("/readyz")->body.find("[-]ports failed: kernel-udp 127.0.0.1:7070"),
            std::string::npos);
  region_->ports[0].live.set(1);
  region_->shards[0].failed.set(1);
  EXPECT_EQ(client_.get("/readyz")->status, 503);
}

TEST_F(AdminServerTest, creates_lists_describes_and_deletes_topics) {
  start_data_plane();
  const json created = post(R"({"name": "events", "partitions": 2, "durability": "memory"})", 201);
  EXPECT_EQ(created["name"], "events");
  EXPECT_EQ(created["state"], "ready");
  EXPECT_EQ(created["durability"], "memory");

  const json list = get("/v1/topics");
  ASSERT_EQ(list["topics"].size(), 1U);
  EXPECT_EQ(list["topics"][0]["partitions"], 2);
  EXPECT_EQ(list["topics"][0]["records"], 20);

  const json described = get("/v1/topics/events");
  ASSERT_EQ(described["offsets"].size(), 2U);
  EXPECT_EQ(described["offsets"][1]["partition"], 1);
  EXPECT_EQ(described["offsets"][1]["log_end"], 10);
  EXPECT_EQ(described["offsets"][1]["durable_end"], 8);
  EXPECT_EQ(described["offsets"][1]["damaged"], false);

  const auto removed = client_.remove("/v1/topics/events");
  EXPECT_EQ(removed->status, 200) << removed->body;
  EXPECT_EQ(json::parse(removed->body)["state"], "deleted");
  EXPECT_EQ(get("/v1/topics/events", 404)["error"]["code"], "not_found");
}

TEST_F(AdminServerTest, changes_what_a_topic_keeps_and_deletes_its_oldest_records) {
  start_data_plane();
  const json created = post(R"({"name": "t", "partitions": 2, "retention_ms": 1000})", 201);
  EXPECT_EQ(created["retention_ms"], 1000);
  EXPECT_EQ(created["retention_bytes"], -1);
  const auto patch = [&](const std::string& body) {
    return client_.patch("/v1/topics/t", body)->status;
  };
  EXPECT_EQ(created["tombstones_ms"], -1);
  EXPECT_EQ(patch(R"({"retention_bytes": 5000, "tombstones_ms": 60000})"), 200);
  EXPECT_EQ(get("/v1/topics/t")["tombstones_ms"], 60000);
  EXPECT_EQ(get("/v1/topics/t")["retention_bytes"], 5000);
  EXPECT_EQ(get("/v1/topics/t")["retention_ms"], 1000);
  for (const char* wrong : {"", "[]", R"({"retention_ms": "1d"})", R"({"retention_ms": 0})",
                            R"({"name": "u"})", R"({"retention_ms": 1.5})"})
    EXPECT_EQ(patch(wrong), 400) << wrong;
  EXPECT_EQ(client_.patch("/v1/topics/u", "{}")->status, 404);

  const auto trim = [&](const std::string& body) {
    return client_.post("/v1/topics/t/delete-records", body)->status;
  };
  EXPECT_EQ(trim(R"({"partition": 1, "before": 7})"), 200);
  EXPECT_EQ(get("/v1/topics/t")["offsets"][1]["log_start"], 7);
  EXPECT_EQ(get("/v1/topics/t")["offsets"][0]["log_start"], 0);
  for (const char* wrong : {"", "{}", R"({"before": -1})", R"({"before": 1, "partition": 2})",
                            R"({"before": 1, "partition": -1})", R"({"before": 1, "x": 1})"})
    EXPECT_EQ(trim(wrong), 400) << wrong;
  EXPECT_EQ(client_.post("/v1/topics/u/delete-records", R"({"before": 1})")->status, 404);
  EXPECT_EQ(client_.get("/v1/topics/t/delete-records")->status, 405);
}

TEST_F(AdminServerTest, takes_a_topic_while_the_data_plane_is_away_and_says_pending) {
  EXPECT_EQ(post(R"({"name": "early"})", 202)["state"], "pending");
  EXPECT_EQ(get("/v1/topics/early")["offsets"][0]["present"], false);
  EXPECT_EQ(client_.post("/v1/topics/early/delete-records", R"({"before": 1})")->status, 503);
  start_data_plane();
  EXPECT_EQ(get("/v1/topics/early")["offsets"][0]["present"], true);
}

TEST_F(AdminServerTest, answers_what_is_wrong_with_a_request) {
  start_data_plane();
  for (const char* body :
       {"", "{", "[]", "{}", R"({"name": 3})", R"({"name": "a b"})", R"({"name": "a", "x": 1})",
        R"({"name": "a", "partitions": 0})", R"({"name": "a", "partitions": 10001})",
        R"({"name": "a", "partitions": -1})", R"({"name": "a", "partitions": 1.5})",
        R"({"name": "a", "partitions": 99999999999999999999})",
        R"({"name": "a", "durability": "perhaps"})"}) {
    const json answer = post(body, 400);
    EXPECT_EQ(answer["error"]["code"], "invalid_argument") << body;
    EXPECT_FALSE(answer["error"]["message"].get<std::string>().empty()) << body;
  }
  post(R"({"name": "a"})", 201);
  EXPECT_EQ(post(R"({"name": "a"})", 409)["error"]["code"], "already_exists");
  EXPECT_EQ(client_.remove("/v1/topics/b")->status, 404);
  EXPECT_EQ(client_.remove("/v1/topics")->status, 405);
  EXPECT_EQ(get("/v1/topics/..%2f..", 400)["error"]["code"], "invalid_argument");
  EXPECT_EQ(get("/nothing", 404)["error"]["code"], "not_found");
}

TEST_F(AdminServerTest, status_has_pids_ports_the_ledger_and_durability) {
  start_data_plane();
  region_->ports[0].rx_packets.set(12);
  region_->ports[0].delivered[0].set(9);
  region_->ports[0].dropped[static_cast<std::size_t>(base::DropReason::no_listener)].set(3);
  const json status = get("/v1/status");
  EXPECT_EQ(status["state"], "ready");
  EXPECT_EQ(status["pids"]["up"], 4711);
  EXPECT_EQ(status["pids"]["millraced"], getpid());
  EXPECT_EQ(status["pids"]["millrace-control"], getpid());
  ASSERT_EQ(status["ports"].size(), 1U);
  EXPECT_EQ(status["ports"][0]["path"], "kernel-udp 127.0.0.1:7070");
  EXPECT_EQ(status["ports"][0]["live"], true);
  EXPECT_EQ(status["ports"][0]["rx_packets"], 12);
  EXPECT_EQ(status["drops"], json({{"no_listener", 3}, {"total", 3}}));
  EXPECT_EQ(status["deliveries"]["native"], 9);
  EXPECT_EQ(status["ledger"],
            json({{"received", 12}, {"delivered", 9}, {"dropped", 3}, {"balance", 0}}));
  EXPECT_EQ(status["durability"], "flush");
  EXPECT_EQ(status["device"], "fake");
  EXPECT_EQ(status["data"], "/data");
  EXPECT_EQ(status["cores"].size(), 2U);
  EXPECT_EQ(status["shards"].size(), 1U);
  for (const char* key : {"version", "memory", "events", "uptime_s"}) {
    EXPECT_TRUE(status.contains(key)) << key;
  }
}

TEST_F(AdminServerTest, status_survives_text_in_the_region_that_is_not_utf_8) {
  region_->device.set("disk \xff\xfe");
  EXPECT_TRUE(get("/v1/status")["device"].is_string());
}

TEST_F(AdminServerTest, turns_away_requests_that_a_foreign_page_made) {
  const auto status_line = [&](const std::string& headers) {
    return exchange("GET /v1/topics HTTP/1.1\r\n" + headers + "Connection: close\r\n\r\n")
        .substr(0, 12);
  };
  EXPECT_EQ(status_line("Host: 127.0.0.1:9644\r\n"), "HTTP/1.1 200");
  EXPECT_EQ(status_line("Host: LocalHost\r\n"), "HTTP/1.1 200");
  EXPECT_EQ(status_line("Host: [::1]:9644\r\n"), "HTTP/1.1 200");
  EXPECT_EQ(status_line("Host: evil.example\r\n"), "HTTP/1.1 403");
  EXPECT_EQ(status_line("Host: 127.0.0.1.evil.example:9644\r\n"), "HTTP/1.1 403");
  EXPECT_EQ(status_line("Host: localhost\r\nOrigin: http://localhost:9644\r\n"), "HTTP/1.1 200");
  EXPECT_EQ(status_line("Host: localhost\r\nOrigin: http://evil.example\r\n"), "HTTP/1.1 403");
  EXPECT_EQ(status_line("Host: localhost\r\nOrigin: null\r\n"), "HTTP/1.1 403");
  EXPECT_EQ(status_line(""), "HTTP/1.1 403");
}

TEST_F(AdminServerTest, answers_garbage_and_goes_on) {
  EXPECT_EQ(exchange("complete nonsense\r\n\r\n").substr(0, 12), "HTTP/1.1 400");
  const std::string huge(100'000, 'x');
  const std::string answer = exchange(
      fmt::format("POST /v1/topics HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                  huge.size(), huge));
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 413");
  EXPECT_EQ(client_.get("/livez")->status, 200);
}

TEST_F(AdminServerTest, a_taken_port_is_refused_with_the_fix) {
  const auto second = AdminServer::start(node_, "127.0.0.1", server_.port());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), base::ErrorCode::already_exists);
  EXPECT_NE(second.error().message().find("--port-offset"), std::string_view::npos);
  const auto nowhere = AdminServer::start(node_, "192.0.2.1", 0);
  ASSERT_FALSE(nowhere);
}

TEST_F(AdminServerTest, serves_while_more_clients_than_usual_hold_connections) {
  std::vector<int> held;
  for (int i = 0; i < 20; ++i) {
    held.push_back(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(server_.port()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(held.back(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the backlog is 5
  }
  EXPECT_EQ(client_.get("/livez")->status, 200);
  for (const int fd : held) close(fd);
}

TEST(ElasticWorkers, run_what_was_given_before_the_end_and_grow_only_to_their_limit) {
  ElasticWorkers workers(3);
  std::mutex mutex;
  std::condition_variable opened;
  bool is_open = false;
  int done = 0;
  const auto task = [&] {
    std::unique_lock lock(mutex);
    opened.wait(lock, [&] { return is_open; });
    ++done;
  };
  for (int i = 0; i < 6; ++i) workers.enqueue(task);
  EXPECT_EQ(workers.thread_count(), 3U);
  {
    const std::lock_guard lock(mutex);
    is_open = true;
  }
  opened.notify_all();
  workers.shutdown();
  EXPECT_EQ(done, 6);
  EXPECT_EQ(workers.thread_count(), 0U);
}

}  // namespace
}  // namespace millrace::control

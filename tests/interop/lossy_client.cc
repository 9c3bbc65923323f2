// lossy_client ADDRESS TOPIC COUNT SEED: publishes COUNT numbered records to an empty topic and
// reads them back at the same time, over a port that drops, doubles and delays a tenth of the
// packets of each direction. It ends with 0 when every record came once and in order.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "dataplane/client/client.h"
#include "dataplane/client/open_port.h"
#include "tests/support/lossy_port.h"

namespace millrace::test {
namespace {

constexpr std::uint32_t trouble_permille = 100;
constexpr std::uint64_t hang_ns = 100 * base::second_ns;
// Records of all sizes up to this, so that some take several packets.
constexpr std::uint64_t value_bytes_max = 6000;

std::string record_value(std::uint64_t number) {
  return std::to_string(number) +
         std::string(number * 7919 % value_bytes_max / (number % 8 + 1), '.');
}

class LossyClient {
 public:
  LossyClient(client::OpenPort& opened, const base::Endpoint& server, std::uint64_t seed)
      : opened_(opened),
        port_(opened.port(), weather(seed), weather(seed + 1)),
        client_(port_, clock_, options(server, opened.local_port(), seed)) {}

  // An exit code, with what went wrong on standard error.
  int run(const std::string& topic, std::uint64_t count) {
    client::ProducerOptions producing;
    producing.topic = topic;
    producing.producer_id = 1;
    client::Producer* producer = client_.open_producer(producing);
    client::Subscription* subscription =
        client_.subscribe({topic, 0, native::StartAt::earliest, 0, nullptr});
    std::uint64_t offered = 0;
    const std::uint64_t give_up_ns = clock_.monotonic_ns() + hang_ns;
    while (wrong_.empty() && (seen_ < count || !producer->drained())) {
      while (offered < count && producer->offer(std::nullopt, record_value(offered)) >= 0)
        ++offered;
      if (client_.poll(&LossyClient::take, this, 1000) == 0) opened_.wait(wait_ns);
      mr_position position;
      if (producer->status() != MR_OK)
        return fail("publishing", mr_status_text(producer->status()));
      if (subscription->position(position) <= MR_INVALID) return fail("reading", "it stopped");
      if (clock_.monotonic_ns() > give_up_ns) {
        return fail("it hangs",
                    std::to_string(offered) + " offered, " + std::to_string(seen_) + " seen");
      }
    }
    if (!wrong_.empty()) return fail("a wrong record", wrong_);
    report(count);
    const bool was_lossy = port_.dropped_count() > count / 100 &&
                           port_.duplicated_count() > count / 100 &&
                           port_.held_count() > count / 100;
    return was_lossy ? 0 : fail("the port", "lost too little for this to mean anything");
  }

 private:
  static constexpr std::uint64_t wait_ns = 100 * base::us_ns;

  static WeatherOptions weather(std::uint64_t seed) {
    return {seed, trouble_permille, trouble_permille, trouble_permille};
  }
  static client::ClientOptions options(const base::Endpoint& server, std::uint16_t local_port,
                                       std::uint64_t seed) {
    client::ClientOptions options;
    options.server = server;
    options.local_port = local_port;
    options.connection.seed = seed;
    return options;
  }
  static int fail(const std::string& what, const std::string& how) {
    std::fprintf(stderr, "lossy_client: %s: %s\n", what.c_str(), how.c_str());
    return 1;
  }

  static void take(void* context, const mr_record* record) {
    auto& self = *static_cast<LossyClient*>(context);
    const std::string expected = record_value(self.seen_);
    const std::string_view value(static_cast<const char*>(record->value), record->value_bytes);
    if (self.wrong_.empty() &&
        (value != expected || record->offset != static_cast<std::int64_t>(self.seen_))) {
      self.wrong_ = "offset " + std::to_string(record->offset) + " where " +
                    std::to_string(self.seen_) + " was due: " + std::string(value.substr(0, 40));
    }
    ++self.seen_;
  }

  void report(std::uint64_t count) {
    const mr_stats stats = client_.stats();
    std::printf(
        "%llu records over %.*s; packets dropped %llu, doubled %llu, delayed %llu;"
        " repaired by us %llu; sessions %llu\n",
        static_cast<unsigned long long>(count), static_cast<int>(port_.path().size()),
        port_.path().data(), static_cast<unsigned long long>(port_.dropped_count()),
        static_cast<unsigned long long>(port_.duplicated_count()),
        static_cast<unsigned long long>(port_.held_count()),
        static_cast<unsigned long long>(stats.packets_repaired),
        static_cast<unsigned long long>(stats.sessions));
  }

  client::OpenPort& opened_;
  base::SystemClock clock_;
  LossyPort port_;
  client::Client client_;
  std::uint64_t seen_ = 0;
  std::string wrong_;
};

void complain(const base::Error& error) {
  std::fprintf(stderr, "lossy_client: %.*s\n", static_cast<int>(error.message().size()),
               error.message().data());
}

}  // namespace
}  // namespace millrace::test

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: lossy_client ADDRESS TOPIC COUNT SEED\n");
    return 2;
  }
  const auto address = millrace::client::parse_address(argv[1]);
  if (!address) return millrace::test::complain(address.error()), 2;
  auto opened = millrace::client::OpenPort::open(*address);
  if (!opened) return millrace::test::complain(opened.error()), 6;
  millrace::test::LossyClient client(*opened, address->server, std::strtoull(argv[4], nullptr, 10));
  return client.run(argv[2], std::strtoull(argv[3], nullptr, 10));
}

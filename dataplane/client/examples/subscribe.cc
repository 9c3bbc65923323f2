// subscribe ADDRESS TOPIC [PARTITION]: prints every record from the earliest on, a line each.
#include <cstdio>
#include <cstdlib>

#include "millrace.hpp"

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: subscribe ADDRESS TOPIC [PARTITION]\n");
    return 2;
  }
  auto client = millrace::Client::connect(argv[1]);
  if (!client) {
    std::fprintf(stderr, "subscribe: %s\n", client.error().c_str());
    return 6;
  }
  const auto partition =
      static_cast<std::uint32_t>(argc == 4 ? std::strtoul(argv[3], nullptr, 10) : 0);
  auto subscription = client->subscribe(argv[2], partition, MR_FROM_EARLIEST);
  if (!subscription) {
    std::fprintf(stderr, "subscribe: %s\n", subscription.error().c_str());
    return 1;
  }
  for (;;) {
    client->poll([](const millrace::RecordView& record) {
      std::fwrite(record.value().data(), 1, record.value().size(), stdout);
      std::fputc('\n', stdout);
    });
    std::fflush(stdout);
    const int status = subscription->status();
    if (status <= MR_INVALID) {  // the passing ones lie above it
      std::fprintf(stderr, "subscribe: %s\n", millrace::status_text(status));
      return 1;
    }
    client->wait(1'000'000);
  }
}

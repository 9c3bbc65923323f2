// publish ADDRESS TOPIC: a record for each line of standard input, durable when it returns.
#include <cstdio>
#include <iostream>
#include <string>

#include "millrace.hpp"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: publish ADDRESS TOPIC   (publish 127.0.0.1:7070 greetings)\n");
    return 2;
  }
  auto client = millrace::Client::connect(argv[1]);
  if (!client) {
    std::fprintf(stderr, "publish: %s\n", client.error().c_str());
    return 6;
  }
  auto producer = client->open_producer(argv[2]);
  if (!producer) {
    std::fprintf(stderr, "publish: %s\n", producer.error().c_str());
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);) {
    std::int64_t sequence = producer->offer(line);
    // Not connected yet, or the node is behind: let the client work, and try again.
    while (sequence == MR_NOT_CONNECTED || sequence == MR_BACK_PRESSURED ||
           sequence == MR_NOT_READY || sequence == MR_SERVER_FULL) {
      client->wait(100'000);
      client->poll();
      sequence = producer->offer(line);
    }
    if (sequence < 0) {
      std::fprintf(stderr, "publish: %s\n", millrace::status_text(sequence));
      return 1;
    }
  }
  const int status = producer->drain(30'000);
  mr_acks acks;
  producer->poll_acks(acks);
  std::fprintf(stderr, "publish: %lld records durable\n", static_cast<long long>(acks.durable));
  if (status == MR_OK) return 0;
  std::fprintf(stderr, "publish: %s\n", millrace::status_text(status));
  return status == MR_TIMED_OUT ? 4 : 1;
}

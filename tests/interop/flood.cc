// flood ADDRESS TOPIC COUNT SEED: sends COUNT packets that are wrong to a node.
//
// A real client works first, over a port that keeps copies of all it sends, and says goodbye; a
// second one stays connected. Their packets are then sent again as they were (of a session that is
// over, or out of turn), cut short, grown, with bits flipped, with extreme numbers in their fields,
// with another session's id; between them goes noise. On Ethernet ports the headers in front are
// spoiled as well. Prints how many packets of each kind have left.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "dataplane/client/client.h"
#include "dataplane/client/open_port.h"
#include "dataplane/net/headers.h"
#include "dataplane/net/write.h"
#include "tests/interop/recording_port.h"

namespace millrace::test {
namespace {

enum class Fault : std::uint8_t {
  noise,
  truncated,
  replayed,
  grown,
  bits_flipped,
  extreme_field,
  other_session,
  headers_spoiled,
  count_
};
constexpr std::array<const char*, static_cast<std::size_t>(Fault::count_)> fault_names = {
    "noise",        "truncated",     "replayed",      "grown",
    "bits_flipped", "extreme_field", "other_session", "headers_spoiled"};
constexpr std::uint64_t hang_ns = 60 * base::second_ns;
constexpr std::uint32_t seed_records = 300;
constexpr std::size_t session_at = 2;  // in the native header

class Flood {
 public:
  Flood(client::OpenPort& opened, const base::Endpoint& server, std::uint64_t seed)
      : opened_(opened), port_(opened.port()), server_(server), random_(seed) {
    headers_bytes_ = port_.framing() == port::Framing::ethernet ? net::udp_headers_bytes : 0;
  }

  // Records what two clients send; false when the node does not answer them.
  bool collect(const std::string& topic) {
    client::Client first(recorder_, clock_, options());
    if (!work(first, topic)) return false;
    live_ = std::make_unique<client::Client>(recorder_, clock_, options());
    if (!work(*live_, topic)) return false;
    for (const PacketBytes& packet : recorder_.sent()) {
      if (packet.size() > headers_bytes_) seeds_.push_back(packet);  // no ARP
    }
    return !seeds_.empty();
  }

  void send(std::uint64_t count) {
    std::uint64_t sent = 0;
    while (sent < count) {
      std::array<port::TxFrame, port::burst_max> frames;
      const std::uint32_t got = port_.allocate_frames(
          {frames.data(), std::min<std::size_t>(frames.size(), count - sent)});
      for (std::uint32_t i = 0; i < got; ++i) fill(frames[i]);
      port_.send_frames({frames.data(), got});
      sent += got;
      take_answers();
      if (got == 0) opened_.wait(100 * base::us_ns);
    }
    opened_.wait(base::ms_ns);
  }

  void report() const {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      std::printf("%s %llu\n", fault_names[i], static_cast<unsigned long long>(counts_[i]));
    }
  }

 private:
  client::ClientOptions options() {
    client::ClientOptions options;
    options.server = server_;
    options.local_port = opened_.local_port();
    options.connection.seed = random_();
    options.connection.idle_timeout_ms = 3000;
    return options;
  }

  // Publishes and reads small records and one of many packets.
  bool work(client::Client& client, const std::string& topic) {
    client::ProducerOptions producing;
    producing.topic = topic;
    // Nobody else's: an OPEN with a bit flipped in its epoch fences whoever has this id.
    producing.producer_id = base::ProducerId(random_() >> 1);
    client::Producer* producer = client.open_producer(producing);
    client.subscribe({topic, 0, native::StartAt::earliest, 0, nullptr});
    const std::string large(100'000, 'x');
    std::uint32_t offered = 0;
    std::uint32_t seen = 0;
    const std::uint64_t give_up_ns = clock_.monotonic_ns() + hang_ns;
    while (offered < seed_records || !producer->drained() || seen < seed_records) {
      const bool is_large = offered == seed_records / 2;
      if (offered < seed_records &&
          producer->offer(std::nullopt, is_large ? large : std::to_string(offered)) >= 0) {
        ++offered;
      }
      const auto count_record = [](void* count, const mr_record*) {
        ++*static_cast<std::uint32_t*>(count);
      };
      if (client.poll(count_record, &seen, 100) == 0) opened_.wait(100 * base::us_ns);
      if (clock_.monotonic_ns() > give_up_ns) {
        const mr_stats stats = client.stats();
        std::fprintf(stderr,
                     "flood: %u offered, %sdrained (status %d), %u delivered; connection %d, "
                     "sessions %llu\n",
                     offered, producer->drained() ? "" : "not ", producer->status(), seen,
                     client.status(), static_cast<unsigned long long>(stats.sessions));
        return false;
      }
    }
    return true;
  }

  void fill(port::TxFrame& frame) {
    auto fault = static_cast<Fault>(random_() % static_cast<std::uint64_t>(Fault::count_));
    if (headers_bytes_ == 0 && fault == Fault::headers_spoiled) fault = Fault::noise;
    const auto& seeds = fault == Fault::headers_spoiled ? recorder_.sent() : seeds_;
    const PacketBytes& seed = seeds[random_() % seeds.size()];
    frame.bytes = std::min(frame.capacity, static_cast<std::uint32_t>(seed.size()));
    std::memcpy(frame.data, seed.data(), frame.bytes);
    if (fault == Fault::headers_spoiled) {
      spoil_headers(frame);
    } else {
      std::byte* payload = frame.data + headers_bytes_;
      const std::uint32_t payload_max =
          std::min(frame.capacity - headers_bytes_, port_.payload_bytes_max());
      const std::uint32_t bytes = spoil(fault, payload, frame.bytes - headers_bytes_, payload_max);
      address(frame, bytes);
    }
    ++counts_[static_cast<std::size_t>(fault)];
  }

  // The payload's new size.
  std::uint32_t spoil(Fault fault, std::byte* payload, std::uint32_t bytes,
                      std::uint32_t payload_max) {
    switch (fault) {
      case Fault::noise:
        return grow(payload, 0, static_cast<std::uint32_t>(random_() % (payload_max + 1)));
      case Fault::truncated:
        return static_cast<std::uint32_t>(random_() % (bytes + 1));
      case Fault::grown:
        return grow(payload, bytes,
                    bytes + static_cast<std::uint32_t>(random_() % (payload_max - bytes + 1)));
      case Fault::bits_flipped:
        for (std::uint64_t flips = 1 + random_() % 8; flips > 0; --flips) {
          payload[random_() % bytes] ^= std::byte{1} << (random_() % 8);
        }
        return bytes;
      case Fault::extreme_field: {
        const std::uint32_t width = 1U << (random_() % 4);
        if (bytes > width) {
          std::memset(payload + random_() % (bytes - width), random_() % 2 == 0 ? 0 : 0xFF, width);
        }
        return bytes;
      }
      case Fault::other_session: {
        const auto session = static_cast<std::uint32_t>(random_());
        if (bytes >= session_at + sizeof session) {
          std::memcpy(payload + session_at, &session, sizeof session);
        }
        return bytes;
      }
      default:
        return bytes;  // replayed
    }
  }

  // Random bytes from `from` to `to`, where something was before or not.
  std::uint32_t grow(std::byte* payload, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t at = from; at < to; at += sizeof(std::uint64_t)) {
      const std::uint64_t random = random_();
      std::memcpy(payload + at, &random, std::min<std::size_t>(sizeof random, to - at));
    }
    return to;
  }

  // Headers that are right, so that the payload is what is looked at.
  void address(port::TxFrame& frame, std::uint32_t payload_bytes) {
    frame.bytes = headers_bytes_ + payload_bytes;
    frame.to = server_;
    frame.local_port = opened_.local_port();
    if (headers_bytes_ == 0) return;
    std::memcpy(frame.to.mac.data(), seeds_[0].data(), frame.to.mac.size());
    net::write_udp_headers(frame.data, {port_.mac(), port_.ipv4()}, frame.to, frame.local_port,
                           payload_bytes);
  }

  void spoil_headers(port::TxFrame& frame) {
    if (random_() % 4 == 0) {
      // A device pads short frames; the sizes in the headers are then what is wrong.
      frame.bytes = static_cast<std::uint32_t>(14 + random_() % (frame.bytes - 14));
    }
    for (std::uint64_t flips = 1 + random_() % 4; flips > 0; --flips) {
      frame.data[random_() % std::min(frame.bytes, headers_bytes_)] ^= std::byte{1}
                                                                       << (random_() % 8);
    }
  }

  void take_answers() {
    std::array<port::RxFrame, port::burst_max> frames;
    for (std::uint32_t bursts = 0; bursts < 4; ++bursts) {
      const std::uint32_t got = port_.receive_frames(frames);
      port_.release_frames({frames.data(), got});
      if (got == 0) return;
    }
  }

  client::OpenPort& opened_;
  port::Port& port_;
  base::Endpoint server_;
  std::mt19937_64 random_;
  std::uint32_t headers_bytes_ = 0;
  base::SystemClock clock_;
  RecordingPort recorder_{port_};
  std::unique_ptr<client::Client> live_;
  std::vector<PacketBytes> seeds_;  // with a payload
  std::array<std::uint64_t, static_cast<std::size_t>(Fault::count_)> counts_{};
};

void complain(const base::Error& error) {
  std::fprintf(stderr, "flood: %.*s\n", static_cast<int>(error.message().size()),
               error.message().data());
}

}  // namespace
}  // namespace millrace::test

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: flood ADDRESS TOPIC COUNT SEED\n");
    return 2;
  }
  const auto address = millrace::client::parse_address(argv[1]);
  if (!address) return millrace::test::complain(address.error()), 2;
  auto opened = millrace::client::OpenPort::open(*address);
  if (!opened) return millrace::test::complain(opened.error()), 6;
  millrace::test::Flood flood(*opened, address->server, std::strtoull(argv[4], nullptr, 10));
  if (!flood.collect(argv[2])) return std::fprintf(stderr, "flood: no answer from the node\n"), 6;
  flood.send(std::strtoull(argv[3], nullptr, 10));
  flood.report();
  return 0;
}

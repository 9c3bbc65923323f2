// powercut_load ADDRESS RECORDING BYTES LEDGER SEED TOPIC:PARTITIONS...: clients over kernel UDP
// that publish durably until a node's recording of its disk holds so many bytes, then read the
// topics back. What was offered, acknowledged and read goes to the end of the ledger.
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/client/client.h"
#include "dataplane/client/open_port.h"
#include "storage/recording_disk.h"
#include "tests/powercut/ledger.h"
#include "tests/sim/checker.h"
#include "tests/sim/random.h"
#include "tests/support/recording_reader.h"

namespace millrace::powercut {
namespace {

constexpr std::uint64_t hang_ns = 60 * base::second_ns;
constexpr useconds_t pause_us = 50;
constexpr std::uint64_t look_interval_ns = 5 * base::ms_ns;  // at the recording

// What a client's records are like. Together: frames of one block and of many, batches of one
// record and of many.
struct Habit {
  std::uint64_t filling_min, filling_max;
  std::uint64_t burst_max;
  std::uint64_t silence_us_max;
  std::uint32_t batch_bytes;
};
constexpr std::array<Habit, 3> habits = {{
    {.filling_min = 0, .filling_max = 300, .burst_max = 3, .silence_us_max = 800, .batch_bytes = 0},
    {.filling_min = 500,
     .filling_max = 3000,
     .burst_max = 12,
     .silence_us_max = 20'000,
     .batch_bytes = 32 * 1024},
    {.filling_min = 10'000,
     .filling_max = 100'000,
     .burst_max = 2,
     .silence_us_max = 100'000,
     .batch_bytes = 256 * 1024},
}};
constexpr std::uint32_t writers_max = 2;  // of a client, to one topic

struct Writer {
  std::uint64_t id = 0;
  client::Producer* producer = nullptr;
  Ledger::Producer* account = nullptr;
  std::uint64_t durable = 0;
  std::uint64_t offer_at_ns = 0;
};

struct Reader {
  const std::string* topic = nullptr;
  std::uint32_t index = 0;
  client::Subscription* subscription = nullptr;
};

struct Guest {
  Guest(client::OpenPort port, const client::ClientOptions& options)
      : opened(std::move(port)), client(opened.port(), clock, options) {}

  client::OpenPort opened;
  base::SystemClock clock;
  client::Client client;
  Habit habit{};
  std::vector<Writer> writers;
};

struct Topic {
  std::string name;
  std::uint32_t partitions = 0;
};

struct Words {
  std::string recording, ledger;
  std::uint64_t bytes = 0, seed = 0;
  std::vector<Topic> topics;
};

class Load {
 public:
  explicit Load(Words words) : words_(std::move(words)), random_(words_.seed) {}

  base::Result<void> connect(const client::Address& address) {
    for (std::size_t i = 0; i < habits.size(); ++i) {
      auto opened = client::OpenPort::open(address);
      if (!opened) return opened.error();
      client::ClientOptions options;
      options.server = address.server;
      options.local_port = opened->local_port();
      options.connection.seed = random_.next();
      Guest& guest = *guests_.emplace_back(std::make_unique<Guest>(std::move(*opened), options));
      guest.habit = habits[i];
      for (const Topic& topic : words_.topics) {
        for (std::uint32_t n = 0; n < std::min(writers_max, topic.partitions); ++n)
          add_writer(guest, topic.name, static_cast<std::uint32_t>(i + n) % topic.partitions);
      }
    }
    return {};
  }

  // Publishes until the recording is long enough and all is acknowledged.
  base::Result<void> publish() {
    std::uint64_t now_ns = storage::recording_now_ns();
    const std::uint64_t give_up_ns = now_ns + hang_ns;
    std::uint64_t look_at_ns = 0;
    bool enough = false;
    for (bool drained = false; !drained; now_ns = storage::recording_now_ns()) {
      if (now_ns > give_up_ns) return base::Error(base::ErrorCode::timeout, "publishing hangs");
      if (now_ns >= look_at_ns) {
        enough = testing::RecordingReader::used_bytes(words_.recording) >= words_.bytes;
        look_at_ns = now_ns + look_interval_ns;
      }
      drained = enough;
      for (const auto& guest : guests_) {
        guest->client.poll(nullptr, nullptr, 0);
        for (Writer& writer : guest->writers) {
          if (const int status = look_after(*guest, writer, !enough); status < 0)
            return base::Error(base::ErrorCode::io, "publishing to {} stopped: {}",
                               writer.account->topic, mr_status_text(status));
          drained &= writer.durable == writer.account->offered;
        }
      }
      usleep(pause_us);
    }
    return {};
  }

  // Notes where each record lies.
  base::Result<void> read_back() {
    seen_ns_ = storage::recording_now_ns();
    client::Client& client = guests_.front()->client;
    std::vector<Reader> readers;
    for (const Topic& topic : words_.topics) {
      for (std::uint32_t index = 0; index < topic.partitions; ++index)
        readers.push_back({&topic.name, index, subscribe(client, topic.name, index)});
    }
    for (bool done = false; !done && wrong_.empty();) {
      if (storage::recording_now_ns() > seen_ns_ + hang_ns)
        return base::Error(base::ErrorCode::timeout, "reading back hangs");
      if (client.poll(&Load::take, this, 1000) == 0) usleep(pause_us);
      done = true;
      for (Reader& reader : readers) {
        mr_position position{};
        const int status = reader.subscription->position(position);
        if (status == MR_OUT_OF_RANGE) {  // what it was to read next has gone meanwhile
          client.unsubscribe(reader.subscription);
          reader.subscription = subscribe(client, *reader.topic, reader.index);
        } else if (status <= MR_INVALID) {
          return base::Error(base::ErrorCode::io, "reading back stopped: {}",
                             mr_status_text(status));
        }
        done &=
            status == MR_OK && position.log_end >= 0 && position.next_offset == position.log_end;
      }
    }
    if (!wrong_.empty()) return base::Error(base::ErrorCode::corrupt, "read {}", wrong_);
    return {};
  }

  const Ledger& ledger() const { return ledger_; }

 private:
  void add_writer(Guest& guest, const std::string& topic, std::uint32_t index) {
    Writer writer;
    writer.id = words_.seed * 100 + ledger_.producers.size();
    writer.account = &ledger_.producers[writer.id];
    writer.account->topic = topic;
    writer.account->index = index;
    client::ProducerOptions options;
    options.topic = topic;
    options.partition = static_cast<std::int32_t>(index);
    options.producer_id = static_cast<base::ProducerId>(writer.id);
    options.batch_bytes = guest.habit.batch_bytes;
    writer.producer = guest.client.open_producer(options);
    guest.writers.push_back(writer);
  }

  static client::Subscription* subscribe(client::Client& client, const std::string& topic,
                                         std::uint32_t index) {
    client::SubscriptionOptions options;
    options.topic = topic;
    options.partition_index = static_cast<std::uint16_t>(index);
    options.start_at = native::StartAt::earliest;
    return client.subscribe(options);
  }

  int look_after(Guest& guest, Writer& writer, bool may_offer) {
    mr_acks acks{};
    const int status = writer.producer->poll_acks(acks);
    if (status < 0) return status;
    const auto durable = static_cast<std::uint64_t>(acks.durable);
    if (durable > writer.durable) {
      writer.durable = durable;
      writer.account->acks.push_back({storage::recording_now_ns(), durable});
    }
    const std::uint64_t now_ns = storage::recording_now_ns();
    if (!may_offer || !writer.producer->ready() || now_ns < writer.offer_at_ns) return MR_OK;
    const Habit& habit = guest.habit;
    for (std::uint64_t left = random_.between(1, habit.burst_max); left != 0; --left) {
      const std::uint64_t filling = random_.between(habit.filling_min, habit.filling_max);
      const std::string value = sim::Checker::value_of(writer.id, writer.account->offered, filling);
      if (writer.producer->offer(std::nullopt, value) < 0) break;
      ++writer.account->offered;
    }
    writer.offer_at_ns = now_ns + random_.below(habit.silence_us_max) * base::us_ns;
    return MR_OK;
  }

  static void take(void* context, const mr_record* record) {
    auto& self = *static_cast<Load*>(context);
    const std::string_view value(static_cast<const char*>(record->value), record->value_bytes);
    const char* end = value.data() + value.size();
    std::uint64_t id = 0, number = 0;
    const auto first = std::from_chars(value.data(), end, id);
    const auto second = first.ptr == end ? first : std::from_chars(first.ptr + 1, end, number);
    if (second.ec != std::errc()) {
      self.wrong_ = "a record that nobody offered";
      return;
    }
    self.ledger_.place(id, number, {record->offset, self.seen_ns_});
  }

  Words words_;
  sim::Random random_;
  Ledger ledger_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::uint64_t seen_ns_ = 0;
  std::string wrong_;
};

int fail(const base::Error& error) {
  std::fprintf(stderr, "powercut_load: %.*s\n", static_cast<int>(error.message().size()),
               error.message().data());
  return 1;
}

int run(int count, char** given) {
  const auto address = client::parse_address(given[1]);
  if (!address) return fail(address.error());
  Words words{.recording = given[2],
              .ledger = given[4],
              .bytes = std::strtoull(given[3], nullptr, 10),
              .seed = std::strtoull(given[5], nullptr, 10),
              .topics = {}};
  for (int i = 6; i < count; ++i) {
    const std::string text = given[i];
    const auto colon = text.find(':');
    const auto partitions =
        colon == std::string::npos ? 1 : std::strtoul(text.c_str() + colon + 1, nullptr, 10);
    words.topics.push_back({text.substr(0, colon), static_cast<std::uint32_t>(partitions)});
  }
  Load load(words);
  if (auto connected = load.connect(*address); !connected) return fail(connected.error());
  if (auto published = load.publish(); !published) return fail(published.error());
  if (auto read = load.read_back(); !read) return fail(read.error());
  std::ofstream ledger(words.ledger, std::ios::app);
  load.ledger().write(ledger);
  return ledger.flush() ? 0 : 1;
}

}  // namespace
}  // namespace millrace::powercut

int main(int argc, char** argv) {
  if (argc < 7) {
    std::fprintf(stderr,
                 "usage: powercut_load ADDRESS RECORDING BYTES LEDGER SEED TOPIC:PARTITIONS...\n");
    return 2;
  }
  return millrace::powercut::run(argc, argv);
}

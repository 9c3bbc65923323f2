#include "dataplane/protocol/datagram/listeners.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>

#include "dataplane/base/murmur2.h"

namespace millrace::datagram {
namespace {

using base::DropReason;

// --- parsing ---

TEST(ParseListener, port_and_topic_are_enough) {
  const ListenerSpec spec = parse_listener("5514=syslog").value();
  EXPECT_EQ(spec.udp_port, 5514);
  EXPECT_EQ(spec.topic, "syslog");
  EXPECT_EQ(spec.framing, Framing::datagram);
  EXPECT_EQ(spec.key, Key::none);
}

TEST(ParseListener, framing_and_key_are_taken_in_any_order) {
  const ListenerSpec one = parse_listener("1=t,framing=lines,key=source").value();
  EXPECT_EQ(one.framing, Framing::lines);
  EXPECT_EQ(one.key, Key::source);
  const ListenerSpec two = parse_listener("65535=t,key=bytes:3:16,framing=datagram").value();
  EXPECT_EQ(two.udp_port, 65535);
  EXPECT_EQ(two.framing, Framing::datagram);
  EXPECT_EQ(two.key, Key::bytes);
  EXPECT_EQ(two.key_offset, 3U);
  EXPECT_EQ(two.key_bytes, 16U);
  EXPECT_EQ(parse_listener("1=t,key=none").value().key, Key::none);
}

TEST(ParseListener, what_is_wrong_is_named_with_the_form_it_should_have) {
  const std::string long_topic(250, 't');
  const std::map<std::string, std::string> wrong = {
      {"", "no '='"},
      {"5514", "no '='"},
      {"0=t", "'0' is not a UDP port"},
      {"65536=t", "'65536' is not a UDP port"},
      {"-1=t", "is not a UDP port"},
      {"5514x=t", "'5514x' is not a UDP port"},
      {"=t", "is not a UDP port"},
      {"5514=", "name is empty"},
      {"5514=" + long_topic, "over 249 bytes"},
      {"5514=t,framing=line", "'framing=line' is not understood"},
      {"5514=t,key=bytes", "'key=bytes' is not understood"},
      {"5514=t,key=bytes:1", "is not understood"},
      {"5514=t,key=bytes:1:0", "is not understood"},
      {"5514=t,key=bytes:1:4097", "is not understood"},
      {"5514=t,key=bytes:65536:1", "is not understood"},
      {"5514=t,key=bytes:a:1", "is not understood"},
      {"5514=t,colour=red", "'colour=red' is not understood"},
      {"5514=t,lines", "'lines' has no '='"},
  };
  for (const auto& [text, what] : wrong) {
    const auto parsed = parse_listener(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_NE(parsed.error().message().find(what), std::string::npos)
        << text << ": " << parsed.error().message();
    EXPECT_NE(parsed.error().message().find("PORT=TOPIC"), std::string::npos);
  }
}

// --- datagrams to batches ---

struct SeenRecord {
  std::uint32_t partition;
  std::optional<std::string> key;
  std::string value;
  bool operator==(const SeenRecord&) const = default;
};

constexpr std::uint64_t wall_ms = 1'700'000'000'123;

class ListenersFixture {
 public:
  explicit ListenersFixture(std::string_view spec, std::uint32_t partition_count = 1)
      : listeners({parse_listener(spec).value()}, arena) {
    effects->append_room_bytes = 64 << 20;
    if (partition_count != 0) open(partition_count);
  }

  // Asked for by poll(), known with its answer.
  void open(std::uint32_t partition_count) {
    listeners.poll(1, *effects);
    ASSERT_EQ(effects->commands.size(), 1U);
    const shard::Command asked = effects->commands[0];
    effects->commands.clear();
    EXPECT_EQ(asked.kind, shard::CommandKind::open);
    shard::Event opened;
    opened.kind = shard::EventKind::opened;
    opened.stream = asked.stream;
    opened.partition = base::PartitionId{40};
    opened.partition_count = static_cast<std::uint16_t>(partition_count);
    listeners.encode_reply(opened);
  }
  DropReason receive(std::string_view text, std::uint32_t ipv4 = 0x0a000002,
                     std::uint16_t port_index = 0, std::uint16_t local_port = 5514) {
    protocol::Datagram datagram;
    datagram.data = reinterpret_cast<const std::byte*>(text.data());
    datagram.bytes = static_cast<std::uint32_t>(text.size());
    datagram.local_port = local_port;
    datagram.peer.ipv4 = ipv4;
    datagram.peer.port_index = port_index;
    const protocol::Disposition disposition = listeners.handle_request(datagram, wall_ms, *effects);
    EXPECT_FALSE(disposition.held);
    return disposition.reason;
  }
  // Ends the turn; the commands that have gone out are kept for answer().
  std::vector<SeenRecord> flush() {
    listeners.flush(*effects);
    std::vector<SeenRecord> records;
    for (const shard::Command& command : effects->commands.items()) {
      EXPECT_EQ(command.kind, shard::CommandKind::append);
      EXPECT_EQ(storage::check_batch({command.bytes, command.byte_count}),
                storage::BatchFault::none);
      storage::RecordReader reader{storage::BatchView(command.bytes)};
      storage::Record record;
      while (reader.next(record)) {
        EXPECT_EQ(record.timestamp_ms, static_cast<std::int64_t>(wall_ms));
        records.push_back({base::raw(command.partition) - 40,
                           record.key ? std::optional(std::string(*record.key)) : std::nullopt,
                           std::string(record.value.value())});
      }
      sent.push_back(command);
    }
    effects->commands.clear();
    return records;
  }
  void answer(shard::Status status) {
    for (const shard::Command& command : sent) {
      shard::Event event;
      event.kind = shard::EventKind::appended;
      event.stream = command.stream;
      event.status = status;
      listeners.encode_reply(event);
    }
    sent.clear();
  }

  base::Arena arena = std::move(
      base::Arena::create({.bytes = Listeners::arena_bytes(), .huge_pages = false}).value());
  std::unique_ptr<protocol::Effects> effects = std::make_unique<protocol::Effects>();
  Listeners listeners;
  std::vector<shard::Command> sent;
};

TEST(Listeners, a_turns_datagrams_are_one_batch_of_one_record_each) {
  ListenersFixture at("5514=t");
  EXPECT_EQ(at.receive("one"), DropReason::none);
  EXPECT_EQ(at.receive("two\nlines"), DropReason::none);
  EXPECT_EQ(at.receive(""), DropReason::none);
  EXPECT_TRUE(at.effects->commands.empty());
  const std::vector<SeenRecord> expected = {
      {0, std::nullopt, "one"}, {0, std::nullopt, "two\nlines"}, {0, std::nullopt, ""}};
  EXPECT_EQ(at.flush(), expected);
  EXPECT_EQ(at.sent.size(), 1U);
  EXPECT_TRUE(at.flush().empty());
}

TEST(Listeners, lines_become_records_without_their_ends) {
  ListenersFixture at("5514=t,framing=lines");
  EXPECT_EQ(at.receive("a:1|c\nb:2|c\r\n\n\nlast"), DropReason::none);
  EXPECT_EQ(at.receive("\n\r\n"), DropReason::none);
  const std::vector<SeenRecord> expected = {
      {0, std::nullopt, "a:1|c"}, {0, std::nullopt, "b:2|c"}, {0, std::nullopt, "last"}};
  EXPECT_EQ(at.flush(), expected);
}

TEST(Listeners, the_senders_address_is_the_key_and_chooses_the_partition) {
  ListenersFixture at("5514=t,key=source", 4);
  at.receive("x", 0xc0a80001);
  at.receive("y", 0xffffffff);
  at.receive("z", 0xc0a80001);
  std::map<std::string, SeenRecord> seen;
  for (const SeenRecord& record : at.flush()) seen[record.value] = record;
  EXPECT_EQ(seen["x"].key, "192.168.0.1");
  EXPECT_EQ(seen["y"].key, "255.255.255.255");
  EXPECT_EQ(seen["x"].partition, base::partition_of_key("192.168.0.1", 4));
  EXPECT_EQ(seen["y"].partition, base::partition_of_key("255.255.255.255", 4));
  EXPECT_EQ(seen["z"].partition, seen["x"].partition);
}

TEST(Listeners, a_range_of_bytes_is_the_key_where_the_record_is_long_enough) {
  ListenersFixture at("5514=t,key=bytes:2:3");
  at.receive("abcde");
  at.receive("abcdefg");
  at.receive("abcd");
  const std::vector<SeenRecord> expected = {
      {0, "cde", "abcde"}, {0, "cde", "abcdefg"}, {0, std::nullopt, "abcd"}};
  EXPECT_EQ(at.flush(), expected);
}

TEST(Listeners, records_without_a_key_go_round_the_partitions_batch_by_batch) {
  ListenersFixture at("5514=t", 3);
  for (std::uint32_t turn = 0; turn < 7; ++turn) {
    at.receive("one");
    at.receive("two");
    const auto records = at.flush();
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[0].partition, turn % 3);
    EXPECT_EQ(records[1].partition, turn % 3);
    at.answer(shard::Status::ok);
  }
}

TEST(Listeners, a_full_batch_goes_out_and_the_next_record_begins_another) {
  ListenersFixture at("5514=t");
  const std::string large(1400, 'x');
  for (int i = 0; i < 100; ++i) ASSERT_EQ(at.receive(large), DropReason::none);
  EXPECT_EQ(at.effects->commands.size(), 2U);
  EXPECT_EQ(at.flush().size(), 100U);
  EXPECT_EQ(at.sent.size(), 3U);
  for (const shard::Command& command : at.sent) {
    EXPECT_LE(command.byte_count, Listeners::batch_buffer_bytes);
  }
}

TEST(Listeners, with_every_buffer_at_the_shards_datagrams_are_dropped_as_busy) {
  ListenersFixture at("5514=t");
  for (std::uint32_t i = 0; i < Listeners::batches_max; ++i) {
    ASSERT_EQ(at.receive("x"), DropReason::none);
    at.flush();
  }
  EXPECT_EQ(at.receive("x"), DropReason::busy);
  at.answer(shard::Status::ok);
  EXPECT_EQ(at.receive("x"), DropReason::none);
}

TEST(Listeners, a_turn_takes_no_more_than_the_journal_has_room_for) {
  ListenersFixture at("5514=t");
  at.effects->append_room_bytes = 1000;
  EXPECT_EQ(at.receive(std::string(600, 'x')), DropReason::none);
  EXPECT_EQ(at.receive(std::string(600, 'x')), DropReason::busy);
  ListenersFixture lines("5514=t,framing=lines");
  lines.effects->append_room_bytes = 1000;
  EXPECT_EQ(lines.receive(std::string(600, 'x')), DropReason::busy);
  EXPECT_TRUE(lines.flush().empty());
}

// --- refusals ---

TEST(Listeners, what_the_log_refuses_is_counted_once_and_forgotten_by_the_count) {
  ListenersFixture at("5514=t");
  for (int i = 0; i < 5; ++i) at.receive("x");
  at.flush();
  EXPECT_EQ(at.listeners.take_refused(0), 0U);
  at.answer(shard::Status::journal_full);
  EXPECT_EQ(at.listeners.take_refused(0), 5U);
  EXPECT_EQ(at.listeners.take_refused(0), 0U);
  at.receive("x");
  at.flush();
  at.answer(shard::Status::duplicate);
  EXPECT_EQ(at.listeners.take_refused(0), 0U);
}

TEST(Listeners, a_refused_datagram_of_many_lines_counts_once) {
  ListenersFixture at("5514=t,framing=lines");
  at.receive("a\nb\nc\nd");
  at.receive("e\nf");
  at.flush();
  at.answer(shard::Status::journal_full);
  EXPECT_EQ(at.listeners.take_refused(0), 2U);
}

TEST(Listeners, refusals_count_at_the_port_the_datagram_came_through) {
  ListenersFixture at("5514=t");
  for (int i = 0; i < 3; ++i) at.receive("x", 1, 2);
  at.receive("y", 1, 5);
  at.flush();
  at.answer(shard::Status::storage_failed);
  EXPECT_EQ(at.listeners.take_refused(2), 3U);
  EXPECT_EQ(at.listeners.take_refused(5), 1U);
  EXPECT_EQ(at.listeners.take_refused(0), 0U);
}

TEST(Listeners, a_datagram_whose_lines_did_not_all_fit_is_not_counted_as_refused_too) {
  ListenersFixture at("5514=t,framing=lines");
  at.effects->append_room_bytes = 400;
  EXPECT_EQ(at.receive("a\nb\n" + std::string(150, 'c')), DropReason::none);
  at.effects->append_room_bytes = 500;
  EXPECT_EQ(at.receive("a\nb\n" + std::string(200, 'c')), DropReason::busy);
  at.flush();
  at.answer(shard::Status::journal_full);
  EXPECT_EQ(at.listeners.take_refused(0), 1U);
}

TEST(Listeners, while_the_log_refuses_everything_datagrams_are_dropped_as_refused) {
  ListenersFixture at("5514=t");
  at.receive("x");
  at.flush();
  at.answer(shard::Status::journal_full);
  at.effects->append_room_bytes = ~0ULL;  // as a shard says that refuses every append
  EXPECT_EQ(at.receive("x"), DropReason::log_refused);
  at.effects->append_room_bytes = 1 << 20;
  EXPECT_EQ(at.receive("x"), DropReason::none);
  at.flush();
  at.answer(shard::Status::ok);
  at.effects->append_room_bytes = ~0ULL;
  EXPECT_EQ(at.receive("x"), DropReason::none);
}

// --- topics ---

TEST(Listeners, an_unknown_topic_is_asked_for_again_and_its_datagrams_are_dropped_until_it_comes) {
  ListenersFixture at("5514=later", 0);
  EXPECT_EQ(at.receive("x"), DropReason::unknown_topic);
  EXPECT_EQ(at.receive("x", 1, 0, 5515), DropReason::no_listener);
  at.listeners.poll(1, *at.effects);
  ASSERT_EQ(at.effects->commands.size(), 1U);
  const shard::Command asked = at.effects->commands[0];
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(asked.bytes), asked.byte_count), "later");
  at.effects->commands.clear();
  shard::Event answer;
  answer.kind = shard::EventKind::opened;
  answer.stream = asked.stream;
  answer.status = shard::Status::unknown_topic;
  at.listeners.encode_reply(answer);
  EXPECT_EQ(at.receive("x"), DropReason::unknown_topic);
  at.listeners.poll(Listeners::reopen_ns, *at.effects);
  EXPECT_TRUE(at.effects->commands.empty()) << "not before its time";
  at.listeners.poll(Listeners::reopen_ns + 1, *at.effects);
  ASSERT_EQ(at.effects->commands.size(), 1U);
  at.effects->commands.clear();
  answer.status = shard::Status::ok;
  answer.partition = base::PartitionId{40};
  answer.partition_count = 2;
  at.listeners.encode_reply(answer);
  EXPECT_EQ(at.receive("x"), DropReason::none);
  at.listeners.poll(10 * Listeners::reopen_ns, *at.effects);
  EXPECT_TRUE(at.effects->commands.empty());
}

TEST(Listeners, a_topic_that_was_deleted_is_asked_for_again) {
  ListenersFixture at("5514=t");
  at.receive("x");
  at.flush();
  at.answer(shard::Status::unknown_topic);
  EXPECT_EQ(at.receive("x"), DropReason::unknown_topic);
  at.listeners.poll(2 * Listeners::reopen_ns, *at.effects);
  EXPECT_EQ(at.effects->commands.size(), 1U);
}

}  // namespace
}  // namespace millrace::datagram

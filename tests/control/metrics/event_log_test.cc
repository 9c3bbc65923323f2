// EventLog and Ledger: what the region says, as control keeps it.
#include "control/metrics/event_log.h"

#include <gtest/gtest.h>

#include <memory>

#include "control/metrics/ledger.h"
#include "control/metrics/liveness.h"

namespace millrace::control {
namespace {

link::ControlEvent event_of(link::ControlEventKind kind, std::string_view text) {
  link::ControlEvent event;
  event.kind = kind;
  event.partition = base::PartitionId{7};
  event.first_offset = 10;
  event.last_offset = 20;
  event.text.set(text);
  return event;
}

TEST(EventLog, keeps_damage_and_passes_wishes_on) {
  auto region = std::make_unique<link::Region>();
  using link::ControlEventKind;
  region->cores[0].events.push(event_of(ControlEventKind::topic_wanted, "orders"));
  region->cores[1].events.push(event_of(ControlEventKind::partition_damaged, "bad\nCRC"));
  EventLog log;
  std::vector<std::string> reported;
  std::vector<std::string> wanted;
  log.drain(
      *region, [&](const LoggedEvent& event) { reported.push_back(event.text); },
      [&](std::string_view topic) { wanted.emplace_back(topic); });
  EXPECT_EQ(wanted, std::vector<std::string>{"orders"});
  EXPECT_EQ(reported, std::vector<std::string>{"bad?CRC"});
  const auto recent = log.recent();
  ASSERT_EQ(recent.size(), 1U);
  EXPECT_EQ(recent[0].kind, "partition_damaged");
  EXPECT_EQ(recent[0].core, 1U);
  EXPECT_EQ(recent[0].partition, 7U);
  EXPECT_EQ(recent[0].last_offset, 20);
  EXPECT_EQ(region->cores[1].events.peek(), nullptr);
}

TEST(EventLog, keeps_only_the_newest) {
  auto region = std::make_unique<link::Region>();
  EventLog log;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 40; ++i) {
      region->cores[0].events.push(
          event_of(link::ControlEventKind::storage_failed, std::to_string(round * 40 + i)));
    }
    log.drain(
        *region, [](const LoggedEvent&) {}, [](std::string_view) {});
  }
  const auto recent = log.recent();
  ASSERT_EQ(recent.size(), EventLog::kept_max);
  EXPECT_EQ(recent.back().text, "119");
  EXPECT_EQ(recent.front().text, "56");
}

TEST(Ledger, balances_when_every_packet_is_delivered_or_dropped) {
  auto region = std::make_unique<link::Region>();
  region->port_count.set(1);
  region->ports[0].rx_packets.set(5);
  region->ports[0].delivered[1].set(3);
  region->ports[0].dropped[2].set(2);
  EXPECT_EQ(read_ledger(*region).balance(), 0);
  region->ports[0].rx_packets.set(6);
  EXPECT_EQ(read_ledger(*region).balance(), 1);
  region->ports[0].rx_packets.set(4);
  EXPECT_EQ(read_ledger(*region).balance(), -1);
}

TEST(Liveness, a_data_plane_whose_process_is_gone_is_down_whatever_it_last_wrote) {
  auto region = std::make_unique<link::Region>();
  EXPECT_EQ(data_plane_state(*region), "down");
  region->state.set(static_cast<std::uint64_t>(link::State::ready));
  region->pid.set(0x7fff'fffe);  // over the kernel's largest pid
  EXPECT_EQ(data_plane_state(*region), "down");
  region->state.set(static_cast<std::uint64_t>(link::State::failed));
  EXPECT_EQ(data_plane_state(*region), "failed");
}

}  // namespace
}  // namespace millrace::control

// Intake: DATA in, appends out; watermarks and refusals back.
// Core:  the sessions'.
//
// Packets are delivered in pkt_seq order. One that the shard has no room for, or for which there is
// no command slot or buffer, stays in the window: its frame is held, the session is stalled, and
// its credit shrinks with every packet behind it. Where no frame may be held it is dropped.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/protocol/native/tables.h"

namespace millrace::native {

class Intake {
 public:
  explicit Intake(Tables& tables) : tables_(tables) {}

  protocol::Disposition on_data(Session& session, const protocol::Datagram& datagram,
                                const Request& request, std::uint64_t now_ns,
                                protocol::Effects& effects);
  // Delivers what is held and in order, as far as there is room.
  void deliver_held(Session& session, protocol::Effects& effects);

  void on_appended(const shard::Event& event);
  void on_durable(const shard::Event& event, std::uint64_t now_ns);
  void refuse(Stream& stream, Status status);

  // At the end of a turn. False when the port has no buffer left; what remains is kept.
  bool send_errors(Session& session, protocol::Effects& effects);
  bool send_acks(Session& session, protocol::Effects& effects);
  // The next ACKs also tell what was told before; PING asks for it.
  void report_again(Session& session);
  void drop_assembly(Session& session);

 private:
  struct Delivery {
    bool blocked = false;
    base::DropReason reason = base::DropReason::none;
  };

  protocol::Disposition on_data_unheld(Session& session, const Request& request,
                                       std::uint64_t now_ns, protocol::Effects& effects);
  protocol::Disposition hold(Session& session, const protocol::Datagram& datagram,
                             std::uint64_t pkt_seq);
  Delivery deliver(Session& session, std::span<const std::byte> body, protocol::Effects& effects);
  Delivery add_fragment(Session& session, Stream& stream, const DataHeader& data,
                        std::span<const std::byte> fragment, protocol::Effects& effects);
  bool append(Session& session, Stream& stream, const DataHeader& data,
              std::span<const std::byte> batch, protocol::Effects& effects);
  bool has_room(const Stream& stream, std::uint64_t bytes, const protocol::Effects& effects) const;

  Tables& tables_;
};

}  // namespace millrace::native

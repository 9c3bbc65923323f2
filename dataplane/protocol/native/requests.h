// Requests: OPEN, CLOSE, SUBSCRIBE, UNSUBSCRIBE and their answers. A client repeats a request until
// it is answered; a repetition has the answer of the first.
// Core:  the sessions'.
#pragma once

#include <cstdint>

#include "dataplane/protocol/native/intake.h"
#include "dataplane/protocol/native/tables.h"

namespace millrace::native {

class Requests {
 public:
  Requests(Tables& tables, Intake& intake) : tables_(tables), intake_(intake) {}

  base::DropReason on_open(Session& session, const Open& open, protocol::Effects& effects);
  base::DropReason on_close(Session& session, const Close& close, protocol::Effects& effects);
  base::DropReason on_subscribe(Session& session, const Subscribe& subscribe,
                                protocol::Effects& effects);
  base::DropReason on_unsubscribe(Session& session, const Close& unsubscribe,
                                  protocol::Effects& effects);

  void on_opened(const shard::Event& event, protocol::Effects& effects);
  void on_subscribed(const shard::Event& event, std::uint64_t now_ns, protocol::Effects& effects);

 private:
  // The place of a new request, or null: a repetition (answered if there is an answer) or one from
  // too long ago; `reason` is its end.
  SeenRequest* begin_request(Session& session, std::uint32_t request_id, PacketType type,
                             protocol::Effects& effects, base::DropReason& reason);
  base::DropReason answer(Session& session, const SeenRequest& request, protocol::Effects& effects);
  bool answer_open(Session& session, const SeenRequest& request, const Stream* stream,
                   protocol::Effects& effects);
  bool answer_subscribe(Session& session, const SeenRequest& request,
                        const Subscription* subscription, protocol::Effects& effects);

  Tables& tables_;
  Intake& intake_;
};

}  // namespace millrace::native

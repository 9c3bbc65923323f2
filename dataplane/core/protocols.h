// The one list of protocols. A datagram belongs to the protocol that owns its UDP port; a command
// carries the protocol's number, and so does every event that answers it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/protocol/datagram/listeners.h"
#include "dataplane/protocol/native/sessions.h"
#include "dataplane/protocol/protocol.h"

namespace millrace::core {

enum class ProtocolId : std::uint8_t { native, datagram };

struct Protocols {
  Protocols(const native::SessionsOptions& options, std::vector<datagram::ListenerSpec> specs,
            base::Arena& arena)
      : sessions(options, arena), listeners(std::move(specs), arena) {}

  native::Sessions sessions;
  datagram::Listeners listeners;
};

}  // namespace millrace::core

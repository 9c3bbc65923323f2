// Handshake: HELLO answered by COOKIE, WELCOME or a refusal. Nothing is kept before the cookie is
// echoed, and no answer is longer than the HELLO.
// Core:  the sessions'.
#pragma once

#include <cstdint>

#include "dataplane/protocol/native/tables.h"

namespace millrace::native {

class Handshake {
 public:
  explicit Handshake(Tables& tables) : tables_(tables), cookies_(tables.options.secret) {}

  protocol::Disposition on_hello(const protocol::Datagram& datagram, const Request& request,
                                 std::uint64_t now_ns, protocol::Effects& effects);

 private:
  // Null when there is no slot.
  Session* begin_session(const protocol::Datagram& datagram, const Hello& hello,
                         std::uint64_t now_ns);

  Tables& tables_;
  CookieMaker cookies_;
};

}  // namespace millrace::native

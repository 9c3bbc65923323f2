"""ZeroMQ: a library, both ends and its thread in the load generator: https://zguide.zeromq.org/"""

import peer
from peer import NONE, Library, Load, Peer, Setup


class ZeroMq(Peer):
    name = "zeromq"
    setups = (
        Setup("recommended", NONE,
              tuple(Load(kind, f"zeromq-{kind}", pins_generator=False, grows=())
                    for kind in ("push", "publish")),
              "loopback TCP, one I/O thread, high-water marks of 10 000"),
    )

    def install(self):
        peer.install_packages("libzmq5")

    def version(self):
        return peer.version_of("libzmq5")

    def start(self, directory, setup):
        return Library()

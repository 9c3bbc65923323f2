"""Redis: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/"""

import peer
from peer import DEVICE, MEMORY, PAGE_CACHE, WITHOUT_BACKLOG, Load, Peer, Running, Setup

LOADS = (Load("list", "redis-list"), Load("stream", "redis-stream"),
         Load("channel", "redis-channel", durability=MEMORY, grows=WITHOUT_BACKLOG))


class Redis(Peer):
    name = "redis"
    setups = (
        Setup("recommended", PAGE_CACHE, LOADS, "appendfsync everysec",
              {"appendfsync": "everysec"}),
        Setup("flushed", DEVICE, LOADS[:2], "appendfsync always", {"appendfsync": "always"}),
    )

    def install(self):
        peer.install_packages("redis-server")

    def version(self):
        return peer.version_of("redis-server")

    def start(self, directory, setup):
        port = peer.free_port()
        process, log = peer.spawn(
            [peer.program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir",
             directory, "--save", "", "--appendonly", "yes", "--appendfsync",
             setup.options["appendfsync"]], directory)
        return peer.when_ready(Running(process, f"127.0.0.1:{port}", log), peer.listens(port))

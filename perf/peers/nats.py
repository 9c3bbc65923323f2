"""NATS: https://docs.nats.io/running-a-nats-service/configuration/resource_management

Debian's nats-server 2.9 cannot flush before it answers, so one is built that can.
"""

import os

import golang
import peer
from peer import DEVICE, NONE, PAGE_CACHE, WITHOUT_BACKLOG, Load, Peer, Running, Setup

VERSION = "v2.11.17"
JETSTREAM = Load("jetstream", "nats-jetstream")


class Nats(Peer):
    name = "nats"
    setups = (
        Setup("recommended", PAGE_CACHE,
              (Load("core", "nats", durability=NONE, grows=WITHOUT_BACKLOG), JETSTREAM),
              "sync_interval 2m, the default", {"sync_interval": "2m"}),
        Setup("flushed", DEVICE, (JETSTREAM,), "sync_interval always",
              {"sync_interval": "always"}),
    )

    def install(self):
        self.program = golang.build("github.com/nats-io/nats-server/v2", VERSION, ".",
                                    "nats-server")

    def version(self):
        return VERSION.removeprefix("v")

    def start(self, directory, setup):
        port = peer.free_port()
        settings = os.path.join(directory, "nats.conf")
        with open(settings, "w") as file:
            file.write(f'listen: "127.0.0.1:{port}"\n'
                       f'jetstream {{ store_dir: "{directory}/data", '
                       f'sync_interval: {setup.options["sync_interval"]} }}\n')
        process, log = peer.spawn([self.program, "-c", settings], directory)
        return peer.when_ready(Running(process, f"127.0.0.1:{port}", log), peer.listens(port))

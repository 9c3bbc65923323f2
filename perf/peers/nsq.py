"""NSQ: https://nsq.io/components/nsqd.html

It has no setup that flushes before it answers: with --sync-every=1 a message is flushed after its
answer, when the next is written or read, and what has been handed to a reader is in memory alone.
"""

import golang
import peer
from peer import MEMORY, PAGE_CACHE, Load, Peer, Running, Setup

VERSION = "v1.3.0"
LOADS = (Load("channel", "nsq"), Load("channel, unbuffered", "nsq", {"buffers": "no"}))


class Nsq(Peer):
    name = "nsq"
    setups = (
        Setup("recommended", MEMORY, LOADS, "--mem-queue-size=10000, the default", {"flags": ()}),
        Setup("flushed", PAGE_CACHE, LOADS,
              "--mem-queue-size=0 --sync-every=1: flushed soon after the answer, not before it",
              {"flags": ("--mem-queue-size=0", "--sync-every=1")}),
    )

    def install(self):
        self.program = golang.build("github.com/nsqio/nsq", VERSION, "./apps/nsqd", "nsqd")

    def version(self):
        return VERSION.removeprefix("v")

    def start(self, directory, setup):
        port = peer.free_port()
        process, log = peer.spawn(
            [self.program, f"--tcp-address=127.0.0.1:{port}", "--http-address=127.0.0.1:0",
             "--broadcast-address=127.0.0.1", f"--data-path={directory}",
             *setup.options["flags"]], directory)
        return peer.when_ready(Running(process, f"127.0.0.1:{port}", log), peer.listens(port))

"""Gearman: http://gearman.org/manual/job_server/"""

import os

import peer
from peer import DEVICE, MEMORY, Load, Peer, Running, Setup

LOADS = (Load("background", "gearman"),)


class Gearmand(Peer):
    name = "gearmand"
    setups = (
        Setup("recommended", MEMORY, LOADS, "-q builtin, the default", {"-q": "builtin"}),
        Setup("flushed", DEVICE, LOADS, "-q libsqlite3", {"-q": "libsqlite3"}),
    )

    def install(self):
        peer.install_packages("gearman-job-server")

    def version(self):
        return peer.version_of("gearman-job-server")

    def start(self, directory, setup):
        port = peer.free_port()
        process, log = peer.spawn(
            [peer.program("gearmand"), "--listen", "127.0.0.1", "--port", str(port), "--pid-file",
             os.path.join(directory, "pid"), "--log-file", "stderr", "--queue-type",
             setup.options["-q"], "--libsqlite3-db", os.path.join(directory, "queue.db")],
            directory)
        return peer.when_ready(Running(process, f"127.0.0.1:{port}", log), peer.listens(port))

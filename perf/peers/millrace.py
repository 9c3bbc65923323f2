"""Millrace itself: the same drivers, versions and setups as any other."""

import os
import subprocess

import peer
from peer import AXES, DEVICE, MEMORY, PARTITIONS, Load, Peer, Running, Setup

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MILLRACE_BUILD", os.path.join(ROOT, "build"))
NATIVE_PORT = 7070
ADMIN_PORT = 9644
MEMIF = "bsize=9216,mtu=9000"


def free_offset():
    """That leaves the native and the admin port free."""
    while True:
        offset = peer.free_port() - NATIVE_PORT
        if 10_000 < offset < 50_000:
            return offset


class Millrace(Peer):
    name = "millrace"
    # memif has one client.
    setups = tuple(
        Setup(path, DEVICE, (Load("durable", "native", {"ack": "durable"}, grows=axes),
                             Load("memory", "native", {"ack": "memory"}, MEMORY, grows=axes)),
              note, {"path": path}, spins=True)
        for path, note, axes in (
            ("memif", "shared memory, a core of its own that never sleeps", PARTITIONS),
            ("udp", "kernel UDP, a core of its own that never sleeps", AXES)))

    def install(self):
        """It is built by whoever runs this."""

    def version(self):
        done = subprocess.run([os.path.join(BUILD, "millrace"), "--version"], capture_output=True,
                              text=True)
        return done.stdout.strip()

    def start(self, directory, setup):
        offset = free_offset()
        port = f"udp:127.0.0.1:{NATIVE_PORT}"
        address = f"127.0.0.1:{NATIVE_PORT + offset}"
        if setup.options["path"] == "memif":
            port = address = f"memif:socket={directory}/memif.sock,{MEMIF}"
        cores = max(os.sched_getaffinity(0))
        process, log = peer.spawn(
            [os.path.join(BUILD, "millrace"), "up", "--data", os.path.join(directory, "data"),
             "--port-offset", str(offset), "--port", port, "--profile", "dedicated", "--cores",
             str(cores), "--journal-size", "2GiB", "--max-sessions", "8192"], directory)

        def is_ready():
            asked = subprocess.run([os.path.join(BUILD, "millrace"), "wait", "--port-offset",
                                    str(offset)], capture_output=True)
            return asked.returncode == 0

        peer.wait_ready(process, log, is_ready)
        return Running(process, address, log, {"port-offset": str(offset)})

"""Millrace itself: the same drivers, versions and setups as any other."""

import os
import subprocess

import peer
from peer import AXES, DEVICE, MEMORY, PARTITIONS, Load, Peer, Running, Setup

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MILLRACE_BUILD", os.path.join(ROOT, "build"))
PROGRAM = os.path.join(BUILD, "millrace")
NATIVE_PORT = 7070
ADMIN_PORT = 9644
NOTE = ("a core of its own that never sleeps; memory for 8,192 sessions, taken at the start "
        "(170 MiB)")
MEMIF = "bsize=9216,mtu=9000"


def free_offset():
    """That leaves the native and the admin port free."""
    while True:
        offset = peer.free_port() - NATIVE_PORT
        if 10_000 < offset < 50_000:
            return offset


def up(directory, path, cpus, profile="dedicated"):
    """A node in this folder with a core on each of these processors, once it answers."""
    offset = free_offset()
    port = f"udp:127.0.0.1:{NATIVE_PORT}"
    address = f"127.0.0.1:{NATIVE_PORT + offset}"
    if path == "memif":
        port = address = f"memif:socket={directory}/memif.sock,{MEMIF}"
    process, log = peer.spawn(
        [PROGRAM, "up", "--data", os.path.join(directory, "data"), "--port-offset", str(offset),
         "--port", port, "--profile", profile, "--cores", ",".join(map(str, cpus)),
         "--journal-size", "2GiB", "--max-sessions", "8192"], directory)
    waits = [PROGRAM, "wait", "--port-offset", str(offset)]
    return peer.when_ready(Running(process, address, log, {"port-offset": str(offset)}),
                           lambda: subprocess.run(waits, capture_output=True).returncode == 0)


class Millrace(Peer):
    name = "millrace"
    # memif has one client.
    setups = tuple(
        Setup(path, DEVICE,
              (Load("durable", "native", {"ack": "durable"}, grows=axes),
               Load("memory", "native", {"ack": "memory", "idle": idle}, MEMORY, grows=axes)),
              note, {"path": path}, spins=True)
        # Where both ends share memory nobody waits for the generator; Aeron's spins there, too.
        for path, note, axes, idle in (
            ("memif", f"shared memory, {NOTE}", PARTITIONS, "spin"),
            ("udp", f"kernel UDP, {NOTE}", AXES, "yield")))

    def install(self):
        """It is built by whoever runs this."""

    def version(self):
        done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True)
        return done.stdout.strip()

    def start(self, directory, setup):
        return up(directory, setup.options["path"], [max(os.sched_getaffinity(0))])

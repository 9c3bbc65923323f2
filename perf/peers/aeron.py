"""Aeron: https://github.com/aeron-io/aeron/wiki; its media driver is a process beside the program.

Its own client is Java, so the load comes from perf/loadgen/aeron. A low-latency driver has three
threads that spin, on a processor each; a host of two processors bears less so than with one thread
that yields, which is what is set up here.
"""

import os
import shutil
import tempfile

import maven
import peer
from peer import DEVICE, NONE, PAGE_CACHE, Load, Peer, Running, Setup

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCE = os.path.join(ROOT, "perf", "loadgen", "aeron", "AeronLoad.java")
VERSION = "1.47.4"
ARTIFACT = f"io.aeron:aeron-all:{VERSION}"
JARS = maven.folder_of("aeron", ARTIFACT)
CLASSES = os.path.join(peer.CACHE, f"aeron-load-{VERSION}")
SHARED_MEMORY = "/dev/shm"
JAVA = ("java", "-XX:+UseParallelGC", "-XX:+UnlockDiagnosticVMOptions",
        "-XX:GuaranteedSafepointInterval=300000", "-Dagrona.disable.bounds.checks=true",
        "--add-opens", "java.base/jdk.internal.misc=ALL-UNNAMED",
        "--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED",
        "--add-opens", "java.base/java.util.zip=ALL-UNNAMED",
        "-cp", f"{CLASSES}:{JARS}/*")
PROGRAM = (*JAVA, "AeronLoad")
DRIVER = {
    "aeron.dir.delete.on.shutdown": "true",
    "aeron.pre.touch.mapped.memory": "true",
    "aeron.term.buffer.sparse.file": "false",
    "aeron.mtu.length": "8k",
    "aeron.ipc.mtu.length": "8k",
    "aeron.socket.so_sndbuf": "2m",
    "aeron.socket.so_rcvbuf": "2m",
    "aeron.rcv.initial.window.length": "2m",
    # It stands still between its turns, and so do its clients' signs of life.
    "aeron.client.liveness.timeout": "3600s",
    "aeron.publication.unblock.timeout": "3601s",
}
# The driver's threads as one, the archive's as one that runs the driver's as well.
SHARED = {"aeron.threading.mode": "SHARED", "aeron.shared.idle.strategy": "yield"}
INVOKED = {"aeron.threading.mode": "INVOKER", "aeron.archive.threading.mode": "SHARED",
           "aeron.archive.idle.strategy": "yield",
           "aeron.archive.control.channel.enabled": "false",
           "aeron.archive.control.response.channel": "aeron:ipc",
           "aeron.archive.replication.channel": "aeron:udp?endpoint=127.0.0.1:0",
           "aeron.archive.recording.events.enabled": "false",
           "aeron.archive.max.concurrent.recordings": "1024"}
# Over IPC one thread that sends and receives never waits for another processor; Millrace's messages
# go to one and back, so there is also a thread for each end.
STREAMS = tuple(Load(name, f"aeron-{driver}", program=PROGRAM, grows=())
                for name, driver in (("IPC", "ipc"), ("IPC, two threads", "ipc-across"),
                                     ("UDP", "udp")))
RECORDED = (Load("archive", "aeron-archive", program=PROGRAM, grows=()),)


def synced(level):
    return {**INVOKED, "aeron.archive.file.sync.level": level,
            "aeron.archive.catalog.file.sync.level": level}


class RunningDriver(Running):
    def stop(self):
        super().stop()
        shutil.rmtree(self.address, ignore_errors=True)


class Aeron(Peer):
    name = "aeron"
    wake_s = 1.5  # its sign of life is a second old at most
    setups = (
        Setup("recommended", NONE, STREAMS,
              "driver of one yielding thread: on two processors it bore more than three that spin",
              SHARED, spins=True),
        Setup("archive", PAGE_CACHE, RECORDED,
              "archive.file.sync.level=0, archive and driver of one yielding thread; "
              "subscribers are live", synced("0"), restarts=True),
        Setup("archive, flushed", DEVICE, RECORDED,
              "archive.file.sync.level=2, archive and driver of one yielding thread; "
              "subscribers are live and do not wait for the flush", synced("2"), restarts=True),
    )

    def install(self):
        maven.install("aeron", ARTIFACT)
        built = os.path.join(CLASSES, "AeronLoad.class")
        if os.path.exists(built) and os.path.getmtime(built) > os.path.getmtime(SOURCE):
            return
        peer.run(["javac", "-d", CLASSES, "-cp", f"{JARS}/*", SOURCE])

    def version(self):
        return VERSION

    def start(self, directory, setup):
        address = tempfile.mkdtemp(prefix="aeron-", dir=SHARED_MEMORY)
        properties = {**DRIVER, **setup.options, "aeron.dir": address,
                      "aeron.archive.dir": os.path.join(directory, "archive")}
        is_recorded = setup.loads == RECORDED
        program = "archive.ArchivingMediaDriver" if is_recorded else "driver.MediaDriver"
        process, log = peer.spawn(
            [*JAVA, *(f"-D{key}={value}" for key, value in properties.items()),
             f"io.aeron.{program}"], directory)
        return peer.when_ready(RunningDriver(process, address, log),
                               lambda: os.path.exists(os.path.join(address, "cnc.dat")))

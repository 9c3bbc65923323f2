"""Beanstalkd: https://github.com/beanstalkd/beanstalkd/blob/master/doc/beanstalkd.1.md"""

import os

import peer
from peer import DEVICE, PAGE_CACHE, Load, Peer, Running, Setup

LOADS = (Load("tube", "beanstalkd"),)
JOB_BYTES_MAX = 1 << 20


class Beanstalkd(Peer):
    name = "beanstalkd"
    setups = (
        Setup("recommended", PAGE_CACHE, LOADS, "-b, with its default -f 50 (ms)", {"-f": "50"}),
        Setup("flushed", DEVICE, LOADS, "-b -f 0", {"-f": "0"}),
    )

    def install(self):
        peer.install_packages("beanstalkd")

    def version(self):
        return peer.version_of("beanstalkd")

    def start(self, directory, setup):
        port = peer.free_port()
        journal = os.path.join(directory, "journal")
        os.mkdir(journal)
        process, log = peer.spawn(
            [peer.program("beanstalkd"), "-l", "127.0.0.1", "-p", str(port), "-b", journal, "-f",
             setup.options["-f"], "-z", str(JOB_BYTES_MAX)], directory)
        return peer.when_ready(Running(process, f"127.0.0.1:{port}", log), peer.listens(port))

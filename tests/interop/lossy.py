#!/usr/bin/env python3
"""A client publishes and subscribes while a tenth of its packets is dropped, doubled and delayed:
every record comes once, in order. Over memif and over the kernel's UDP; the seed is printed."""

import os
import random
import subprocess

import node
from node import Node, case

RECORDS = 20_000


def run_lossy(directory, address_of):
    seed = random.SystemRandom().randrange(1 << 31)
    socket_path = os.path.join(directory, "memif.sock")
    with Node(directory, "--port", f"udp:127.0.0.1:{node.NATIVE_PORT}", "--port",
              f"memif:socket={socket_path},role=server") as up:
        up.ok("topic", "create", "t")
        address = address_of(up, socket_path)
        run = subprocess.run([node.program("lossy_client"), address, "t", str(RECORDS), str(seed)],
                             capture_output=True, text=True, timeout=120,
                             preexec_fn=node.end_with_parent)
        print(f"seed {seed}: {run.stdout.strip()}")
        assert run.returncode == 0, run.stderr
        # What the node kept is what its own command line reads, without any loss on the way.
        numbers = [int(line.rstrip(".")) for line in up.consume("t")]
        assert numbers == list(range(RECORDS))
        status = up.quiet_status()
        assert status["drops"].get("duplicate_packet", 0) > 0, status["drops"]
        assert status["cores"][0]["packets_repaired"] > 0, status["cores"]


@case
def every_record_once_and_in_order_over_memif(directory):
    run_lossy(directory, lambda up, path:
              f"memif:socket={path},server=192.168.77.1:{node.NATIVE_PORT + up.offset}")


@case
def every_record_once_and_in_order_over_kernel_udp(directory):
    run_lossy(directory, lambda up, _: f"127.0.0.1:{node.NATIVE_PORT + up.offset}")


if __name__ == "__main__":
    node.main()

#!/usr/bin/env python3
"""A real sender on the other end of a wire: two network namespaces joined by veth, the node on one
end through net_af_xdp, ping and logger on the other.

The script runs itself again in a namespace of its own, which is the far end; the node's is held by
a sleeping child. Nothing has a name, so nothing is left behind.
"""

import os
import shutil
import socket
import subprocess
import sys
import time

import node
from node import Node, Skip, case

INSIDE = "MILLRACE_INTEROP_NAMESPACE"
NODE_IP = "192.0.2.1"
SENDER_IP = "192.0.2.2"
MESSAGES = 2000


def sh(*words, prefix=()):
    run = subprocess.run([*prefix, *words], capture_output=True, text=True, timeout=node.HANG_S)
    if run.returncode != 0:
        raise Skip(f"{' '.join(words)}: {run.stderr.strip() or run.stdout.strip()}")
    return run.stdout


class Wire:
    """A veth pair: `millrace0` in the node's namespace, `sender0` in ours."""

    def __enter__(self):
        self.holder = node.spawn(["unshare", "--net", "sleep", "infinity"])
        try:
            ours = os.readlink("/proc/self/ns/net")
            held = f"/proc/{self.holder.pid}/ns/net"
            if not node.eventually(lambda: os.readlink(held) != ours, seconds=10):
                raise Skip("a second network namespace is not permitted")
            self.prefix = ["nsenter", f"--net={held}"]
            sh("ip", "link", "set", "lo", "up")
            sh("ip", "link", "set", "lo", "up", prefix=self.prefix)
            sh("ip", "link", "add", "sender0", "type", "veth", "peer", "name", "millrace0",
               "netns", str(self.holder.pid))
            sh("ip", "address", "add", f"{SENDER_IP}/24", "dev", "sender0")
            sh("ip", "link", "set", "sender0", "up")
            sh("ip", "link", "set", "millrace0", "up", prefix=self.prefix)
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        # A namespace goes only some time after its last process.
        subprocess.run(["ip", "link", "delete", "sender0"], capture_output=True, check=False)
        self.holder.kill()
        self.holder.wait()


def start_or_skip(up):
    """A node whose port the host may not permit; what is missing is named by the node itself."""
    try:
        return up.start()
    except AssertionError:
        said = up.log_text().strip()
        if any(missing in said for missing in ("CAP_", "RLIMIT_MEMLOCK", "apt install")):
            raise Skip(said.splitlines()[-1]) from None
        raise


@case
def syslog_over_af_xdp_fills_its_topic(directory):
    if not os.environ.get(INSIDE):
        raise Skip("network namespaces are not permitted here")
    with Wire() as wire:
        up = Node(directory, "--port", f"af_xdp:iface=millrace0,ip={NODE_IP}", "--port",
                  f"udp:127.0.0.1:{node.NATIVE_PORT}", "--listen", "514=syslog", offset=0,
                  prefix=wire.prefix)
        with start_or_skip(up):
            ping = subprocess.run(["ping", "-c", "5", "-i", "0.2", "-W", "5", NODE_IP],
                                  capture_output=True, text=True, timeout=node.HANG_S)
            assert ping.returncode == 0 and " 0% packet loss" in ping.stdout, ping.stdout
            expected = send_syslog()
            assert node.eventually(lambda: up.topic_end("syslog") >= len(expected)), (
                f"{up.topic_end('syslog')} of {len(expected)} came; {up.status()}")
            found = up.consume("syslog")
            assert len(found) == len(expected)
            for line, text in zip(found, expected):
                assert line.startswith("<13>") and line.endswith(text), (line, text)
            status = up.quiet_status()
            port = next(port for port in status["ports"] if port["kind"] == "af_xdp")
            assert port["live"] and "millrace0" in port["path"], port
            assert status["deliveries"]["icmp"] >= 5 and status["deliveries"]["arp"] >= 1, status
            assert status["deliveries"]["listener"] == len(expected), status
            print(f"path: {port['path']}; drops: {status['drops']}")


@case
def a_client_speaks_the_native_protocol_over_the_wire(directory):
    if not os.environ.get(INSIDE):
        raise Skip("network namespaces are not permitted here")
    with Wire() as wire:
        up = Node(directory, "--port", f"af_xdp:iface=millrace0,ip={NODE_IP}", offset=0,
                  prefix=wire.prefix)
        with start_or_skip(up):
            up.ok("topic", "create", "t")
            lines = "".join(f"{n}\n" for n in range(20_000))
            # From our side of the wire, through the kernel's UDP.
            far = Node(directory, offset=0)
            far.ok("produce", "t", "--address", f"{NODE_IP}:{node.NATIVE_PORT}", stdin=lines)
            assert far.ok("consume", "t", "--from", "earliest", "--exit-at-end", "--address",
                          f"{NODE_IP}:{node.NATIVE_PORT}") == lines
            up.quiet_status()


def send_syslog():
    """Sends MESSAGES lines as `logger` does, or with a socket of our own; what each ends with."""
    lines = [f"line {n} of a program" for n in range(MESSAGES)]
    if shutil.which("logger"):
        # One datagram a line; a pause now and then, since a wire has no back pressure.
        logger = subprocess.Popen(["logger", "--udp", "--server", NODE_IP, "--port", "514"],
                                  stdin=subprocess.PIPE, text=True)
        for at in range(0, MESSAGES, 100):
            logger.stdin.write("".join(line + "\n" for line in lines[at : at + 100]))
            logger.stdin.flush()
            time.sleep(0.01)
        logger.stdin.close()
        assert logger.wait(node.HANG_S) == 0
        return lines
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for line in lines:
            sender.sendto(f"<13>{line}".encode(), (NODE_IP, 514))
            time.sleep(0.0002)
    return lines


def run_inside():
    """This script in a network namespace of its own, where the host permits that."""
    for unshare in (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]):
        if subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
            os.execvpe("unshare", [*unshare, sys.executable, *sys.argv],
                       {**os.environ, INSIDE: "1"})


if __name__ == "__main__":
    if shutil.which("unshare") and shutil.which("nsenter") and not os.environ.get(INSIDE):
        run_inside()
    if os.environ.get(INSIDE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
    node.main()

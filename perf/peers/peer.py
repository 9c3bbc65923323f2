"""What a peer is: a system that Millrace is measured beside, installed, started and stopped here.

A peer's file names its version, its setups (as its experts recommend it, and with the durability
of a flush before each answer) and the drivers of the load generator that can put load on it.
Servers listen on loopback, on free ports, in a folder of their own, and are stopped by their ids.
"""

import contextlib
import ctypes
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
READY_WAIT_S = 120
STOP_WAIT_S = 20
LOOK_S = 0.5
# Less is at rest: written, and used of a processor, in a second.
REST_BYTES_PER_S = 2 << 20
REST_CPU = 0.1
READ_BYTES = 1 << 20
# Where what is not a package of Debian is kept between runs.
CACHE = os.environ.get("MILLRACE_PEERS", os.path.expanduser("~/.cache/millrace/peers"))

libc = ctypes.CDLL(None, use_errno=True)

# What is true of a message once it has been answered.
MEMORY = "memory"  # a process has it
PAGE_CACHE = "page cache"  # the kernel has it: it outlives the process, not the host
DEVICE = "device"  # it was flushed to the device: it outlives the host
NONE = "none"  # there is no answer

# What may be more than one, or than none.
AXES = ("partitions", "subscribers", "connections", "backlog")
WITHOUT_BACKLOG = AXES[:3]  # what is published and not taken is gone
PARTITIONS = AXES[:1]


@dataclasses.dataclass(frozen=True)
class Load:
    """A way of using the peer: a driver of the load generator and its settings."""

    name: str  # in tables: "list", "stream"
    driver: str
    settings: dict = dataclasses.field(default_factory=dict)
    durability: str = ""  # where it differs from its setup's
    program: tuple = ()  # instead of the load generator, with the same flags and answer
    # The generator's one thread keeps to the first processor; not where its library has threads.
    pins_generator: bool = True
    grows: tuple = AXES  # along which it can


@dataclasses.dataclass(frozen=True)
class Setup:
    """A configuration of the peer, labelled."""

    name: str  # "recommended", "flushed"
    durability: str
    loads: tuple
    note: str = ""  # the settings that matter, in the peer's words
    options: dict = dataclasses.field(default_factory=dict)  # for start()
    # While nobody asks anything of it: so its use of a processor is no sign of work.
    spins: bool = False
    # It does not outlive standing still: it is stopped instead, and started for each turn.
    restarts: bool = False


class Running:
    """A started peer: its address for drivers, and what it costs."""

    def __init__(self, process, address, log, settings=None):
        self.process = process
        self.address = address
        self.log = log
        self.settings = settings or {}  # for the driver, besides its load's

    def has_ended(self):
        return self.process.poll() is not None

    def pids(self):
        """The process and all that descend from it."""
        parents = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    parents[int(entry)] = int(stat.read().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def usage(self):
        """Seconds of processor so far, resident bytes now, bytes written to storage so far."""
        used = {"cpu_s": 0.0, "resident_bytes": 0, "written_bytes": 0}
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/stat") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
                used["cpu_s"] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                used["resident_bytes"] += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
                with open(f"/proc/{pid}/io") as file:
                    for line in file:
                        if line.startswith("write_bytes:"):
                            used["written_bytes"] += int(line.split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
        return used

    def settle(self, seconds, spins):
        """Waits that long for it to end what a start or a load has left it to do; whether it has.
        Of one that spins, until it writes hardly any more."""
        deadline = time.monotonic() + seconds
        used = self.usage()
        while time.monotonic() < deadline:
            time.sleep(LOOK_S)
            before, used = used, self.usage()
            if (used["written_bytes"] - before["written_bytes"] < REST_BYTES_PER_S * LOOK_S and
                    (spins or used["cpu_s"] - before["cpu_s"] < REST_CPU * LOOK_S)):
                return True
        return False

    def pause(self):
        for pid in self.pids():
            send(pid, signal.SIGSTOP)

    def resume(self):
        """With its programs in memory: a host may take back what lies still for a while."""
        for path in self.programs():
            with contextlib.suppress(OSError), open(path, "rb") as program:
                while program.read(READ_BYTES):
                    pass
        for pid in self.pids():
            send(pid, signal.SIGCONT)

    def programs(self):
        """The files it has mapped, besides its own data."""
        own = os.path.dirname(os.path.realpath(self.log))
        found = set()
        for pid in self.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                    open(f"/proc/{pid}/maps") as maps:
                found.update(line.split(maxsplit=5)[5].rstrip() for line in maps if "/" in line)
        return sorted(path for path in found
                      if os.path.isfile(path) and not path.startswith((own + "/", "/dev/")))

    def stop(self):
        pids = self.pids()
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in pids[1:]:
            send(pid, signal.SIGKILL)


class Library:
    """A peer without a server: both ends are in the load generator."""

    address = ""
    settings = {}

    def has_ended(self):
        return False

    def usage(self):
        return {"cpu_s": 0.0, "resident_bytes": 0, "written_bytes": 0}

    def settle(self, seconds, spins):
        return True

    def pause(self):
        pass

    def resume(self):
        pass

    def stop(self):
        pass


class Peer:
    """Base of all; a subclass fills these in."""

    name = ""
    setups = ()
    wake_s = 0.0  # from its standing still until it can be asked again
    warm_up_s = 0.0  # of load after a start, before anything counts: it is compiled as it runs

    def install(self):
        """Puts the programs there; quick when they are."""
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    def start(self, directory, setup):
        """Starts it in this empty folder and returns a Running once it answers."""
        raise NotImplementedError


def send(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def install_packages(*packages):
    """Debian packages, without starting what they bring."""
    have = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *packages],
                          capture_output=True, text=True).stdout.split("\n")
    missing = [package for package in packages if f"installed {package}" not in have]
    if not missing:
        return
    # A policy of 101 keeps packages from starting their services.
    policy = "/usr/sbin/policy-rc.d"
    had_policy = os.path.exists(policy)
    if not had_policy:
        with open(policy, "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(policy, 0o755)
    try:
        run(["apt-get", "update"])
        run(["apt-get", "install", "-y", "--no-install-recommends", *missing],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    finally:
        if not had_policy:
            os.remove(policy)


def run(command, **options):
    """Runs it to its end; its output is shown only when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def version_of(package):
    return run(["dpkg-query", "-W", "-f", "${Version}", package])


def program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise RuntimeError(f"{name} is not installed")
    return path


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def spawn(command, directory, **options):
    """A child in its folder, its output in output.log there; it does not outlive this script."""
    log = os.path.join(directory, "output.log")
    with open(log, "ab") as out:
        process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), **options)
    return process, log


def last_lines(log, count=15):
    with open(log, errors="replace") as file:
        return "".join(file.readlines()[-count:])


def when_ready(running, is_ready, seconds=READY_WAIT_S):
    """It, once is_ready() is true; what that raises of OSError means not yet. Stopped where it does
    not get so far."""
    process, log = running.process, running.log
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args[0]} ended with {process.returncode}:\n"
                                   f"{last_lines(log)}")
            with contextlib.suppress(OSError):
                if is_ready():
                    return running
            time.sleep(0.05)
        raise RuntimeError(f"{process.args[0]} was not ready in {seconds} s:\n{last_lines(log)}")
    except BaseException:
        running.stop()
        raise


def listens(port):
    def ask():
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    return ask

"""What perf says of a thread: which share of its time was work, and which system calls it made.

A core that polls uses all of its processor whatever it does, so its cost is not its processor time
but that time less the looking around. Samples of where it was tell the two apart:

  look     in the loop between turns, asking its ports and rings whether there is anything
  receive  in a port's receive; between turns this belongs to looking, in a turn to work
  yield    on its way into, in or out of sched_yield
  rest     anything else

How much of receiving belongs to looking, and what a turn costs that finds nothing, is taken from
the same thread while there is no load at all.
"""

import collections
import dataclasses
import shutil
import subprocess
import tempfile

SAMPLES_PER_S = 1999
LOOK = ("CoreThread::loop", "CoreThread::look", "Core::has_input")
RECEIVE = ("Port::receive_frames", "Core::has_frames")
RECEIVE_OBJECT = "librte_net_"
YIELD = "sched_yield"
KERNEL_OBJECT = "([kernel.kallsyms])"
CALLS = ("io_uring_enter", "sched_yield")


def missing():
    """Why perf cannot be used here, or nothing."""
    if shutil.which("perf") is None:
        return "perf is not installed"
    with tempfile.NamedTemporaryFile(prefix="millrace-model-") as file:
        done = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-o", file.name, "true"],
                              capture_output=True, text=True)
    return done.stderr.strip().split("\n")[-1] if done.returncode != 0 else ""


class Recorder:
    """Samples a thread for some seconds from now on."""

    def __init__(self, thread, seconds):
        self.file = tempfile.NamedTemporaryFile(prefix="millrace-model-")
        self.process = subprocess.Popen(
            ["perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S), "-t",
             str(thread), "-o", self.file.name, "--", "sleep", str(seconds)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self):
        if self.process.wait() != 0:
            raise RuntimeError("perf record failed")
        return self

    def shares(self):
        done = subprocess.run(["perf", "script", "-i", self.file.name, "-F", "ip,sym,dso"],
                              capture_output=True, text=True)
        self.file.close()
        return read_shares(done.stdout)


def read_shares(script):
    """Of all samples, each kind's share; "samples" is their number."""
    kinds = collections.Counter()
    stack = []
    for line in [*script.splitlines(), ""]:
        if line.strip():
            stack.append(line.strip())
        elif stack:
            kinds[kind_of(stack)] += 1
            stack = []
    total = sum(kinds.values())
    shares = {kind: kinds[kind] / max(1, total) for kind in ("look", "receive", "yield", "rest")}
    return {**shares, "samples": total}


def kind_of(stack):
    """Of one sample; its innermost frame comes first."""
    for frame in stack:
        if YIELD in frame:
            return "yield"
        # Without frame pointers what a program's frame was called by is a guess.
        if KERNEL_OBJECT not in frame:
            break
    if any(name in stack[0] for name in LOOK):
        return "look"
    if any(name in stack[0] for name in RECEIVE) or RECEIVE_OBJECT in stack[0]:
        return "receive"
    return "rest"


@dataclasses.dataclass(frozen=True)
class NodeAtRest:
    """A core without load."""

    look_factor: float  # looking, receiving included, over the samples of kind look
    turn_ns: float  # a turn that finds nothing

    @staticmethod
    def of(shares, cpu_ns, turns):
        looking = shares["look"] + shares["receive"]
        return NodeAtRest(looking / max(1e-9, shares["look"]),
                          (1 - looking - shares["yield"]) * cpu_ns / max(1, turns))

    def work_ns(self, shares, cpu_ns, idle_turns):
        """Of cpu_ns, what was work."""
        idle = (shares["look"] * self.look_factor + shares["yield"]) * cpu_ns
        return max(0.0, cpu_ns - idle - idle_turns * self.turn_ns)


@dataclasses.dataclass(frozen=True)
class ClientAtRest:
    """A generator that polls and yields, with nothing to send."""

    yield_share: float

    def work_ns(self, shares, cpu_ns):
        return max(0.0, cpu_ns * (1 - shares["yield"] / self.yield_share))


class CallCounter:
    """Counts the system calls of a thread, or of a process with all its threads."""

    def __init__(self, seconds, thread=None, pid=None):
        events = ["raw_syscalls:sys_enter"] + [f"syscalls:sys_enter_{name}" for name in CALLS]
        self.process = subprocess.Popen(
            ["perf", "stat", "-x", ",", "-e", ",".join(events),
             *(["-t", str(thread)] if thread else ["-p", str(pid)]), "--", "sleep", str(seconds)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def counts(self):
        return read_calls(self.process.communicate()[1])


def read_calls(text):
    """By name, "all" and "other" included; empty where perf counted nothing."""
    found = {}
    for line in text.splitlines():
        words = line.split(",")
        if len(words) > 2 and words[0].isdigit():
            found[words[2].removeprefix("syscalls:sys_enter_")] = int(words[0])
    if "raw_syscalls:sys_enter" not in found:
        return {}
    calls = {"all": found.pop("raw_syscalls:sys_enter"), **found}
    return {**calls, "other": max(0, calls["all"] - sum(found.values()))}

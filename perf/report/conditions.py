"""Under which conditions a run was made: whatever of the host may explain its figures."""

import datetime
import glob
import os
import platform
import re
import subprocess


def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def processor():
    match = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    return match.group(1) if match else platform.machine()


def mitigations():
    found = {}
    for path in sorted(glob.glob("/sys/devices/system/cpu/vulnerabilities/*")):
        state = read(path)
        if state and state != "Not affected":
            found[os.path.basename(path)] = state
    return found


def device_of(directory):
    """The block device below a folder, its file system and its write cache."""
    done = subprocess.run(["findmnt", "-no", "SOURCE,FSTYPE", "-T", directory],
                          capture_output=True, text=True)
    words = done.stdout.split()
    if len(words) < 2:
        return "unknown"
    name = os.path.basename(os.path.realpath(words[0]))
    block = os.path.realpath(f"/sys/class/block/{name}")
    for place in (block, os.path.dirname(block)):
        cache = read(os.path.join(place, "queue", "write_cache"))
        if cache:
            return f"{name}, {words[1]}, write cache: {cache}"
    return f"{name}, {words[1]}"


def commit(root):
    def git(*words):
        return subprocess.run(["git", "-C", root, *words], capture_output=True,
                              text=True).stdout.strip()
    changed = " and changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return git("rev-parse", "--short=12", "HEAD") + changed


def gather(root, directory):
    allowed = sorted(os.sched_getaffinity(0))
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(root),
        "processor": processor(),
        "processors": len(allowed),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        "mitigations": mitigations(),
        "huge_pages": read("/proc/sys/vm/nr_hugepages"),
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "not shown",
        "virtual": "hypervisor" in read("/proc/cpuinfo"),
        "disk": device_of(directory),
        "load_average": " ".join(f"{one:.2f}" for one in os.getloadavg()),
    }

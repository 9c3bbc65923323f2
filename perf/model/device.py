"""What a device does for one writer as the journal writes: direct, each write flushed. And a
device that does less, for one process."""

import mmap
import os
import tempfile
import time

FILE_BYTES = 64 << 20
BLOCK_BYTES = 4096
LARGE_BYTES = 2 << 20


class Throttle:
    """The process writes no more than this a second, by a control group of its own."""

    def __init__(self, pid, directory, bytes_per_s):
        found = os.stat(directory).st_dev
        numbers = f"{os.major(found)}:{os.minor(found)}"
        if os.path.exists(f"/sys/dev/block/{numbers}/partition"):
            with open(f"/sys/dev/block/{numbers}/../dev") as file:
                numbers = file.read().strip()
        is_old = os.path.isdir("/sys/fs/cgroup/blkio")
        root = "/sys/fs/cgroup/blkio" if is_old else "/sys/fs/cgroup"
        self.group = f"{root}/millrace-model-{pid}"
        self.root = root
        self.pid = pid
        self.file = "blkio.throttle.write_bps_device" if is_old else "io.max"
        self.words = f"{numbers} {bytes_per_s}" if is_old else f"{numbers} wbps={bytes_per_s}"

    # OSError: this host lets us not.
    def __enter__(self):
        os.mkdir(self.group)
        try:
            write(f"{self.group}/{self.file}", self.words)
            write(f"{self.group}/cgroup.procs", str(self.pid))
        except OSError:
            os.rmdir(self.group)
            raise

    def __exit__(self, *_):
        write(f"{self.root}/cgroup.procs", str(self.pid))
        os.rmdir(self.group)


def write(path, words):
    with open(path, "w") as file:
        file.write(words)


def write_rate(file, write_bytes, seconds):
    """Flushed writes a second, round and round in the file."""
    block = mmap.mmap(-1, write_bytes)  # where direct writes want it: at a page's start
    at = count = 0
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        os.pwrite(file, block, at)
        at = (at + write_bytes) % FILE_BYTES
        count += 1
    return count / (time.monotonic() - start)


def measure(directory, seconds):
    """Bytes and flushes a second; empty where the file system has no direct writes."""
    path = os.path.join(tempfile.mkdtemp(prefix="millrace-model-", dir=directory), "file")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_DSYNC, 0o600)
    except OSError:
        os.rmdir(os.path.dirname(path))
        return {}
    try:
        # Its blocks are there and have been written, as a journal's are.
        block = mmap.mmap(-1, LARGE_BYTES)
        for at in range(0, FILE_BYTES, LARGE_BYTES):
            os.pwrite(file, block, at)
        return {"bytes_per_s": LARGE_BYTES * write_rate(file, LARGE_BYTES, seconds),
                "flushes_per_s": write_rate(file, BLOCK_BYTES, seconds)}
    finally:
        os.close(file)
        os.unlink(path)
        os.rmdir(os.path.dirname(path))

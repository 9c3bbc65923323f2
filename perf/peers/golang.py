"""Programs built from Go modules: https://go.dev/doc/toolchain

Both the modules and the Go that builds them are pinned and come from the module proxy, checked
against the checksum database; whatever Go the host has only downloads them.
"""

import json
import os
import shutil
import stat

import peer

TOOLCHAIN = "v0.0.1-go1.25.9"
PROGRAMS = os.path.join(peer.CACHE, "go")
# The host's own settings may name another Go, or flags that only it knows.
ENVIRONMENT = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off",
               "CGO_ENABLED": "0"}


def build(module, version, package, name):
    """The path of the module's program; built once."""
    program = os.path.join(PROGRAMS, f"{name}-{version}")
    if os.path.exists(program):
        return program
    if shutil.which("go") is None:
        peer.install_packages("golang-go")
    os.makedirs(PROGRAMS, exist_ok=True)
    # In the module's own folder, where what it replaces and its checksums hold.
    peer.run([toolchain(), "build", "-buildvcs=false", "-o", program + ".new", package],
             cwd=download(module, version), env=ENVIRONMENT)
    os.rename(program + ".new", program)
    return program


def toolchain():
    architecture = peer.run(["go", "env", "GOARCH"]).strip()
    root = download("golang.org/toolchain", f"{TOOLCHAIN}.linux-{architecture}")
    # Modules carry no modes.
    for folder in ("bin", "pkg/tool"):
        for path, _, files in os.walk(os.path.join(root, folder)):
            for file in files:
                os.chmod(os.path.join(path, file), stat.S_IRUSR | stat.S_IXUSR)
    return os.path.join(root, "bin", "go")


def download(module, version):
    """The folder of its source."""
    answer = peer.run(["go", "mod", "download", "-json", f"{module}@{version}"], cwd=peer.CACHE,
                      env=ENVIRONMENT)
    return json.loads(answer)["Dir"]

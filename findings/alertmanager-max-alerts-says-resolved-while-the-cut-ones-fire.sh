#!/usr/bin/env bash
# Alertmanager 0.25.0: with `max_alerts`, the webhook's `status` is that of the alerts that are listed,
# not of the group. A group of two of which the listed one is over says "resolved" while the other,
# which was cut, fires; only `truncatedAlerts: 1` hints at it, and says nothing of its state.
#
# Guessed: `status` is the group's ("firing" as long as one of it fires), as the documentation of the
# webhook has it.
# Seen on 2026-11-30 with prometheus-alertmanager 0.25.0-1+b4 of Debian 12.
# Why it matters: a receiver that closes an incident by `status` closes it while it burns, and
# Alertmanager sends nothing further before `repeat_interval` (4 h).
#
# Needs apt (the package is unpacked, not installed), curl and python3.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
touch bodies
apt-get download -qq "prometheus-alertmanager=0.25.0-1+b4" >/dev/null 2>&1
dpkg -x prometheus-alertmanager_*.deb unpacked

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
api=$(free) hook=$(free)
cat >receiver.py <<PY
import http.server
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with open("bodies", "ab") as out:
            out.write(body.strip() + b"\n")
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", $hook), Receiver).serve_forever()
PY
cat >alertmanager.yml <<YML
route: {receiver: bot, group_wait: 1s, group_interval: 2s, repeat_interval: 4h}
receivers:
- name: bot
  webhook_configs: [{url: "http://127.0.0.1:$hook/", max_alerts: 1}]
YML
python3 receiver.py &
unpacked/usr/bin/prometheus-alertmanager --config.file=alertmanager.yml --storage.path=data \
    --web.listen-address="127.0.0.1:$api" --cluster.listen-address= >log 2>&1 &
for _ in $(seq 100); do curl -fs "http://127.0.0.1:$api/-/ready" >/dev/null && break; sleep 0.1; done

report() { # name, seconds from now to its end
    local ends
    ends=$(date -u -d "now + $2 seconds" +%Y-%m-%dT%H:%M:%SZ)
    curl -fs -H 'content-type: application/json' "http://127.0.0.1:$api/api/v2/alerts" \
        -d "[{\"labels\": {\"alertname\": \"$1\"}, \"endsAt\": \"$ends\"}]"
}
bodies() { for _ in $(seq 150); do [ "$(wc -l <bodies)" -ge "$1" ] && return; sleep 0.1; done; }
report A 600
report B 600
bodies 1
report A 0
bodies 2
report B 600
seen=$(tail -1 bodies | python3 -c '
import json, sys
body = json.loads(sys.stdin.readline())
listed = ",".join(a["labels"]["alertname"] + "=" + a["status"] for a in body["alerts"])
print(body["status"], listed, "left out:", body["truncatedAlerts"])')
fires=$(curl -fs "http://127.0.0.1:$api/api/v2/alerts" | python3 -c '
import json, sys
print(*[a["labels"]["alertname"] for a in json.load(sys.stdin) if a["status"]["state"] == "active"])')
echo "the last webhook says: $seen; Alertmanager itself holds to fire: $fires"
[ "$seen" = "resolved A=resolved left out: 1" ] && [ "$fires" = B ] || {
    echo "this has changed"
    exit 1
}

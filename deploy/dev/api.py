"""A small API on PostgreSQL and Redis, to be broken and mended. `api.py health` asks it.

/balances   counts in Redis and looks whether PostgreSQL is there
/leak?mb=20 keeps so many MiB for good
/health     200 while it answers
/metrics    for Prometheus
"""

import collections
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

answers = collections.Counter({200: 0, 500: 0})
seconds = collections.Counter()
lock = threading.Lock()
leaked = []


def ask(host, port, question):
    with socket.create_connection((host, port), timeout=2) as connection:
        connection.sendall(question)
        return connection.recv(100).decode()


def balances():
    # INCR, as Redis writes it, and PostgreSQL's SSLRequest: S or N is its answer.
    count = ask("redis", 6379, b"*2\r\n$4\r\nINCR\r\n$13\r\nbalances:read\r\n")
    if ask("postgres", 5432, b"\0\0\0\x08\x04\xd2\x16\x2f") not in ("S", "N"):
        raise OSError("this is no PostgreSQL")
    return f"balances read {count.strip()[1:]} times\n"


def metrics():
    lines = [
        "# HELP http_requests_total Requests answered.",
        "# TYPE http_requests_total counter",
    ]
    lines += [f'http_requests_total{{code="{code}"}} {n}' for code, n in sorted(answers.items())]
    lines += [
        "# HELP http_request_duration_seconds Time that answers took.",
        "# TYPE http_request_duration_seconds summary",
        f"http_request_duration_seconds_sum {seconds['all']:.6f}",
        f"http_request_duration_seconds_count {sum(answers.values())}",
    ]
    return "\n".join(lines) + "\n"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        if url.path == "/health":
            return self.answer(200, "well\n")
        if url.path == "/metrics":
            return self.answer(200, metrics())
        began = time.monotonic()
        status, text = self.work(url)
        with lock:
            answers[status] += 1
            seconds["all"] += time.monotonic() - began
        self.answer(status, text)

    def work(self, url):
        try:
            if url.path == "/balances":
                return 200, balances()
            if url.path == "/leak":
                query = urllib.parse.parse_qs(url.query)
                leaked.append(b"x" * (int(query.get("mb", ["20"])[0]) << 20))
                return 200, f"{sum(map(len, leaked)) >> 20} MiB are kept\n"
        except (OSError, ValueError) as error:
            print(f"ERROR {url.path}: {error}", flush=True)
            return 500, f"{error}\n"
        return 404, "there is /balances, /leak, /health and /metrics\n"

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())


if sys.argv[1:] == ["health"]:
    urllib.request.urlopen("http://127.0.0.1:8000/health", timeout=2)
else:
    ThreadingHTTPServer(("", 8000), Handler).serve_forever()

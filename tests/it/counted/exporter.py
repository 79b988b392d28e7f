"""Pages of metrics as Python's own libraries write them; each second answer is an error. Says the
three ports, and ends with its standard input."""

import sys
import threading

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, Counter, start_http_server

plain = CollectorRegistry()
requests = Counter("http_requests", "Requests", ["code"], registry=plain)
utf8 = CollectorRegistry()
dotted = Counter("http.requests", "Requests", ["http.status_code"], registry=utf8)
# Its page is the default registry's.
meter = MeterProvider(metric_readers=[PrometheusMetricReader()]).get_meter("shop")
took = meter.create_histogram("http.server.request.duration", unit="s")


def answer(code):
    exemplar = {"trace_id": "a}b"}
    requests.labels(str(code)).inc(10, exemplar=exemplar)
    dotted.labels(str(code)).inc(10)
    for _ in range(10):
        took.record(0.01, {"http.request.method": "GET", "http.response.status_code": code})


def serve():
    while not done.wait(0.1):
        answer(200)
        answer(500)


servers = [start_http_server(0, registry=one)[0] for one in (plain, utf8)]
servers.append(start_http_server(0)[0])
print(*(server.server_port for server in servers), flush=True)
done = threading.Event()
threading.Thread(target=serve, daemon=True).start()
sys.stdin.read()
done.set()

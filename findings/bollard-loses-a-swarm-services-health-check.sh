#!/usr/bin/env bash
# bollard 0.21.1 (and any client that is generated from Docker's own description of its API, where the
# key is `HealthCheck`): the engine writes a Swarm service's health check as `Healthcheck`. Reading
# a service gives none, and writing back what was read, such as to change a label, takes it away.
#
# Guessed: the description and the engine spell it alike, as they do for containers (`Healthcheck` in
# both), and a service that is read and updated keeps what nobody touched.
# Seen on 2026-11-30 with docker.io 20.10.24+dfsg1 of Debian 12 and bollard 0.21.1.
# Why it matters: a deployment tool that reads, changes the image and updates leaves the service
# without its health check; Swarm then counts a container as well as soon as it runs, and rolls a
# broken image out over all replicas.
#
# Needs root, apt (packages are unpacked, not installed), cargo, curl and python3. The engine runs in a network
# namespace of its own; no image is pulled and no container runs.
set -euo pipefail
folder=$(mktemp -d)
cd "$folder"
mkdir unpacked
for package in "docker.io=20.10.24*" containerd runc; do
    apt-get download -qq "$package" >/dev/null 2>&1
done
for package in *.deb; do dpkg -x "$package" unpacked; done
socket=$folder/docker.sock
PATH=$folder/unpacked/usr/bin:$folder/unpacked/usr/sbin:$PATH unshare --net --mount -- bash -c '
    ip link set lo up
    exec dockerd --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root "$1/exec" \
        --pidfile "$1/pid" --iptables=false >"$1/log" 2>&1' bash "$folder" &
end() {
    kill "$(cat pid)" 2>/dev/null && while [ -e pid ]; do sleep 0.1; done
    cd / && rm -rf "$folder"
}
trap end EXIT
docker() { curl -fsS --unix-socket "$socket" -H 'content-type: application/json' "$@"; }
for _ in $(seq 200); do docker http://d/_ping >/dev/null 2>&1 && break; sleep 0.1; done
docker http://d/swarm/init -d '{"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"}' >/dev/null
docker http://d/services/create -d '{"Name": "web", "Mode": {"Replicated": {"Replicas": 0}},
    "TaskTemplate": {"ContainerSpec": {"Image": "web:1", "Healthcheck": {"Test": ["CMD", "true"]}}}}' >/dev/null

mkdir -p client/src
cat >client/Cargo.toml <<'TOML'
[package]
name = "client"
version = "0.0.0"
edition = "2021"
[dependencies]
bollard = "=0.21.1"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
TOML
cat >client/src/main.rs <<'RUST'
use bollard::Docker;
use bollard::query_parameters::{InspectServiceOptions, UpdateServiceOptions};

#[tokio::main]
async fn main() {
    let path = std::env::args().nth(1).unwrap();
    let docker = Docker::connect_with_unix(&path, 30, &bollard::ClientVersion { major_version: 1, minor_version: 41 });
    let docker = docker.unwrap();
    let service = docker.inspect_service("web", None::<InspectServiceOptions>).await.unwrap();
    let mut spec = service.spec.unwrap();
    let container = spec.task_template.as_ref().unwrap().container_spec.as_ref().unwrap();
    println!("read: {:?}", container.health_check);
    spec.labels = Some([("touched".to_string(), "yes".to_string())].into());
    let version = service.version.unwrap().index.unwrap();
    let options = UpdateServiceOptions { version: version as i32, ..Default::default() };
    docker.update_service("web", spec, options, None).await.unwrap();
}
RUST
raw() {
    docker http://d/services/web | python3 -c '
import json, sys
container = json.load(sys.stdin)["Spec"]["TaskTemplate"]["ContainerSpec"]
print({key: value for key, value in container.items() if key.lower() == "healthcheck"})'
}
before=$(raw)
read_by_client=$(cd client && cargo run --quiet -- "$socket" 2>&1)
after=$(raw)
printf 'engine before: %s\n%s\nengine after:  %s\n' "$before" "$read_by_client" "$after"
[ "$before" = "{'Healthcheck': {'Test': ['CMD', 'true']}}" ]
[ "$read_by_client" = "read: None" ]
[ "$after" = "{}" ]
echo "as it was"

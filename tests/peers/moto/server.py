"""moto for the tests: AWS' KMS, S3, Secrets Manager, SSM, STS and IAM in memory, on a free port of the loopback address.

    server.py     prints {"http": "http://127.0.0.1:PORT"} when it listens, and ends when its standard input does

It remembers what it was asked (never what with), and can be told to fail:

    GET    /_testkit/calls    [{"action": "kms:Decrypt", "region": "eu-west-1", "access_key": "AKIA…", "resource": "arn:…"}]
                              of S3 also what is "told" of an object: its type, its checksum
    DELETE /_testkit/calls    forgets them
    POST   /_testkit/faults   {"action": "kms:Decrypt", "region": null, "resource": null, "times": 2, "status": 400,
                               "code": "ThrottlingException", "message": "Rate exceeded", "delay": 0}
                              the next `times` calls (all, if null) that match are answered so; without `code`, only late
    DELETE /_testkit/faults   no more of that
"""

import io
import json
import logging
import os
import re
import sys
import threading
import time
import urllib.parse

from moto.kms import utils
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

CREDENTIAL = re.compile(r"Credential=([^/,]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")
# What names the object of a call, in the order in which it counts. None of these is a secret.
RESOURCES = ["KeyId", "SecretId", "RoleArn", "Name", "AliasName"]
PREFIX = "/_testkit/"
INSTANCE_TOKEN = "/latest/api/token"
INSTANCE_TOKEN_LIFE = "x-aws-ec2-metadata-token-ttl-seconds"


class Recorder:
    """Stands before moto: remembers each call, and answers in its place where it was told to."""

    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()
        self.calls = []
        self.faults = []

    def __call__(self, environment, start_response):
        length = int(environment.get("CONTENT_LENGTH") or 0)
        body = environment["wsgi.input"].read(length)
        environment["wsgi.input"] = io.BytesIO(body)
        if environment["PATH_INFO"].startswith(PREFIX):
            return self.control(environment["REQUEST_METHOD"], environment["PATH_INFO"], body, start_response)
        if environment["PATH_INFO"] == INSTANCE_TOKEN:
            # moto forgets the header without which SDKs do not take the token.
            return send(start_response, 200, "text/plain", "token", [(INSTANCE_TOKEN_LIFE, "21600")])
        call = describe(environment, body)
        if call is not None:
            with self.lock:
                self.calls.append(call)
                fault = self.fault_for(call)
            if fault is not None:
                time.sleep(fault.get("delay") or 0)
                if fault.get("code"):
                    return fail(fault, speech(environment), start_response)
        return refuse_as_aws(self.application, environment, start_response)

    def fault_for(self, call):
        for fault in self.faults:
            asked = [fault.get(name) for name in ("action", "region", "resource")]
            there = [call[name] for name in ("action", "region", "resource")]
            if all(want is None or want == found for want, found in zip(asked, there)):
                if fault.get("times") is not None:
                    fault["times"] -= 1
                    if fault["times"] <= 0:
                        self.faults.remove(fault)
                return dict(fault)
        return None

    def control(self, method, path, body, start_response):
        answer = []
        with self.lock:
            match method, path.removeprefix(PREFIX):
                case "GET", "calls":
                    answer = list(self.calls)
                case "DELETE", "calls":
                    self.calls.clear()
                case "POST", "faults":
                    self.faults.append(json.loads(body))
                case "DELETE", "faults":
                    self.faults.clear()
                case _:
                    start_response("404 Not Found", [("Content-Length", "0")])
                    return [b""]
        return send(start_response, 200, "application/json", json.dumps(answer))


# What is checked before any service is asked: as moto calls it, and as AWS does where the service speaks JSON.
REFUSALS = {
    "AccessDenied": "AccessDeniedException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}


def refuse_as_aws(application, environment, start_response):
    """moto refuses callers in one kind of XML, whatever the service speaks."""
    status, headers = [], []

    def remember(new_status, new_headers, exc_info=None):
        status[:], headers[:] = [new_status], new_headers

    body = b"".join(application(environment, remember))
    code = re.search(rb"<Code>(\w+)</Code>", body)
    if status[0].startswith("40") and body.startswith(b"<") and code is not None:
        kind = speech(environment)
        message = re.search(rb"<Message>(.*?)</Message>", body, re.DOTALL)
        name = code.group(1).decode()
        fault = {
            "status": int(status[0].split()[0]),
            "code": REFUSALS.get(name, name) if kind == "json" else name,
            "message": message.group(1).decode() if message else "",
        }
        return fail(fault, kind, start_response)
    start_response(status[0], headers)
    return [body]


def describe(environment, body):
    """What is asked, of which region, as whom; None for what is no call of AWS."""
    credential = CREDENTIAL.search(environment.get("HTTP_AUTHORIZATION", ""))
    if credential is None:
        return None
    access_key, region, service = credential.groups()
    if service == "s3":
        bucket, _, key = environment["PATH_INFO"].lstrip("/").partition("/")
        # WSGI has the bytes of a path as characters.
        bucket, key = (text.encode("latin-1").decode() for text in (bucket, key))
        what = "Object" if key else "Bucket"
        action = {"PUT": "Put" if key else "Create", "GET": "Get", "DELETE": "Delete"}.get(environment["REQUEST_METHOD"], "") + what
        resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
        call = {"action": f"s3:{action}", "region": region, "access_key": access_key, "resource": resource}
        told = {name: environment.get(name) for name in ("CONTENT_TYPE", "HTTP_X_AMZ_CHECKSUM_CRC32", "QUERY_STRING")}
        return {**call, "told": {name: text for name, text in told.items() if text}}
    target = environment.get("HTTP_X_AMZ_TARGET")
    try:
        if target is not None:
            action, fields = target.rpartition(".")[2], json.loads(body or b"{}")
        else:
            fields = dict(urllib.parse.parse_qsl(body.decode()))
            action = fields.get("Action", "")
    except ValueError:
        action, fields = "", {}
    resource = next((fields[name] for name in RESOURCES if name in fields), None)
    return {"action": f"{service}:{action}", "region": region, "access_key": access_key, "resource": resource}


def speech(environment):
    """How the service that is asked says what is wrong."""
    credential = CREDENTIAL.search(environment.get("HTTP_AUTHORIZATION", ""))
    if "HTTP_X_AMZ_TARGET" in environment:
        return "json"
    return "s3" if credential and credential.group(3) == "s3" else "xml"


def fail(fault, speech, start_response):
    code, message = fault["code"], fault.get("message", "")
    if speech == "s3":
        kind = "application/xml"
        text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>" % (code, message)
    elif speech == "json":
        kind, text = "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
    else:
        kind = "text/xml"
        text = (
            "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>"
            "<RequestId>0</RequestId></ErrorResponse>" % (code, message)
        )
    return send(start_response, fault.get("status") or 400, kind, text)


def send(start_response, status, kind, text, headers=()):
    body = text.encode()
    start_response(f"{status} Said", [("Content-Type", kind), ("Content-Length", str(len(body))), *headers])
    return [body]


def end_with_standard_input():
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def mend_multi_region_keys():
    """The ids of moto's multi-Region keys are 4 characters longer than its ciphertexts have room for, so it could not decrypt."""
    longest = 40
    utils.HEADER_LEN += longest - utils.KEY_ID_LEN
    utils.CIPHERTEXT_HEADER_FORMAT = f">{longest}s{utils.IV_LEN}s{utils.TAG_LEN}s"
    deserialize = utils._deserialize_ciphertext_blob

    def deserialize_and_trim(ciphertext_blob):
        ciphertext = deserialize(ciphertext_blob)
        return ciphertext._replace(key_id=ciphertext.key_id.rstrip("\0"))

    utils._deserialize_ciphertext_blob = deserialize_and_trim


def main():
    mend_multi_region_keys()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, Recorder(DomainDispatcherApplication(create_backend_app)), threaded=True)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    print(json.dumps({"http": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    server.serve_forever()


main()

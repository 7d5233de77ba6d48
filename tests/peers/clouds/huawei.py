"""Huawei Cloud: KMS, the projects of IAM, and the credentials of the instance."""

import hashlib
import hmac
import os
import re
import time
import urllib.parse

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokens import decode, encode

DATA = re.compile(r"/v1\.0/([^/]+)/kms/(encrypt|decrypt)-data")
AUTHORIZATION = re.compile(r"SDK-HMAC-SHA256 Access=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})")
DATE = "%Y%m%dT%H%M%SZ"

KEYS = {}
USERS = {}  # access key: who it is, and what they may
INSTANCE = []


def let_in(who):
    USERS[who["access_key"]] = {"projects": ["project-of-tests"], "security_token": None, **who}
    if who.get("instance"):
        INSTANCE[:] = [who["access_key"]]
    return {}


def name(request):
    if found := DATA.fullmatch(request.path):
        request.action = "huawei:" + found[2]
        request.resource = request.json().get("key_id")
    elif request.path == "/v3/projects":
        request.action = "huawei:projects"
    elif request.path == "/meta-data/latest/api/token":
        request.action = "huawei:instance-token"
    elif request.path == "/openstack/latest/securitykey":
        request.action = "huawei:instance"
    return request.action is not None


def failure(status, code, message):
    return status, {"error": {"error_code": code, "error_msg": message}, "request_id": "1"}


def answer(request):
    if request.action == "huawei:instance-token":
        return 200, "instance-token", {"Content-Type": "text/plain"}
    if request.action == "huawei:instance":
        return instance(request)
    reason = check(request)
    if reason is not None:
        return 401, {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information: " + reason, "request_id": "1"}
    user = USERS[request.principal]
    if request.action == "huawei:projects":
        return 200, {"projects": [{"id": project, "name": request.query.get("name")} for project in user["projects"]]}
    return use(request, user)


def instance(request):
    if not INSTANCE or request.headers.get("X-Metadata-Token") != "instance-token":
        return 404, {}
    user = USERS[INSTANCE[0]]
    expires = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + 3600))
    return 200, {"credential": {"access": user["access_key"], "secret": user["secret_key"],
                                "securitytoken": user["security_token"] or "", "expires_at": expires}}


def check(request):
    """Why the signature is not good; None if it is. Made of the documents of API Gateway, not of an SDK."""
    found = AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        return "no signature"
    access_key, names, signature = found.groups()
    if access_key not in USERS:
        return "verify aksk signature fail, AK access failed to reach the limit" if access_key == "locked" else "Get secretKey failed"
    user = USERS[access_key]
    if user["security_token"] is not None and request.headers.get("X-Security-Token") != user["security_token"]:
        return "security token is missing or wrong"
    names = names.split(";")
    if names != sorted(names) or "x-sdk-date" not in names:
        return "signed headers are wrong"
    if user["security_token"] is not None and "x-security-token" not in names:
        return "the security token is not signed"
    try:
        date = time.mktime(time.strptime(request.headers["X-Sdk-Date"], DATE)) - time.timezone
    except (ValueError, TypeError):
        return "no date"
    if abs(date - time.time()) > 900:
        return "signature expired"
    path = "/".join(urllib.parse.quote(urllib.parse.unquote(part), safe="-_.~") for part in request.path.split("/"))
    pairs = sorted(urllib.parse.parse_qsl(request.query_text, keep_blank_values=True))
    query = "&".join(urllib.parse.quote(key, safe="-_.~") + "=" + urllib.parse.quote(value, safe="-_.~") for key, value in pairs)
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names)
    canonical = "\n".join([request.method, path if path.endswith("/") else path + "/", query, headers, ";".join(names),
                           hashlib.sha256(request.body).hexdigest()])
    text = "\n".join(["SDK-HMAC-SHA256", request.headers["X-Sdk-Date"], hashlib.sha256(canonical.encode()).hexdigest()])
    if not hmac.compare_digest(hmac.new(user["secret_key"].encode(), text.encode(), hashlib.sha256).hexdigest(), signature):
        return "verify aksk signature fail"
    request.principal = access_key
    return None


def use(request, user):
    project, verb = DATA.fullmatch(request.path).groups()
    body = request.json()
    key_id = body.get("key_id")
    if project not in user["projects"] or request.headers.get("X-Project-Id") != project:
        return failure(403, "KMS.0301", "The project is not one of the user's.")
    if verb not in user["may"]:
        return failure(403, "KMS.0304", f"Policy doesn't allow kms:cmk:{verb} to be performed.")
    if not isinstance(key_id, str) or "dead" in key_id:
        return failure(404, "KMS.0405", "The CMK does not exist.")
    if "d15ab1ed" in key_id:
        return failure(403, "KMS.1102", "The CMK is disabled.")
    if body.get("encryption_algorithm") != "SYMMETRIC_DEFAULT":
        return failure(400, "KMS.0201", "Invalid request parameter.")
    secret = KEYS.setdefault((request.host, key_id), AESGCM.generate_key(256))
    if verb == "encrypt":
        nonce = os.urandom(12)
        wrapped = nonce + AESGCM(secret).encrypt(nonce, body["plain_text"].encode(), None)
        return 200, {"key_id": key_id, "cipher_text": encode(wrapped)}
    try:
        wrapped = decode(body["cipher_text"])
        plain = AESGCM(secret).decrypt(wrapped[:12], wrapped[12:], None).decode()
    except (InvalidTag, ValueError, KeyError, TypeError):
        return failure(400, "KMS.0210", "Failed to decrypt the ciphertext.")
    return 200, {"key_id": key_id, "plain_text": plain, "plain_text_base64": encode(plain.encode())}

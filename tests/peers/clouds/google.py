"""Google Cloud: KMS, Cloud Storage as far as objects are put there, and who gives tokens out (OAuth, STS, IAM credentials, the instance)."""

import json
import os
import re
import secrets
import urllib.parse

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokens import crc32c, decode, encode, is_signed, parts

KEY = re.compile(r"/v1/(projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/:]+):(encrypt|decrypt)")
IMPERSONATE = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken")
UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
INSTANCE = "/computeMetadata/v1/instance/service-accounts/default/"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"

KEYS = {}
OBJECTS = {}  # bucket and name: what is there
ACCOUNTS = {}  # email: what it may
SIGNERS = {}  # email: its public key
TOKENS = {}  # token: email
REFRESH = {}  # refresh token: email
SUBJECTS = {}  # another cloud's token: email
INSTANCE_ACCOUNT = []


def let_in(who):
    """Somebody, by the kinds of credentials that there are. All of them are given back."""
    email = who["email"]
    ACCOUNTS[email] = set(who["may"])
    key = rsa.generate_private_key(65537, 2048)
    SIGNERS[email] = key.public_key()
    refresh, subject, token = (secrets.token_hex(16) for _ in range(3))
    REFRESH[refresh], SUBJECTS[subject], TOKENS[token] = email, email, email
    if who.get("instance"):
        INSTANCE_ACCOUNT[:] = [email]
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return {
        "token": token,
        "subject_token": subject,
        "service_account": {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "key-of-" + email,
            "private_key": private,
            "client_email": email,
            "client_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com",
        },
        "authorized_user": {
            "type": "authorized_user",
            "client_id": "gcloud",
            "client_secret": "of-gcloud",
            "refresh_token": refresh,
            "quota_project_id": "quota-of-user",
            "universe_domain": "googleapis.com",
        },
    }


def name(request):
    """What is asked; whether it is of Google at all."""
    if found := KEY.fullmatch(request.path):
        request.action, request.resource = "google:" + found[2], found[1]
    elif found := UPLOAD.fullmatch(request.path):
        request.action = "google:upload"
        request.resource = urllib.parse.unquote(found[1]) + "/" + request.query.get("name", "")
    elif found := IMPERSONATE.fullmatch(request.path):
        request.action, request.resource = "google:impersonate", found[1]
    elif request.path.startswith(INSTANCE):
        request.action = "google:instance"
    elif request.path == "/token" and request.method == "POST":
        request.action = "google:refresh"
    elif request.path == "/v1/token":
        request.action = "google:exchange"
    return request.action is not None


def failure(status, words, message, detail=None):
    body = {"error": {"code": status, "message": message, "status": words}}
    if detail is not None:
        body["error"]["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **detail}]
    return status, body


def answer(request):
    match request.action:
        case "google:refresh":
            return refresh(request)
        case "google:exchange":
            return exchange(request)
        case "google:impersonate":
            return impersonate(request)
        case "google:instance":
            return instance(request)
    request.principal = caller(request)
    if request.action == "google:upload":
        return upload(request)
    if request.principal is None:
        return failure(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    return use(request, request.resource, request.action.partition(":")[2])


def caller(request):
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind != "Bearer":
        return None
    if token in TOKENS:
        return TOKENS[token]
    if (read := parts(token)) is None:
        return None
    header, claims = read
    email = claims.get("iss")
    is_for_us = SCOPE in claims.get("scope", "") or claims.get("aud", "").startswith(("https://cloudkms.googleapis.com", "https://storage.googleapis.com"))
    is_good = email in SIGNERS and claims.get("sub") == email and header.get("kid") == "key-of-" + email
    return email if is_good and is_for_us and is_signed(token, SIGNERS[email]) else None


def use(request, key, verb):
    permission = "cloudkms.cryptoKeyVersions.useTo" + verb.capitalize()
    if verb not in ACCOUNTS[request.principal]:
        detail = {"reason": "IAM_PERMISSION_DENIED", "domain": "cloudkms.googleapis.com",
                  "metadata": {"permission": permission, "resource": key}}
        return failure(403, "PERMISSION_DENIED", f"Permission '{permission}' denied on resource '{key}' (or it may not exist).", detail)
    if "missing" in key:
        return failure(404, "NOT_FOUND", f"CryptoKey {key} not found.")
    version = key + "/cryptoKeyVersions/1"
    if "disabled" in key:
        return failure(400, "FAILED_PRECONDITION", f"{version} is not enabled, current state is: DISABLED.")
    secret = KEYS.setdefault(key, AESGCM.generate_key(256))
    body = request.json()
    try:
        data = decode(body["plaintext" if verb == "encrypt" else "ciphertext"])
    except (KeyError, ValueError, TypeError):
        return failure(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    said = body.get(("plaintext" if verb == "encrypt" else "ciphertext") + "Crc32c")
    if said is not None and int(said) != crc32c(data):
        return failure(400, "INVALID_ARGUMENT", "The checksum did not match the data.")
    if verb == "encrypt":
        nonce = os.urandom(12)
        wrapped = b"\x0a\x24\x00" + nonce + AESGCM(secret).encrypt(nonce, data, key.encode())
        return 200, {"name": version, "ciphertext": encode(wrapped), "ciphertextCrc32c": str(crc32c(wrapped)),
                     "verifiedPlaintextCrc32c": said is not None, "protectionLevel": "SOFTWARE"}
    try:
        data = AESGCM(secret).decrypt(data[3:15], data[15:], key.encode())
    except (InvalidTag, ValueError):
        return failure(400, "INVALID_ARGUMENT", "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
    return 200, {"plaintext": encode(data), "plaintextCrc32c": str(crc32c(data)), "usedPrimary": True, "protectionLevel": "SOFTWARE"}


def upload(request):
    """`uploadType=multipart`: what is said about an object, and the object. Cloud Storage's errors have no status in words."""

    def refuse(status, reason, message):
        error = {"message": message, "domain": "global", "reason": reason}
        return status, {"error": {"code": status, "message": message, "errors": [error]}}

    # Without its name it is an emulator, which lets everybody in.
    is_emulator = request.host.startswith("127.0.0.1:") and "Authorization" not in request.headers
    if request.principal is None and not is_emulator:
        return refuse(401, "authError", "Invalid Credentials")
    bucket, _, name = request.resource.partition("/")
    may = {"create", "delete"} if is_emulator else ACCOUNTS[request.principal]
    for permission in ["create"] + ["delete"] * (request.resource in OBJECTS):
        if permission not in may:
            permission = "storage.objects." + permission
            return refuse(403, "forbidden", f"{request.principal} does not have {permission} access to the Google Cloud Storage object. "
                          f"Permission '{permission}' denied on resource (or it may not exist).")
    if "missing" in bucket:
        return refuse(404, "notFound", "The specified bucket does not exist.")
    kind, _, boundary = request.headers.get("Content-Type", "").partition("; boundary=")
    pieces = (b"\r\n" + request.body).split(b"\r\n--" + boundary.encode())
    if request.query.get("uploadType") != "multipart" or kind != "multipart/related" or len(pieces) != 4 or pieces[3].strip() != b"--":
        return refuse(400, "invalid", "Malformed multipart body.")
    (_, _, about), (head, _, content) = (piece.partition(b"\r\n\r\n") for piece in pieces[1:3])
    about = json.loads(about)
    if (about.get("bucket"), about.get("name")) != (bucket, name):
        return refuse(400, "invalid", "The object is not the one that the address names.")
    if decode(about.get("crc32c", "")) != crc32c(content).to_bytes(4, "big"):
        return refuse(400, "invalid", "Provided CRC32C does not match the calculated one.")
    before = OBJECTS.get(request.resource, {"uploads": 0})
    OBJECTS[request.resource] = {"bucket": bucket, "name": name, "content": content.decode(), "type": head.decode().partition("Content-Type: ")[2],
                                 "about": sorted(about), "uploads": before["uploads"] + 1}
    return 200, {"kind": "storage#object", "bucket": bucket, "name": name, "size": str(len(content))}


def lend(email, life=3599):
    token = "ya29." + secrets.token_hex(16)
    TOKENS[token] = email
    return token, {"access_token": token, "expires_in": life, "token_type": "Bearer"}


def refresh(request):
    form = request.form()
    if form.get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer":
        request.action = "google:assertion"
        return assertion(request, form.get("assertion", ""))
    request.principal = REFRESH.get(form.get("refresh_token"))
    is_good = form.get("grant_type") == "refresh_token" and form.get("client_id") == "gcloud" and form.get("client_secret") == "of-gcloud"
    if request.principal is None or not is_good:
        return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    return 200, lend(request.principal)[1]


def assertion(request, token):
    """What Google's older libraries exchange: a token that a service account signed for this very address."""
    email = ((parts(token) or ({}, {}))[1]).get("iss")
    if email not in SIGNERS or not is_signed(token, SIGNERS[email]):
        return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    request.principal = email
    return 200, lend(email)[1]


def exchange(request):
    form = request.form()
    request.principal = SUBJECTS.get(form.get("subject_token"))
    request.resource = form.get("audience")
    if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" or SCOPE not in form.get("scope", ""):
        return 400, {"error": "invalid_request", "error_description": "Invalid grant_type or scope."}
    if request.principal is None:
        return 400, {"error": "invalid_grant", "error_description": "The subject token is not valid."}
    return 200, {**lend(request.principal)[1], "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}


def impersonate(request):
    request.principal = caller(request)
    if request.principal is None:
        return failure(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    if "impersonate" not in ACCOUNTS[request.principal]:
        permission = "iam.serviceAccounts.getAccessToken"
        detail = {"reason": "IAM_PERMISSION_DENIED", "metadata": {"permission": permission}}
        return failure(403, "PERMISSION_DENIED", f"Permission '{permission}' denied on resource (or it may not exist).", detail)
    if request.resource not in ACCOUNTS:
        return failure(404, "NOT_FOUND", "Not found; Gaia id not found for email " + request.resource)
    return 200, {"accessToken": lend(request.resource)[0], "expireTime": "2099-01-01T00:00:00Z"}


def instance(request):
    flavour = {"Metadata-Flavor": "Google"}
    if request.headers.get("Metadata-Flavor") != "Google":
        return 403, "Missing required header", {}
    if not INSTANCE_ACCOUNT:
        return 404, "", flavour
    request.principal = INSTANCE_ACCOUNT[0]
    if request.path.endswith("/email"):
        return 200, request.principal, {**flavour, "Content-Type": "application/text"}
    return 200, lend(request.principal)[1], flavour

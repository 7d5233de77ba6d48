"""What the clouds have in common: base64, signed tokens, checksums."""

import base64
import hashlib
import json
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding


def encode(data):
    return base64.b64encode(data).decode()


def decode(text):
    return base64.b64decode(text, validate=True)


def encode_url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token):
    """Header and claims of a signed token; None if it is none."""
    try:
        header, claims, _ = token.split(".")
        return json.loads(decode_url(header)), json.loads(decode_url(claims))
    except ValueError:
        return None


def is_signed(token, public_key):
    """By this key, with the algorithm that it says, and good now."""
    header, claims = parts(token)
    signed, _, signature = token.rpartition(".")
    sha = hashes.SHA256()
    paddings = {
        "RS256": padding.PKCS1v15(),
        "PS256": padding.PSS(padding.MGF1(sha), sha.digest_size),
    }
    try:
        public_key.verify(decode_url(signature), signed.encode(), paddings[header["alg"]], sha)
    except (InvalidSignature, KeyError):
        return False
    now = time.time()
    return claims.get("iat", claims.get("nbf", now)) <= now + 60 and now < claims["exp"] <= now + 3700


def thumbprint(certificate_der):
    return encode_url(hashlib.sha256(certificate_der).digest())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF

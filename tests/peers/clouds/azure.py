"""Azure: Key Vault's keys, and who gives tokens out (Entra ID, managed identities of services and machines)."""

import datetime
import re
import secrets
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tokens import decode_url, encode_url, is_signed, parts, thumbprint

KEY = re.compile(r"/keys/([^/]+)(?:/([^/]*))?(?:/(encrypt|decrypt))?/?")
TENANT_TOKEN = re.compile(r"/([^/]+)/oauth2/v2\.0/token")
OPENID = re.compile(r"/([^/]+)/v2\.0/\.well-known/openid-configuration")
LOGIN = "https://login.microsoftonline.com"
TENANT = "00000000-0000-0000-0000-000000000000"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SERVICE_HEADER = "of-the-service"

KEYS = {}
APPLICATIONS = {}
TOKENS = {}  # token: (client id, what it is for)
MANAGED = []


def let_in(who):
    """An application: by a secret, a certificate, the token of another issuer, or as the managed identity of this machine."""
    application = APPLICATIONS[who["client_id"]] = {"tenant": TENANT, "may": [], **who}
    if who.get("managed"):
        MANAGED[:] = [who["client_id"]]
    pem = make_certificate(application) if who.get("certificate") else None
    return {"tenant": application["tenant"], "header": SERVICE_HEADER, "pem": pem}


def make_certificate(application):
    """One for the application, which keeps it; certificate and private key in PEM are given back."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "testkit")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    certificate = certificate.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    certificate = certificate.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    application["certificate"] = certificate
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode() + private.decode()


def name(request):
    if TENANT_TOKEN.fullmatch(request.path):
        request.action = "azure:token"
    elif OPENID.fullmatch(request.path) or request.path == "/common/discovery/instance":
        request.action = "azure:discovery"
    elif request.path == "/msi/token":
        request.action = "azure:service-identity"
    elif request.path == "/metadata/identity/oauth2/token":
        request.action = "azure:machine-identity"
    elif found := KEY.fullmatch(request.path):
        request.action = "azure:" + (found[3] or "get")
        request.resource = f"https://{request.host}{request.path}"
    return request.action is not None


def failure(status, code, message, inner=None, headers={}):
    body = {"error": {"code": code, "message": message}}
    if inner is not None:
        body["error"]["innererror"] = {"code": inner}
    return status, body, headers


def answer(request):
    match request.action:
        case "azure:token":
            return token(request)
        case "azure:discovery":
            return discovery(request)
        case "azure:service-identity" | "azure:machine-identity":
            return managed(request)
    return use(request)


def discovery(request):
    if found := OPENID.fullmatch(request.path):
        tenant = found[1]
        return 200, {"token_endpoint": f"{LOGIN}/{tenant}/oauth2/v2.0/token", "issuer": f"{LOGIN}/{tenant}/v2.0",
                     "authorization_endpoint": f"{LOGIN}/{tenant}/oauth2/v2.0/authorize"}
    endpoint = urlparse_tenant(request.query.get("authorization_endpoint", ""))
    return 200, {"tenant_discovery_endpoint": f"{LOGIN}/{endpoint}/v2.0/.well-known/openid-configuration", "api-version": "1.1",
                 "metadata": [{"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net",
                               "aliases": ["login.microsoftonline.com", "login.windows.net"]}]}


def urlparse_tenant(url):
    return (url.split("/") + [TENANT] * 4)[3]


def refuse(code, message):
    return 401 if code == "invalid_client" else 400, {"error": code, "error_description": message + " Trace ID: 1 Correlation ID: 2"}


def token(request):
    form, tenant = request.form(), TENANT_TOKEN.fullmatch(request.path)[1]
    client_id = form.get("client_id")
    application = APPLICATIONS.get(client_id)
    if application is None or application["tenant"] != tenant:
        return refuse("unauthorized_client", f"AADSTS700016: Application with identifier '{client_id}' was not found in the directory '{tenant}'.")
    request.principal = client_id
    scopes = [scope for scope in form.get("scope", "").split() if scope.endswith("/.default")]
    if form.get("grant_type") != "client_credentials" or len(scopes) != 1:
        return refuse("invalid_request", "AADSTS90014: The request is not one for client credentials.")
    if form.get("client_assertion_type") == ASSERTION:
        if not is_asserted(form.get("client_assertion", ""), client_id, application, tenant):
            return refuse("invalid_client", "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application.")
    elif "secret" not in application or form.get("client_secret") != application["secret"]:
        return refuse("invalid_client", f"AADSTS7000215: Invalid client secret provided for app '{client_id}'.")
    return 200, lend(client_id, scopes[0].removesuffix("/.default"))


def is_asserted(assertion, client_id, application, tenant):
    if assertion == application.get("subject_token"):
        return True
    read = parts(assertion)
    if read is None or not application.get("certificate"):
        return False
    header, claims = read
    certificate = application["certificate"]
    says_who = claims.get("iss") == claims.get("sub") == client_id and claims.get("jti")
    is_for_us = claims.get("aud") == f"{LOGIN}/{tenant}/oauth2/v2.0/token"
    is_shown = header.get("x5t#S256") == thumbprint(certificate.public_bytes(Encoding.DER))
    return bool(says_who and is_for_us and is_shown and is_signed(assertion, certificate.public_key()))


def lend(client_id, resource, life=3599):
    text = "eyJ." + secrets.token_hex(16)
    TOKENS[text] = (client_id, resource)
    return {"access_token": text, "expires_in": life, "ext_expires_in": life, "token_type": "Bearer"}


def managed(request):
    is_service = request.action == "azure:service-identity"
    if is_service and request.headers.get("X-IDENTITY-HEADER") != SERVICE_HEADER:
        return 401, {"statusCode": 401, "message": "wrong header"}
    if not is_service and request.headers.get("Metadata") != "true":
        return 400, {"error": "invalid_request", "error_description": "Required metadata header not specified"}
    client_id = request.query.get("client_id", MANAGED[0] if MANAGED else None)
    if client_id not in MANAGED:
        return 400, {"error": "invalid_request", "error_description": "Identity not found"}
    request.principal = client_id
    given = lend(client_id, request.query["resource"])
    return 200, {**given, "expires_in": str(given["expires_in"]), "expires_on": str(int(time.time()) + given["expires_in"]),
                 "resource": request.query["resource"]}


def use(request):
    key_name, version, verb = KEY.fullmatch(request.path).groups()
    host = request.host.removesuffix(":443")
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    resource = "https://" + host.partition(".")[2].partition(":")[0]
    if kind != "Bearer" or text not in TOKENS or TOKENS[text][1] != resource:
        challenge = {"WWW-Authenticate": f'Bearer authorization="{LOGIN}/{TENANT}", resource="{resource}"'}
        return failure(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", headers=challenge)
    client_id = request.principal = TOKENS[text][0]
    vault = host.partition(".")[0]
    may, operation = APPLICATIONS[client_id]["may"], verb or "get"
    if operation not in may:
        who = f"appid={client_id};oid=object-of-{client_id};iss=https://sts.windows.net/{TENANT}/"
        if "by-role" in vault:
            scope = f"/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/{vault}"
            return failure(403, "Forbidden", "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or "
                           f"role definitions were changed recently, please observe propagation time.\r\nCaller: {who}\r\nAction: "
                           f"'Microsoft.KeyVault/vaults/keys/{operation}/action'\r\nResource: '{scope}/keys/{key_name}'\r\nAssignment: (not found)",
                           "ForbiddenByRbac")
        return failure(403, "Forbidden", f"The user, group or application '{who}' does not have keys {operation} permission on key vault "
                       f"'{vault};location=westeurope'.", "AccessDenied")
    if "missing" in key_name:
        return failure(404, "KeyNotFound", f"A key with (name/id) {key_name} was not found in this key vault.")
    if "disabled" in key_name:
        return failure(403, "Forbidden", f"Operation {operation} is not allowed on a disabled key.", "KeyDisabled")
    known, key = KEYS.setdefault((host, key_name), (secrets.token_hex(16), rsa.generate_private_key(65537, 2048)))
    if version and version != known:
        return failure(404, "KeyNotFound", f"A key with (name/id) {key_name}/{version} was not found in this key vault.")
    scheme = "http" if ":" in host else "https"
    kid = f"{scheme}://{host}/keys/{key_name}/{known}"
    if verb is None:
        modulus = key.public_key().public_numbers().n.to_bytes(256, "big")
        return 200, {"key": {"kid": kid, "kty": "RSA", "key_ops": ["encrypt", "decrypt"], "n": encode_url(modulus), "e": "AQAB"},
                     "attributes": {"enabled": True, "created": 0, "updated": 0}}
    body = request.json()
    if body.get("alg") != "RSA-OAEP-256":
        return failure(400, "BadParameter", "Property alg has an invalid value.")
    sha = hashes.SHA256()
    oaep = padding.OAEP(padding.MGF1(sha), sha, None)
    try:
        value = decode_url(body["value"])
        value = key.public_key().encrypt(value, oaep) if verb == "encrypt" else key.decrypt(value, oaep)
    except (ValueError, KeyError):
        return failure(400, "BadParameter", "The parameter is incorrect.")
    return 200, {"kid": kid, "value": encode_url(value)}

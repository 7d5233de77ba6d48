"""Google Cloud KMS and Storage, Azure Key Vault and Huawei Cloud KMS for the tests: their REST in memory, on free ports of the loopback
address.

    server.py     prints {"http": "http://127.0.0.1:PORT", "proxy": "http://127.0.0.1:PORT", "authority": "PATH"} when it listens, and ends
                  when its standard input does

`http` is all of them without TLS. `proxy` is an HTTP proxy that leads every host to the same over TLS, with a certificate of the
authority in PATH: so an unmodified client reaches https://shop.vault.azure.net here with HTTPS_PROXY and SSL_CERT_FILE.

Callers are checked: tokens and signatures are verified, and whoever was not let in may nothing. Keys come into being when they are first
used, but for those whose name says otherwise (`missing`, `disabled`). What it was asked is remembered (never what with), and it can be
told to fail:

    GET    /_testkit/calls     [{"action": "google:decrypt", "principal": "shop@p.iam…", "resource": "projects/…", "status": 200}]
    DELETE /_testkit/calls     forgets them
    GET    /_testkit/objects   [{"bucket": …, "name": …, "content": …, "type": …, "uploads": 1}]     what was put into buckets of Google
    POST   /_testkit/faults    {"action": "google:decrypt", "times": 2, "status": 429, "body": "{}", "headers": {"Retry-After": "0"}, "delay": 0}
                               the next `times` calls (all, if null) of that action are answered so; without `status`, only late
    DELETE /_testkit/faults    no more of that
    POST   /_testkit/google    {"email": …, "may": ["encrypt", "decrypt"], "token": null}     lets somebody in, and gives their credentials
    POST   /_testkit/azure     {"client_id": …, "tenant": …, "may": […], "secret": …}         the same
    POST   /_testkit/huawei    {"access_key": …, "secret_key": …, "may": […]}                 the same
"""

import datetime
import ipaddress
import json
import os
import pathlib
import socket
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import azure
import google
import huawei

PREFIX = "/_testkit/"
CLOUDS = {"google": google, "azure": azure, "huawei": huawei}
HOSTS = [
    "localhost",
    "login.microsoftonline.com",
    "*.vault.azure.net",
    "*.managedhsm.azure.net",
    "*.googleapis.com",
    "iam.myhuaweicloud.com",
    "*.cn-north-4.myhuaweicloud.com",
    "*.eu-west-101.myhuaweicloud.eu",
]

LOCK = threading.Lock()
CALLS = []
FAULTS = []


class Request:
    """What came, and what a cloud finds out about it: `action`, `principal` and `resource` are remembered."""

    def __init__(self, handler, body):
        self.method = handler.command
        self.path, _, self.query_text = handler.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(self.query_text))
        self.headers = handler.headers
        self.host = handler.headers.get("Host", "")
        self.address = "%s:%d" % handler.server.server_address[:2]
        self.body = body
        self.action = self.principal = self.resource = None

    def json(self):
        try:
            read = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}

    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode()))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def send(self, status, content, headers={}):
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self):
        request = Request(self, self.read_body())
        if request.path.startswith(PREFIX):
            return self.send(200, control(request))
        with LOCK:
            cloud = next((cloud for cloud in CLOUDS.values() if cloud.name(request)), None)
            answer = cloud.answer(request) if cloud else (404, {"error": {"code": 404, "message": "no such path"}})
            fault = fault_for(request.action)
            call = {"action": request.action, "principal": request.principal, "resource": request.resource}
            CALLS.append({**call, "status": (fault or {}).get("status") or answer[0]})
        if fault is not None:
            time.sleep(fault.get("delay") or 0)
            if fault.get("status"):
                answer = (fault["status"], fault.get("body") or "", fault.get("headers") or {})
        self.send(*answer)

    do_GET = do_POST = do_PUT = do_DELETE = answer


def fault_for(action):
    for fault in FAULTS:
        if fault.get("action") in (None, action):
            if fault.get("times") is not None:
                fault["times"] -= 1
                if fault["times"] <= 0:
                    FAULTS.remove(fault)
            return dict(fault)
    return None


def control(request):
    with LOCK:
        match request.method, request.path.removeprefix(PREFIX):
            case "GET", "calls":
                return list(CALLS)
            case "DELETE", "calls":
                CALLS.clear()
            case "GET", "objects":
                return list(google.OBJECTS.values())
            case "POST", "faults":
                FAULTS.append(request.json())
            case "DELETE", "faults":
                FAULTS.clear()
            case "POST", cloud if cloud in CLOUDS:
                return CLOUDS[cloud].let_in(request.json())
    return []


def certificates(folder):
    now = datetime.datetime.now(datetime.timezone.utc)

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def certificate(subject, key, extension, critical):
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("testkit clouds"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
        return builder.add_extension(extension, critical).sign(authority_key, hashes.SHA256())

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(host) for host in HOSTS] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    authority = certificate("testkit clouds", authority_key, x509.BasicConstraints(True, None), True)
    server = certificate("testkit server", key, x509.SubjectAlternativeName(names), False)
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(server.public_bytes(pem) + private)


class TlsServer(ThreadingHTTPServer):
    """Shakes hands where the connection is answered: a client that does not trust it must not stop the others."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, context):
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context

    def finish_request(self, connection, address):
        try:
            with self.context.wrap_socket(connection, server_side=True) as wrapped:
                super().finish_request(wrapped, address)
        except OSError:
            pass

    def handle_error(self, connection, address):
        pass


class HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, connection, address):
        pass


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def tunnel(client, port):
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(4096)
        if not data:
            return client.close()
        head += data
    if not head.startswith(b"CONNECT "):
        client.sendall(b"HTTP/1.1 405 only CONNECT\r\nContent-Length: 0\r\n\r\n")
        return client.close()
    server = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    pump(server, client)


def serve_proxy(listener, port):
    while True:
        client = listener.accept()[0]
        threading.Thread(target=tunnel, args=(client, port), daemon=True).start()


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        certificates(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        context.set_alpn_protocols(["http/1.1"])
        plain, tls = HttpServer(("127.0.0.1", 0), Handler), TlsServer(context)
        proxy = socket.create_server(("127.0.0.1", 0))
        for serve in (plain.serve_forever, tls.serve_forever):
            threading.Thread(target=serve, daemon=True).start()
        threading.Thread(target=serve_proxy, args=(proxy, tls.server_port), daemon=True).start()
        address = lambda port: f"http://127.0.0.1:{port}"
        ready = {
            "http": address(plain.server_port),
            "proxy": address(proxy.getsockname()[1]),
            "authority": str(folder / "authority.pem"),
        }
        print(json.dumps(ready), flush=True)
        while sys.stdin.buffer.read(4096):
            pass
    os._exit(0)


main()

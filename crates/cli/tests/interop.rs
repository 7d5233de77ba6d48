//! The cluster's certificate, asked for as `kubeseal` does: both are given the same small server, and must ask it the same; both ask a
//! real API server for that of our controller.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bulla_testkit::process::Program;
use bulla_testkit::{needs_peers, peers};

use crate::fixture::{Keys, Place};

/// Answers as an API server would, and remembers what it was asked.
struct ApiServer {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    /// With the Service `name`, whose first port has this name.
    fn start(name: &'static str, port: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&asked);
        let certificate = std::fs::read_to_string(Keys::shared().path("sealing.pem")).unwrap();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), name, port, &certificate, &memory);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: 'http://{}'}}}}]\n\
             users: [{{name: a, user: {{}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n",
            self.address
        )
    }
}

fn answer(mut stream: TcpStream, name: &str, port: &str, certificate: &str, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if request.is_empty() {
            line.trim_end().clone_into(&mut request);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).unwrap();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(request.trim_end_matches(" HTTP/1.1").to_owned());
    let service = format!("/api/v1/namespaces/kube-system/services/{name}");
    let proxy = format!("/api/v1/namespaces/kube-system/services/http:{name}:{port}/proxy/v1/cert.pem");
    let (status, kind, body) = if path == service {
        let ports = if port.is_empty() {
            r#"[{"port":8080}]"#.to_owned()
        } else {
            format!(r#"[{{"name":"{port}","port":8080}}]"#)
        };
        let body = format!(
            r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{name}","namespace":"kube-system"}},"spec":{{"ports":{ports}}}}}"#
        );
        ("200 OK", "application/json", body)
    } else if path == proxy || path == "/v1/cert.pem" {
        ("200 OK", "application/x-pem-file", certificate.to_owned())
    } else {
        let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"services \"x\" not found","reason":"NotFound","code":404}"#;
        ("404 Not Found", "application/json", body.to_owned())
    };
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

#[test]
fn the_certificate_is_asked_for_as_kubeseal_does() {
    needs_peers!();
    for port in ["", "http"] {
        let server = ApiServer::start("sealed-secrets-controller", port);
        let place = Place::new().with_program(&peers::kubeseal());
        place.write("kubeconfig", server.kubeconfig());
        let theirs = place.does("kubeseal --kubeconfig kubeconfig --fetch-cert");
        let their_requests = server.asked();
        let ours = place.does("bulla cert --kubeconfig kubeconfig");
        assert_eq!(ours, theirs);
        assert_eq!(server.asked(), their_requests);
        assert_eq!(their_requests.len(), 2);
    }
}

#[test]
fn sealing_asks_the_cluster_where_no_certificate_is_named() {
    let server = ApiServer::start("sealing", "web");
    let place = Place::new();
    place.write("kubeconfig", server.kubeconfig());
    place.write("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: b}\nstringData: {k: v}\n");
    let seal = "bulla seal --kubeconfig kubeconfig --controller-name sealing secret.yaml";
    let opened = place.does(&format!("{seal} | bulla unseal --private-key $KEYS/sealing.key"));
    assert!(opened.contains("k: dg=="));
    let named = place.does("KUBECONFIG=kubeconfig bulla cert --controller-name sealing --context a");
    let fetched = place.does(&format!("bulla cert --url http://{}/v1/cert.pem", server.address));
    assert_eq!(named, fetched);

    for (line, message) in [
        ("bulla seal --kubeconfig kubeconfig secret.yaml", "Service `kube-system/sealed-secrets-controller`"),
        ("bulla seal --kubeconfig kubeconfig --controller-name sealing --context b secret.yaml", "context"),
    ] {
        let finished = place.run(line);
        assert_eq!(finished.code(), Some(213), "{}", finished.stderr_text());
        assert!(finished.stderr_text().contains(message), "{}", finished.stderr_text());
        assert!(finished.stderr_text().contains("hint: "), "{}", finished.stderr_text());
    }
    let finished = place.run(&format!("bulla cert --url http://{}/nothing", server.address));
    assert_eq!(finished.code(), Some(213), "{}", finished.stderr_text());
}

#[test]
fn the_certificate_comes_through_the_service_proxy_of_a_real_api_server() {
    needs_peers!();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/service-proxy.sh");
    let both = Program::new(script).arg(env!("CARGO_BIN_EXE_bulla")).arg(peers::kubeseal());
    // A control plane of its own starts for it.
    let _finished = both.time_limit(std::time::Duration::from_mins(5)).run().unwrap().success();
}

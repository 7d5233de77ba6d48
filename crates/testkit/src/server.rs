//! A server that answers what it is told, and remembers what it was asked: for what no real service does on request.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// An answer: status, headers (each line with its `\r\n`), body.
pub type Answer = (u16, String, String);

/// A server on loopback. Its threads end with the process.
#[derive(Debug)]
pub struct Server {
    scheme: &'static str,
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers request number n, from 0, with `answer(n)`. Requests are answered at the same time.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::answering(move |number, _| answer(number))
    }

    /// Answers request number n, from 0, whose head and body are `request`, with `answer(n, request)`.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn answering(answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(None, answer)
    }

    /// The same with TLS. Who does not get through the handshake is no request.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn encrypted(tls: Arc<ServerConfig>, answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(Some(tls), answer)
    }

    fn with(tls: Option<Arc<ServerConfig>>, answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, known) = (Arc::new(answer), Arc::clone(&requests));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (answer, known, tls) = (Arc::clone(&answer), Arc::clone(&known), tls.clone());
                thread::spawn(move || {
                    let connection = connection.unwrap();
                    match tls {
                        None => serve(connection, &*answer, &known),
                        Some(tls) => {
                            let tls = ServerConnection::new(tls).unwrap();
                            serve(StreamOwned::new(tls, connection), &*answer, &known);
                        }
                    }
                });
            }
        });
        Self { scheme, port, requests }
    }

    /// `http://127.0.0.1:PORT`, or `https://…`.
    pub fn address(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// What came so far: head and body of each request.
    ///
    /// # Panics
    /// If answering one did.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(connection: impl Read + Write, answer: &dyn Fn(usize, &str) -> Answer, known: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(connection);
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if reader.read_line(&mut request).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = request.to_ascii_lowercase();
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8_lossy(&body));
        let number = {
            let mut known = known.lock().unwrap();
            known.push(request.clone());
            known.len() - 1
        };
        let (status, headers, body) = answer(number, &request);
        let length = body.len();
        let text = format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        let writer = reader.get_mut();
        writer.write_all(text.as_bytes()).unwrap();
        writer.flush().unwrap();
    }
}

//! A proxy that leads everybody to one server, whatever they ask for, and remembers what that was.
//!
//! ```text
//! CONNECT HOST:PORT HTTP/1.1     ─ 200, then what comes is handed on
//! POST http://HOST/PATH HTTP/1.1 ─ handed on as it is
//! SOCKS 5 with a name and a password, or none ─ likewise
//! ```

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long one side is listened to before the other.
const TURN: Duration = Duration::from_millis(5);

/// A proxy on loopback. Its threads end with the process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that leads to `target`, `HOST:PORT`, and speaks TLS itself if `tls` is there.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn start(target: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (known, target) = (Arc::clone(&asked), target.to_owned());
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (known, target, tls) = (Arc::clone(&known), target.clone(), tls.clone());
                // Who goes away ends it, and may.
                thread::spawn(move || serve(connection?, tls, &target, &known));
            }
        });
        Self { port, asked }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What came since this was last asked: the head of each connection's first request, or `SOCKS NAME:PASSWORD HOST:PORT`.
    ///
    /// # Panics
    /// If a thread of it did.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(
    client: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    target: &str,
    known: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let Some(tls) = tls else { return lead(client.try_clone()?, &client, target, known) };
    let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    let socket = client.try_clone()?;
    lead(StreamOwned::new(connection, client), &socket, target, known)
}

fn lead(mut client: impl Read + Write, socket: &TcpStream, target: &str, known: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut first = [0];
    client.read_exact(&mut first)?;
    let mut server = TcpStream::connect(target)?;
    if first[0] == 5 {
        let asked = socks(&mut client)?;
        known.lock().unwrap().push(asked);
    } else {
        let mut head = first.to_vec();
        while !head.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut first)?;
            head.push(first[0]);
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let is_tunnel = text.starts_with("CONNECT ");
        known.lock().unwrap().push(text);
        if is_tunnel {
            client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        } else {
            server.write_all(&head)?;
        }
    }
    client.flush()?;
    socket.set_read_timeout(Some(TURN))?;
    server.set_read_timeout(Some(TURN))?;
    while hand_on(&mut client, &mut server)? && hand_on(&mut server, &mut client)? {}
    Ok(())
}

/// What is there now. `false` at the end.
fn hand_on(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    match from.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(length) => {
            to.write_all(&buffer[..length])?;
            to.flush()?;
            Ok(true)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The handshake of SOCKS 5, whose first byte was read. What was asked for.
fn socks(client: &mut (impl Read + Write)) -> io::Result<String> {
    let methods = text(client)?;
    let by_password = methods.contains('\u{2}');
    client.write_all(&[5, if by_password { 2 } else { 0 }])?;
    client.flush()?;
    let mut credentials = String::new();
    if by_password {
        client.read_exact(&mut [0])?;
        credentials = format!("{}:{}", text(client)?, text(client)?);
        client.write_all(&[1, 0])?;
        client.flush()?;
    }
    let mut command = [0; 4];
    client.read_exact(&mut command)?;
    let host = match command[3] {
        1 => {
            let mut address = [0; 4];
            client.read_exact(&mut address)?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        _ => text(client)?,
    };
    let mut port = [0; 2];
    client.read_exact(&mut port)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok(format!("SOCKS {credentials} {host}:{}", u16::from_be_bytes(port)))
}

/// Bytes behind their number.
fn text(client: &mut impl Read) -> io::Result<String> {
    let mut length = [0];
    client.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(length[0])];
    client.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

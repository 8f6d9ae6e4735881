//! A proxy between `git` and the web, which judges where it is sent.
//!
//! `git` follows redirects and fetches submodules by itself: servers and repositories name addresses, and they may not name
//! this machine's own services or those of its cloud ([`redirect`]). All it asks over HTTP goes through here, one request a
//! connection; HTTPS passes as it is, once its address is judged. Where the user has a proxy, names are that one's to judge.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::registry::redirect::{self, Reach, Refused};

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// How long a server may take to be connected.
const PATIENCE: Duration = Duration::from_secs(30);
/// Fields of a request that are between `git` and its proxy.
const OWN_FIELDS: [&str; 4] = ["connection", "keep-alive", "proxy-authorization", "proxy-connection"];

/// The proxy; it ends when dropped.
pub(super) struct Guard {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Who is asked, in the user's own words.
    from: Reach,
    stopped: AtomicBool,
    /// Why `git` was not connected, the last time.
    failed: Mutex<Option<String>>,
}

impl Guard {
    /// Starts it for a remote at `host`.
    pub(super) fn start(host: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let from = Reach::named(host);
        let state = Arc::new(State { from, stopped: AtomicBool::new(false), failed: Mutex::default() });
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().take_while(|_| !shared.stopped.load(Ordering::Relaxed)).flatten() {
                let shared = shared.clone();
                // A client or a server that hangs up is served no more.
                std::thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Ok(Self { address, state })
    }

    /// Its address, as variables of the environment have it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Why `git` was not connected, if it was not.
    pub(super) fn failed(&self) -> Option<String> {
        self.state.failed.lock().expect("no panic while it is held").clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let (head, rest) = read_head(&mut client)?;
        let Some(request) = Request::parse(&head) else {
            return client.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        };
        let mut server = match self.connect(&request) {
            Ok(server) => server,
            Err(_) => return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n"),
        };
        match &request.head {
            Some(head) => server.write_all(head.as_bytes())?,
            None => client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?,
        }
        server.write_all(&rest)?;
        let (from, to) = (server.try_clone()?, client.try_clone()?);
        std::thread::spawn(move || pass(from, to));
        pass(client, server)
    }

    fn connect(&self, request: &Request) -> io::Result<TcpStream> {
        let Request { host, port, .. } = request;
        let addresses = redirect::addresses(self.from, host, *port);
        let connected = addresses.and_then(|addresses| {
            let mut last = io::ErrorKind::NotFound.into();
            for address in addresses {
                match TcpStream::connect_timeout(&address, PATIENCE) {
                    Ok(server) => return Ok(server),
                    Err(error) => last = error,
                }
            }
            Err(last)
        });
        connected.inspect_err(|error| {
            let why = match error.get_ref().is_some_and(|error| error.is::<Refused>()) {
                true => format!("git was sent to {host}:{port}, {error}: refused"),
                false => format!("cannot connect to {host}:{port}: {error}"),
            };
            *self.failed.lock().expect("no panic while it is held") = Some(why);
        })
    }
}

/// What is asked of a proxy.
#[derive(Debug, PartialEq)]
struct Request {
    host: String,
    port: u16,
    /// What the server is sent; nothing of a tunnel.
    head: Option<String>,
}

impl Request {
    /// `None`: it is no request of a proxy.
    fn parse(head: &str) -> Option<Self> {
        let (line, fields) = head.split_once("\r\n")?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        if method == "CONNECT" {
            let (host, port) = target.rsplit_once(':')?;
            return Some(Self { host: bare(host), port: port.parse().ok()?, head: None });
        }
        let rest = target.strip_prefix("http://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, 80),
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let is_own = |field: &&str| {
            let name = field.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
            !OWN_FIELDS.contains(&&*name)
        };
        let fields: String = fields
            .split("\r\n")
            .filter(|field| !field.is_empty())
            .filter(is_own)
            .fold(String::new(), |fields, field| fields + field + "\r\n");
        let head = format!("{method} {slash}{path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
        Some(Self { host: bare(host), port, head: Some(head) })
    }
}

fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).to_owned()
}

/// The head of a request, its empty line included, and what was read of what follows.
fn read_head(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    const END: &[u8] = b"\r\n\r\n";
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(at) = read.windows(END.len()).position(|window| window == END) {
            let rest = read.split_off(at + END.len());
            return String::from_utf8(read).map(|head| (head, rest)).map_err(|_| io::ErrorKind::InvalidData.into());
        }
        let length = client.read(&mut buffer)?;
        if length == 0 || read.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        read.extend_from_slice(&buffer[..length]);
    }
}

/// One way, until its end.
fn pass(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let parse = |head: &str| Request::parse(&head.replace('\n', "\r\n"));
        let request = |host: &str, port, head: Option<&str>| {
            let head = head.map(|head| head.replace('\n', "\r\n"));
            Some(Request { host: host.into(), port, head })
        };
        assert_eq!(parse("CONNECT a.example:443 HTTP/1.1\nHost: x\n\n"), request("a.example", 443, None));
        assert_eq!(parse("CONNECT [::1]:443 HTTP/1.1\n\n"), request("::1", 443, None));
        let asked = "GET http://a.example/x?y HTTP/1.1\nHost: a.example\nProxy-Connection: Keep-Alive\nAccept: */*\n\n";
        let sent = "GET /x?y HTTP/1.1\nHost: a.example\nAccept: */*\nConnection: close\n\n";
        assert_eq!(parse(asked), request("a.example", 80, Some(sent)));
        let sent = "POST /?y HTTP/1.1\nConnection: close\n\n";
        assert_eq!(parse("POST http://[::1]:81?y HTTP/1.1\n\n"), request("::1", 81, Some(sent)));
        assert_eq!(parse("GET /x HTTP/1.1\n\n"), None);
        assert_eq!(parse("GET file:///etc/passwd HTTP/1.1\n\n"), None);
    }

    /// What a client is answered; behind the address it asks for is a server that answers `hello`.
    fn ask(guard: &Guard, host: &str, connect: bool) -> String {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            read_head(&mut client).unwrap();
            client.write_all(b"hello").unwrap();
        });
        let mut client = TcpStream::connect(guard.address).unwrap();
        let line = if connect { format!("CONNECT {host}:{port}") } else { format!("GET http://{host}:{port}/") };
        client.write_all(format!("{line} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        if connect {
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_remote_of_this_machine_may_lead_to_this_machine() {
        let guard = Guard::start("localhost").unwrap();
        assert_eq!(ask(&guard, "127.0.0.1", false), "hello");
        assert_eq!(ask(&guard, "localhost", true), "HTTP/1.1 200 OK\r\n\r\nhello");
        assert_eq!(guard.failed(), None);
    }

    #[test]
    fn any_other_may_not() {
        for host in ["127.0.0.1", "localhost", "0x7f.1", "0.0.0.0"] {
            let guard = Guard::start("192.0.2.1").unwrap();
            for connect in [false, true] {
                assert!(ask(&guard, host, connect).starts_with("HTTP/1.1 502 "), "{host}");
                assert!(guard.failed().unwrap().ends_with("which is this machine: refused"), "{:?}", guard.failed());
            }
        }
    }
}

//! A server on loopback that answers as a closure says, one request a connection.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Requests before this one.
    pub(crate) number: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, headers, body.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A body that is shorter than the length it declares.
    Truncated(u64, Vec<u8>),
    /// The bytes, and then the connection is closed.
    Cut(Vec<u8>),
    /// A body without length and end.
    Endless,
    /// The connection is closed.
    Nothing,
    /// The bytes, and then no more, while the client waits.
    Silence(Vec<u8>),
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Full(status, Vec::new(), Vec::new())
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Full(200, Vec::new(), body.into())
    }
}

type Handler = dyn Fn(&Asked) -> Reply + Send + Sync;

/// Serves until dropped.
pub(crate) struct Server {
    /// `127.0.0.1:port`.
    pub(crate) host: String,
    log: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0", handler)
    }

    /// On another address of this machine.
    pub(crate) fn start_on(address: &str, handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_hasty(address, usize::MAX, handler)
    }

    /// One that answers when it has read so many bytes of a body, if it begins at the beginning.
    pub(crate) fn start_hasty(
        address: &str,
        most: usize,
        handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let log = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (handler, requests, stopped): (Arc<Handler>, _, _) = (Arc::new(handler), log.clone(), stop.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (handler, requests, stopped) = (handler.clone(), requests.clone(), stopped.clone());
                std::thread::spawn(move || serve(stream.unwrap(), most, &*handler, &requests, &stopped));
            }
        });
        Self { host, log, stop }
    }

    /// What was asked so far: `METHOD target`.
    pub(crate) fn log(&self) -> Vec<String> {
        self.asked().iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.host);
    }
}

fn serve(mut stream: TcpStream, most: usize, handler: &Handler, log: &Mutex<Vec<Asked>>, stop: &AtomicBool) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let Some(mut asked) = read_request(&stream, most) else { return };
    {
        let mut log = log.lock().unwrap();
        asked.number = log.len();
        log.push(asked.clone());
    }
    let reply = handler(&asked);
    let _ = match reply {
        Reply::Full(status, headers, body) => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let body = if asked.method == "HEAD" { Vec::new() } else { body };
            let length = if headers.to_lowercase().contains("content-length") {
                String::new()
            } else {
                format!("Content-Length: {}\r\n", body.len())
            };
            let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{length}{headers}\r\n");
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
        }
        Reply::Truncated(length, body) => {
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
        }
        Reply::Cut(bytes) => stream.write_all(&bytes),
        Reply::Endless => endless(&mut stream, stop),
        Reply::Nothing => Ok(()),
        // Until the client goes, or the time is up.
        Reply::Silence(start) => stream.write_all(&start).and_then(|()| stream.read(&mut [0]).map(|_| ())),
    };
}

fn endless(stream: &mut TcpStream, stop: &AtomicBool) -> std::io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    while !stop.load(Ordering::SeqCst) {
        stream.write_all(&chunk)?;
    }
    Ok(())
}

fn read_request(stream: &TcpStream, most: usize) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut asked = Asked { method: words.next()?, target: words.next()?, ..Asked::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        asked.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length: usize = asked.header("content-length").parse().unwrap_or(0);
    asked.body = vec![0; if asked.header("content-range").is_empty() { length.min(most) } else { length }];
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

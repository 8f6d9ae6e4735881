//! TCP addresses behind Unix sockets: what a step can be given is a socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;

/// A socket; it goes with this.
pub(crate) struct Forward {
    directory: TempDir,
}

impl Forward {
    /// Where it is.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }
}

/// Listens at a socket of its own, and passes on what is said to `tcp://HOST:PORT`.
///
/// **Errors**: no socket can be made, or the address is none.
pub(super) fn listen(address: &str) -> io::Result<Forward> {
    let (scheme, address) = address.split_once("://").unwrap_or(("tcp", address));
    let is_wanted = |found: &std::net::SocketAddr| match scheme {
        "tcp4" => found.is_ipv4(),
        "tcp6" => found.is_ipv6(),
        _ => true,
    };
    let servers: Vec<_> = address.to_socket_addrs()?.filter(is_wanted).collect();
    let forward = Forward { directory: tempfile::Builder::new().prefix("llbc-forward-").tempdir()? };
    let listener = UnixListener::bind(forward.socket())?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let servers = servers.clone();
            thread::spawn(move || {
                // A server that does not answer is a connection that ends: that is all a socket can say.
                if let Ok(server) = TcpStream::connect(&servers[..]) {
                    let _ = pass(&client, &server);
                }
            });
        }
    });
    Ok(forward)
}

/// Passes on what each side says until it has said all.
fn pass(client: &UnixStream, server: &TcpStream) -> io::Result<()> {
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = copy(client, server);
            let _ = server.shutdown(Shutdown::Write);
        });
        let said = copy(server, client);
        let _ = client.shutdown(Shutdown::Write);
        said
    })
}

fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    io::copy(&mut from, &mut to).map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_said_passes_both_ways() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let forward = listen(&format!("tcp://{}", server.local_addr().unwrap())).unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            stream.write_all(said.to_uppercase().as_bytes()).unwrap();
        });
        let mut client = UnixStream::connect(forward.socket()).unwrap();
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answering.join().unwrap();
        assert_eq!(answer, "HELLO");
        let socket = forward.socket();
        drop(forward);
        assert!(!socket.exists());
    }
}

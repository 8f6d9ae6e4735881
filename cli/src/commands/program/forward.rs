//! TCP addresses behind Unix sockets: what a step can be given is a socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

/// Listens at a socket of its own until this program ends, and passes on what is said to `tcp://HOST:PORT`.
///
/// **Errors**: no socket can be made, or the address is none.
pub(super) fn listen(address: &str) -> io::Result<PathBuf> {
    let (scheme, address) = address.split_once("://").unwrap_or(("tcp", address));
    let is_wanted = |found: &std::net::SocketAddr| match scheme {
        "tcp4" => found.is_ipv4(),
        "tcp6" => found.is_ipv6(),
        _ => true,
    };
    let servers: Vec<_> = address.to_socket_addrs()?.filter(is_wanted).collect();
    // The directory stays until the program ends, and with it what listens in it; the system sweeps such places.
    let socket = tempfile::Builder::new().prefix("llbc-forward-").tempdir()?.keep().join("socket");
    let listener = UnixListener::bind(&socket)?;
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
    Ok(socket)
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
        let socket = listen(&format!("tcp://{}", server.local_addr().unwrap())).unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            stream.write_all(said.to_uppercase().as_bytes()).unwrap();
        });
        let mut client = UnixStream::connect(&socket).unwrap();
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answering.join().unwrap();
        assert_eq!(answer, "HELLO");
        std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
    }
}

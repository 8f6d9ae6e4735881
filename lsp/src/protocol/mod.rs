//! The language server protocol: messages in, features called, messages out.
//!
//! One thread works on messages in the order in which they come, so every request is answered for the text it was asked
//! about. Before each, all messages that wait are looked through for cancellations; findings are worked out only when no
//! message waits. What may take time (registries, stores) runs in threads of its own and comes back as an event.

mod capabilities;
mod convert;
mod dispatch;
mod documents;
mod outside;
mod position;
mod server;
mod settings;
mod workspace;

pub use outside::{Outside, Place, Told};
pub use settings::{FactSettings, Settings};

use std::io;
use std::sync::Arc;

use lsp_server::{Connection, ProtocolError};

/// Why serving ended before the client ended it.
#[derive(Debug)]
pub enum Error {
    /// The client does not keep to the protocol, or went away.
    Protocol(ProtocolError),
    /// Reading or writing failed.
    Io(io::Error),
    /// The client left without saying so first.
    Disconnected,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "the editor does not keep to the protocol: {error}"),
            Self::Io(error) => write!(f, "the connection to the editor failed: {error}"),
            Self::Disconnected => f.write_str("the editor went away without a shutdown"),
        }
    }
}

impl std::error::Error for Error {}

/// Serves one client on standard input and output, until it says that it is done.
///
/// **Errors**: see [`Error`]; a client that exits without a shutdown is one.
pub fn serve(outside: Arc<dyn Outside>) -> Result<(), Error> {
    let (connection, threads) = Connection::stdio();
    serve_connection(connection, outside)?;
    threads.join().map_err(Error::Io)
}

/// Serves one client on a connection.
fn serve_connection(connection: Connection, outside: Arc<dyn Outside>) -> Result<(), Error> {
    let (id, parameters) = connection.initialize_start().map_err(Error::Protocol)?;
    let client: lsp_types::InitializeParams = serde_json::from_value(parameters).unwrap_or_default();
    let sender = connection.sender.clone();
    // A client that is gone reads nothing; the end of its messages is noticed elsewhere.
    let send = move |message| drop(sender.send(message));
    let server = server::Server::new(&client, send, outside);
    connection.initialize_finish(id, capabilities::answer(&client)).map_err(Error::Protocol)?;
    server.run(connection.receiver)
}

#[cfg(test)]
mod tests;

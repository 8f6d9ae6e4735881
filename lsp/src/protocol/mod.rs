//! The language server protocol: messages in, features called, messages out.
//!
//! One thread works on messages in the order in which they come, so every request is answered for the text it was asked
//! about. The thread that reads them notes what is taken back and which texts have changed, so that running work which
//! nobody waits for any more stops (`interrupts.rs`); findings are worked out only when no message waits. What may take time
//! (registries, stores, folders) runs in threads of its own and comes back as an event.

mod capabilities;
mod convert;
mod dispatch;
mod documents;
mod interrupts;
mod outside;
mod position;
mod server;
mod settings;
mod wire;
mod workspace;

pub use outside::{Outside, Place, Told};
pub use settings::{FactSettings, Settings};

use std::io::{self, BufWriter, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use lsp_server::{Connection, Message, ProtocolError};

use wire::Outgoing;

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
    let (connection, client) = Connection::memory();
    let (outbox, messages) = mpsc::sync_channel(MOST_UNREAD);
    let Connection { sender: inbox, receiver: greetings } = client;
    thread::spawn(move || read(|message| inbox.send(message).is_ok()));
    let greet = sender(outbox.clone());
    thread::spawn(move || greetings.into_iter().for_each(|message| greet(Outgoing::Message(message))));
    let writer = thread::spawn(move || write(&messages));
    serve_connection(connection, sender(outbox), outside)?;
    writer.join().unwrap_or(Ok(())).map_err(Error::Io)
}

/// So many messages may wait for the client to read them; then the server waits, too.
const MOST_UNREAD: usize = 8;

/// A client that is gone reads nothing; the end of its messages is noticed elsewhere.
fn sender(outbox: SyncSender<Outgoing>) -> impl Fn(Outgoing) + Send {
    move |message| drop(outbox.send(message))
}

/// Passes on what the client says, up to its last word.
fn read(pass: impl Fn(Message) -> bool) {
    let mut stdin = io::stdin().lock();
    while let Ok(Some(message)) = Message::read(&mut stdin) {
        let is_exit = matches!(&message, Message::Notification(note) if note.method == "exit");
        if !pass(message) || is_exit {
            return;
        }
    }
}

/// Writes what is to be said.
fn write(messages: &Receiver<Outgoing>) -> io::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    messages.iter().try_for_each(|message| message.write(&mut stdout))?;
    stdout.flush()
}

/// Serves one client on a connection.
fn serve_connection(
    connection: Connection,
    send: impl Fn(Outgoing) + Send + 'static,
    outside: Arc<dyn Outside>,
) -> Result<(), Error> {
    let (id, parameters) = connection.initialize_start().map_err(Error::Protocol)?;
    let client: lsp_types::InitializeParams = serde_json::from_value(parameters).unwrap_or_default();
    let server = server::Server::new(&client, send, outside);
    connection.initialize_finish(id, capabilities::answer(&client)).map_err(Error::Protocol)?;
    server.run(connection.receiver)
}

#[cfg(test)]
mod tests;

//! Messages on byte streams.
//!
//! Results of requests are written as text where they are made: a tree of values of a long file's tokens or outline takes
//! many times the time and memory of its text. Everything else is small and goes the way of the library.

use std::io::{self, Write};

use lsp_server::{ErrorCode, Message, RequestId, Response};

/// A message to the client.
pub(super) enum Outgoing {
    /// Any.
    Message(Message),
    /// The result of a request.
    Result {
        /// Of which.
        id: RequestId,
        /// JSON.
        json: String,
    },
}

impl Outgoing {
    /// The answer to a request that has no result.
    pub(super) fn refusal(id: RequestId, code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Message(Message::Response(Response::new_err(id, code as i32, message.into())))
    }

    /// Writes it with its header.
    pub(super) fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Message(message) => message.write(stream),
            Self::Result { id, json } => {
                let id = serde_json::to_string(id)?;
                let length = r#"{"jsonrpc":"2.0","id":,"result":}"#.len() + id.len() + json.len();
                write!(
                    stream,
                    "Content-Length: {length}\r\n\r\n{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{json}}}"
                )?;
                stream.flush()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_a_response_to_the_library() {
        for id in [RequestId::from(7), RequestId::from("a\"b".to_owned())] {
            let mut bytes = Vec::new();
            Outgoing::Result { id: id.clone(), json: "[\"ä\"]".to_owned() }.write(&mut bytes).unwrap();
            let message = Message::read(&mut bytes.as_slice()).unwrap();
            let Some(Message::Response(response)) = message else { panic!("{message:?}") };
            assert_eq!(response.id, id);
            assert_eq!(response.response_result.ok(), Some(serde_json::json!(["ä"])));
        }
    }
}

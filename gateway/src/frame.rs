//! Messages on a stream: gRPC's prefix of five bytes, the body collected up to a limit.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::RecvStream;

use crate::status::{Code, Status};

/// Largest message that is read or written, in bytes: BuildKit's own limit.
pub const MAX_MESSAGE: usize = 16 << 20;

/// A flag (compressed or not) and a length.
const PREFIX: usize = 5;

/// The service, as it stands in a path.
pub(crate) const SERVICE: &str = "/moby.buildkit.v1.frontend.LLBBridge/";

/// Media type of requests and responses.
pub(crate) const CONTENT_TYPE: &str = "application/grpc";

/// A message with its prefix.
pub(crate) fn write(message: &impl prost::Message) -> Result<Bytes, Status> {
    let length = message.encoded_len();
    if length > MAX_MESSAGE {
        return Err(too_large(length));
    }
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    message.encode(&mut frame).expect("there is room for the whole message");
    Ok(frame.freeze())
}

/// The one message of a stream.
///
/// **Errors**: a stream that breaks, one with another number of messages than one, a compressed or too large message.
pub(crate) async fn read(stream: &mut RecvStream) -> Result<Bytes, Status> {
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk.map_err(|error| Status::new(Code::Unavailable, format!("the stream broke: {error}")))?;
        // The window is opened again at once: what bounds a message is the limit, not the window.
        let _ = stream.flow_control().release_capacity(chunk.len());
        body.extend_from_slice(&chunk);
        if body.len() > PREFIX + MAX_MESSAGE {
            return Err(too_large(body.len()));
        }
    }
    unwrap(body.freeze())
}

fn unwrap(mut body: Bytes) -> Result<Bytes, Status> {
    if body.len() < PREFIX {
        return Err(Status::new(Code::Internal, "a stream ended before its message"));
    }
    let compressed = body.get_u8() != 0;
    let length = body.get_u32() as usize;
    if compressed {
        return Err(Status::new(Code::Unimplemented, "compressed messages are not supported"));
    }
    if body.len() != length {
        return Err(Status::new(Code::Internal, format!("a message of {length} bytes has {}", body.len())));
    }
    Ok(body)
}

fn too_large(bytes: usize) -> Status {
    let message = format!("a message of {bytes} bytes is larger than the limit of {MAX_MESSAGE}");
    Status::new(Code::ResourceExhausted, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ReadFileResponse;

    #[test]
    fn a_message_comes_out_as_it_went_in() {
        let frame = write(&ReadFileResponse { data: b"abc".to_vec() }).unwrap();
        assert_eq!(&frame[..], b"\0\0\0\0\x05\x0a\x03abc");
        assert_eq!(unwrap(frame).unwrap(), &b"\x0a\x03abc"[..]);
    }

    #[test]
    fn what_is_no_message() {
        let refused = |bytes: &'static [u8]| unwrap(Bytes::from_static(bytes)).unwrap_err().message;
        assert_eq!(refused(b""), "a stream ended before its message");
        assert_eq!(refused(b"\x01\0\0\0\0"), "compressed messages are not supported");
        assert_eq!(refused(b"\0\0\0\0\x02a"), "a message of 2 bytes has 1");
        let large = ReadFileResponse { data: vec![0; MAX_MESSAGE] };
        assert_eq!(write(&large).unwrap_err().code, Code::ResourceExhausted);
    }
}

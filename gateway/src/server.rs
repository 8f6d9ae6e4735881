//! The builder's side: answers calls that come over a stream.
//!
//! A frontend is a program from a registry. What it can make this side hold or do is bounded ([`Limits`]); what it asks
//! for is the business of the [`Service`], which runs on blocking threads, one a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::{HeaderMap, Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;

use crate::client::Stream;
use crate::frame::{self, CONTENT_TYPE, MAX_MESSAGE, SERVICE};
use crate::status::{self, Code, Status};

/// The method that says whether a server lives. Clients of other make ask for it.
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// "Serving", encoded.
const SERVING: &[u8] = &[0x08, 0x01];

/// Longest list of headers that is accepted, in bytes: no call needs any of its own.
const MAX_HEADERS: u32 = 64 << 10;

/// What a frontend may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls at the same time.
    pub concurrent: u32,
    /// Calls in all.
    pub calls: usize,
    /// Bytes of requests that are held at the same time.
    pub held: usize,
}

impl Default for Limits {
    /// Far above what a frontend needs that reads the files of a large monorepo one by one.
    fn default() -> Self {
        Self { concurrent: 64, calls: 200_000, held: 4 * MAX_MESSAGE }
    }
}

/// What answers calls.
pub trait Service: Send + Sync + 'static {
    /// Answers a call of a method: message in, message out, both encoded. May block.
    fn call(&self, method: &str, message: &[u8]) -> Result<Vec<u8>, Status>;
}

/// Serves one connection until its client is gone. The halves are made inside, with the runtime's reactor at hand.
///
/// **Errors**: a stream that cannot be made; what a client breaks ends the connection without one.
pub fn serve<R, W>(
    halves: impl FnOnce() -> std::io::Result<(R, W)>,
    service: Arc<dyn Service>,
    limits: Limits,
) -> std::io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .max_blocking_threads(limits.concurrent as usize)
        .build()?;
    let done = runtime.block_on(async {
        let (read, write) = halves()?;
        let server = Arc::new(Server { service, limits, held: AtomicUsize::new(0), calls: AtomicUsize::new(0) });
        if let Ok(connection) = handshake(Stream { read, write }, &limits).await {
            accept_all(connection, &server).await;
        }
        Ok(())
    });
    shut_down(runtime);
    done
}

/// A call that still runs when the client is gone is nobody's business; its thread ends by itself.
fn shut_down(runtime: Runtime) {
    runtime.shutdown_background();
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    limits: &Limits,
) -> Result<Connection<S, Bytes>, h2::Error> {
    h2::server::Builder::new()
        .max_concurrent_streams(limits.concurrent)
        .max_header_list_size(MAX_HEADERS)
        .initial_window_size(MAX_MESSAGE as u32)
        .initial_connection_window_size(2 * MAX_MESSAGE as u32)
        .handshake(stream)
        .await
}

async fn accept_all<S: AsyncRead + AsyncWrite + Unpin>(mut connection: Connection<S, Bytes>, server: &Arc<Server>) {
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(server.clone().answer(request, respond));
    }
}

struct Server {
    service: Arc<dyn Service>,
    limits: Limits,
    held: AtomicUsize,
    calls: AtomicUsize,
}

impl Server {
    async fn answer(self: Arc<Self>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let answer = self.call(request).await;
        // A client that does not wait for its answer does not get it.
        let _ = match answer {
            Ok(message) => send(&mut respond, message),
            Err(status) => send_status(&mut respond, &status.to_headers()),
        };
    }

    async fn call(self: Arc<Self>, request: Request<RecvStream>) -> Result<Vec<u8>, Status> {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= self.limits.calls {
            let message = format!("a frontend may make {} calls, and no more", self.limits.calls);
            return Err(Status::new(Code::ResourceExhausted, message));
        }
        let (head, mut body) = request.into_parts();
        if head.method != Method::POST {
            return Err(Status::new(Code::Unimplemented, format!("HTTP method {} is not supported", head.method)));
        }
        let message = frame::read(&mut body).await?;
        let path = head.uri.path().to_owned();
        if path == HEALTH {
            return Ok(SERVING.to_vec());
        }
        let held = Held::take(&self, message.len())?;
        let done = tokio::task::spawn_blocking(move || {
            let Some(method) = path.strip_prefix(SERVICE) else {
                return Err(Status::new(Code::Unimplemented, format!("there is no method {path}")));
            };
            let answer = held.0.service.call(method, &message);
            drop(held);
            answer
        });
        done.await.unwrap_or_else(|_| Err(Status::new(Code::Internal, "the builder failed to answer")))
    }
}

/// Bytes of a request while it is worked on.
struct Held(Arc<Server>, usize);

impl Held {
    fn take(server: &Arc<Server>, bytes: usize) -> Result<Self, Status> {
        let before = server.held.fetch_add(bytes, Ordering::Relaxed);
        let held = Self(server.clone(), bytes);
        if before + bytes > server.limits.held {
            let message = format!("requests of more than {} bytes at the same time", server.limits.held);
            return Err(Status::new(Code::ResourceExhausted, message));
        }
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.fetch_sub(self.1, Ordering::Relaxed);
    }
}

fn send(respond: &mut SendResponse<Bytes>, message: Vec<u8>) -> Result<(), h2::Error> {
    if message.len() > MAX_MESSAGE {
        let message = format!("the answer of {} bytes is larger than the limit of {MAX_MESSAGE}", message.len());
        return send_status(respond, &Status::new(Code::ResourceExhausted, message).to_headers());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(&message);
    let mut stream = respond.send_response(head(), false)?;
    stream.send_data(frame.freeze(), false)?;
    stream.send_trailers(status::success())
}

fn send_status(respond: &mut SendResponse<Bytes>, trailers: &HeaderMap) -> Result<(), h2::Error> {
    let mut response = head();
    response.headers_mut().extend(trailers.clone());
    respond.send_response(response, true).map(drop)
}

fn head() -> Response<()> {
    Response::builder().header("content-type", CONTENT_TYPE).body(()).expect("the head is made of constants")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bridge;
    use crate::message::{PingRequest, ReadFileRequest, ReadFileResponse, StatFileRequest};
    use prost::Message;

    /// Answers `ReadFile` with the path, a number of times given by the reference.
    struct Echo;

    impl Service for Echo {
        fn call(&self, method: &str, message: &[u8]) -> Result<Vec<u8>, Status> {
            match method {
                "Ping" => Ok(Vec::new()),
                "ReadFile" => {
                    let request = ReadFileRequest::decode(message).unwrap();
                    let times = request.r#ref.parse().unwrap_or(1);
                    Ok(ReadFileResponse { data: request.file_path.repeat(times).into_bytes() }.encode_to_vec())
                }
                "StatFile" => panic!("a bug"),
                _ => Err(Status::new(Code::Unimplemented, format!("no {method}"))),
            }
        }
    }

    fn with_server(limits: Limits, test: impl FnOnce(&Bridge)) {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        for stream in [&ours, &theirs] {
            stream.set_nonblocking(true).unwrap();
        }
        let halves = |stream| Ok(tokio::net::UnixStream::from_std(stream)?.into_split());
        let server = std::thread::spawn(move || serve(|| halves(theirs), Arc::new(Echo), limits));
        let bridge = Bridge::open(|| halves(ours)).unwrap();
        test(&bridge);
        drop(bridge);
        server.join().unwrap().unwrap();
    }

    fn read(path: &str, times: &str) -> ReadFileRequest {
        ReadFileRequest { r#ref: times.to_owned(), file_path: path.to_owned(), range: None }
    }

    #[test]
    fn calls_are_answered() {
        with_server(Limits::default(), |bridge| {
            bridge.call(&PingRequest {}).unwrap();
            assert_eq!(bridge.call(&read("abc", "1")).unwrap().data, b"abc");
            let large = bridge.call(&read("0123456789abcdef", "1000000")).unwrap();
            assert_eq!(large.data.len(), 16_000_000);
        });
    }

    #[test]
    fn calls_together_keep_their_order() {
        with_server(Limits::default(), |bridge| {
            let work = (0..50).map(|number| {
                let calls = bridge.calls().clone();
                async move { calls.call(&read(&number.to_string(), "1")).await.unwrap().data }
            });
            let expected: Vec<_> = (0..50).map(|number| number.to_string().into_bytes()).collect();
            assert_eq!(bridge.together(work), expected);
        });
    }

    #[test]
    fn failures_arrive_and_the_connection_lives_on() {
        with_server(Limits::default(), |bridge| {
            let failed = bridge.call(&StatFileRequest::default()).unwrap_err();
            assert_eq!((failed.code, failed.message.as_str()), (Code::Internal, "the builder failed to answer"));
            let failed = bridge.call(&crate::message::InputsRequest {}).unwrap_err();
            assert_eq!((failed.code, failed.message.as_str()), (Code::Unimplemented, "no Inputs"));
            let failed = bridge.call(&read("0123456789abcdef", "2000000")).unwrap_err();
            assert_eq!(failed.code, Code::ResourceExhausted);
            bridge.call(&PingRequest {}).unwrap();
        });
    }

    #[test]
    fn there_is_an_end_to_calls_and_to_what_is_held() {
        with_server(Limits { calls: 2, held: 10, ..Limits::default() }, |bridge| {
            let failed = bridge.call(&read("more than ten bytes", "1")).unwrap_err();
            assert_eq!(failed.message, "requests of more than 10 bytes at the same time");
            bridge.call(&PingRequest {}).unwrap();
            let failed = bridge.call(&PingRequest {}).unwrap_err();
            assert_eq!(failed.message, "a frontend may make 2 calls, and no more");
        });
    }

    #[test]
    fn noise_ends_the_connection_without_an_error() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        std::io::Write::write_all(&mut &ours, b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let halves = move || Ok(tokio::net::UnixStream::from_std(theirs)?.into_split());
        assert!(serve(halves, Arc::new(Echo), Limits::default()).is_ok());
    }
}

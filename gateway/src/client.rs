//! The frontend's side: calls over a stream that is already there.
//!
//! One thread does everything: calls run together because each is a task of the runtime, which only turns while
//! somebody waits in it. A planner that thinks for a millisecond keeps nobody waiting.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::Request as HttpRequest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;

use crate::frame::{self, CONTENT_TYPE, MAX_MESSAGE, SERVICE};
use crate::message::Request;
use crate::status::{Code, Status};

/// Longest list of headers that is accepted, in bytes: errors carry whole build files in them.
const MAX_HEADERS: u32 = 16 << 20;

/// A connection to a builder.
pub struct Bridge {
    runtime: Runtime,
    calls: Calls,
}

/// Makes calls; clones share the connection.
#[derive(Clone)]
pub struct Calls {
    send: SendRequest<Bytes>,
}

impl Bridge {
    /// Connects over two halves of a stream. The streams must be made inside, with the runtime's reactor at hand.
    pub fn open<R, W>(halves: impl FnOnce() -> std::io::Result<(R, W)>) -> Result<Self, Status>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let calls = runtime.block_on(async {
            let (read, write) = halves().map_err(|error| failed(&error))?;
            Calls::open(Stream { read, write }).await
        })?;
        Ok(Self { runtime, calls })
    }

    /// Waits for the answer to one call.
    pub fn call<Q: Request>(&self, request: &Q) -> Result<Q::Response, Status> {
        self.runtime.block_on(self.calls.call(request))
    }

    /// Waits for one piece of work.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Waits until all of several pieces of work are done. **Shape**: one result each, in the same order.
    pub fn together<T, F>(&self, work: impl IntoIterator<Item = F>) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let tasks: Vec<_> = work.into_iter().map(|work| self.runtime.spawn(work)).collect();
        self.runtime.block_on(async {
            let mut results = Vec::with_capacity(tasks.len());
            for task in tasks {
                results.push(task.await.expect("nobody cancels a task"));
            }
            results
        })
    }

    /// Makes calls inside of [`Bridge::together`].
    pub fn calls(&self) -> &Calls {
        &self.calls
    }
}

impl Calls {
    async fn open<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> Result<Self, Status> {
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(MAX_MESSAGE as u32)
            .initial_connection_window_size(2 * MAX_MESSAGE as u32)
            .max_header_list_size(MAX_HEADERS);
        let (send, connection) = builder.handshake(stream).await.map_err(|error| failed(&error))?;
        // Its end is seen by every call that is open.
        tokio::spawn(connection);
        Ok(Self { send })
    }

    /// Calls a method.
    pub async fn call<Q: Request>(&self, request: &Q) -> Result<Q::Response, Status> {
        let frame = frame::write(request)?;
        let response = self.send(Q::METHOD, frame).await?;
        let body = receive(response).await?;
        prost::Message::decode(body)
            .map_err(|error| Status::new(Code::Internal, format!("cannot read the answer to {}: {error}", Q::METHOD)))
    }

    async fn send(&self, method: &str, frame: Bytes) -> Result<ResponseFuture, Status> {
        let head = HttpRequest::post(format!("http://localhost{SERVICE}{method}"))
            .header("content-type", CONTENT_TYPE)
            .header("te", "trailers")
            .body(())
            .expect("the head is made of constants");
        let mut send = self.send.clone().ready().await.map_err(|error| broken(method, &error))?;
        let (response, mut body) = send.send_request(head, false).map_err(|error| broken(method, &error))?;
        body.send_data(frame, true).map_err(|error| broken(method, &error))?;
        Ok(response)
    }
}

async fn receive(response: ResponseFuture) -> Result<Bytes, Status> {
    let response = response.await.map_err(|error| broken("the builder", &error))?;
    if response.status() != http::StatusCode::OK {
        return Err(Status::new(Code::Unavailable, format!("the builder answered with HTTP {}", response.status())));
    }
    if response.headers().contains_key("grpc-status") {
        Status::from_headers(response.headers())?;
    }
    let mut stream = response.into_body();
    let message = frame::read(&mut stream).await;
    let trailers = stream.trailers().await.map_err(|error| broken("the builder", &error))?;
    // A failed call has no message, and its trailers say more than that.
    Status::from_headers(&trailers.unwrap_or_default())?;
    message
}

fn failed(error: &dyn std::error::Error) -> Status {
    Status::new(Code::Unavailable, format!("cannot reach the builder: {error}"))
}

fn broken(what: &str, error: &h2::Error) -> Status {
    Status::new(Code::Unavailable, format!("{what}: the connection to the builder broke: {error}"))
}

/// Two halves as one stream.
pub(crate) struct Stream<R, W> {
    pub(crate) read: R,
    pub(crate) write: W,
}

impl<R: AsyncRead + Unpin, W: Unpin> AsyncRead for Stream<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> AsyncWrite for Stream<R, W> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}

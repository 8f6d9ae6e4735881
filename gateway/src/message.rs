//! The messages, and which method takes which.

#[rustfmt::skip]
mod generated;
mod platform;

pub use generated::*;

/// A message that a method of the service takes.
pub trait Request: prost::Message + 'static {
    /// Name of the method.
    const METHOD: &'static str;
    /// What it answers.
    type Response: prost::Message + Default + 'static;
}

/// A message as bytes.
pub fn encode(message: &impl prost::Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// The unary methods: one row each.
macro_rules! methods {
    ($($method:literal: $request:ident -> $response:ident;)*) => {
        $(impl Request for $request {
            const METHOD: &'static str = $method;
            type Response = $response;
        })*
    };
}

methods! {
    "ResolveImageConfig": ResolveImageConfigRequest -> ResolveImageConfigResponse;
    "ResolveSourceMeta": ResolveSourceMetaRequest -> ResolveSourceMetaResponse;
    "Solve": SolveRequest -> SolveResponse;
    "ReadFile": ReadFileRequest -> ReadFileResponse;
    "ReadDir": ReadDirRequest -> ReadDirResponse;
    "StatFile": StatFileRequest -> StatFileResponse;
    "Evaluate": EvaluateRequest -> EvaluateResponse;
    "Ping": PingRequest -> PongResponse;
    "Return": ReturnRequest -> ReturnResponse;
    "Inputs": InputsRequest -> InputsResponse;
    "Warn": WarnRequest -> WarnResponse;
}

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

impl FromIterator<(String, Ref)> for RefMap {
    fn from_iter<I: IntoIterator<Item = (String, Ref)>>(entries: I) -> Self {
        Self { refs: entries.into_iter().map(|(key, value)| RefEntry { key, value: Some(value) }).collect() }
    }
}

impl IntoIterator for RefMap {
    type Item = (String, Ref);
    type IntoIter = std::iter::Map<std::vec::IntoIter<RefEntry>, fn(RefEntry) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.refs.into_iter().map(|entry| (entry.key, entry.value.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BuildKit's daemon ends when a name has no reference beside it.
    #[test]
    fn a_result_of_several_names_scratch_too() {
        let bytes = encode(&RefMap::from_iter([("linux/amd64".to_owned(), Ref::default())]));
        assert!(bytes.ends_with(b"linux/amd64\x12\x00"), "{bytes:?}");
    }
}

//! Why bytes are no definition.

use std::fmt;

use oci::Digest;

use super::{MAX_BYTES, MAX_VERTICES};

/// Why bytes are no definition that could be run.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodeError {
    /// More bytes than [`MAX_BYTES`].
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// More vertices than [`MAX_VERTICES`].
    TooManyVertices {
        /// How many.
        count: usize,
    },
    /// Not the protobuf message of a definition.
    NotLlb(prost::DecodeError),
    /// A definition whose end is missing.
    CutOff,
    /// Vertices depend on each other in a circle.
    Cycle,
    /// One vertex is wrong.
    Vertex {
        /// Its place in the definition, from 0.
        position: usize,
        /// Its digest.
        digest: Digest,
        /// What is wrong.
        problem: VertexProblem,
    },
}

/// What is wrong with one vertex.
#[derive(Clone, Debug, PartialEq)]
pub enum VertexProblem {
    /// Its bytes are no operation.
    Malformed(prost::DecodeError),
    /// Its operation is none that BuildKit v0.32 has.
    UnknownOp {
        /// The field that holds it.
        field: u32,
    },
    /// An enumeration holds a number without a meaning.
    UnknownValue {
        /// Which enumeration.
        name: &'static str,
        /// The number.
        value: i32,
    },
    /// A part is missing that the operation makes no sense without.
    Missing(&'static str),
    /// A number is out of range.
    OutOfRange(&'static str),
    /// It has an input that is not in the definition.
    MissingInput {
        /// The digest that is looked for.
        digest: String,
    },
    /// It has an input that does nothing: a terminal vertex.
    NoOperation {
        /// The digest of that input.
        digest: String,
    },
    /// It asks for an output with a negative number or an absurd one.
    InputIndex {
        /// The number.
        index: i64,
    },
    /// A terminal vertex with several inputs.
    TerminalInputs {
        /// How many.
        count: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(f, "definition of {bytes} bytes is above the limit of {MAX_BYTES}"),
            Self::TooManyVertices { count } => {
                write!(f, "definition with {count} vertices is above the limit of {MAX_VERTICES}")
            }
            Self::NotLlb(_) => f.write_str("not an LLB definition, or a damaged one"),
            Self::CutOff => f.write_str("the definition ends too early: was it cut off on the way?"),
            Self::Cycle => f.write_str("the vertices of the definition depend on each other in a circle"),
            Self::Vertex { position, digest, problem } => write!(f, "vertex {position} ({digest}): {problem}"),
        }
    }
}

impl fmt::Display for VertexProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "not an LLB operation: {error}"),
            Self::UnknownOp { field } => {
                write!(f, "unknown operation (field {field}): the definition needs a newer executor")
            }
            Self::UnknownValue { name, value } => write!(f, "invalid {name} {value}"),
            Self::Missing(part) => write!(f, "{part} missing"),
            Self::OutOfRange(part) => write!(f, "{part} is out of range"),
            Self::MissingInput { digest } => write!(f, "input {digest} is not in the definition"),
            Self::NoOperation { digest } => write!(f, "input {digest} is a vertex without an operation"),
            Self::InputIndex { index } => write!(f, "invalid output number {index} of an input"),
            Self::TerminalInputs { count } => {
                write!(f, "no operation, but {count} inputs: a terminal vertex has one")
            }
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotLlb(error) | Self::Vertex { problem: VertexProblem::Malformed(error), .. } => Some(error),
            _ => None,
        }
    }
}

//! What decides whether a step is taken: comparisons of strings, which are expanded where the step stands.

use crate::Str;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The value is `true`.
    True(Str),
    /// The values are the same.
    Equal(Str, Str),
    /// The value is one of these.
    In(Str, Vec<Str>),
    /// The other does not hold.
    Not(Box<Condition>),
    /// Each holds.
    All(Vec<Condition>),
    /// One of them holds.
    Any(Vec<Condition>),
}

impl Condition {
    /// Every string of it, in the order written.
    pub fn strings<'c>(&'c self, visit: &mut dyn FnMut(&'c Str)) {
        match self {
            Self::True(value) => visit(value),
            Self::Equal(left, right) => {
                visit(left);
                visit(right);
            }
            Self::In(value, options) => {
                visit(value);
                options.iter().for_each(visit);
            }
            Self::Not(inner) => inner.strings(visit),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.strings(visit)),
        }
    }
}

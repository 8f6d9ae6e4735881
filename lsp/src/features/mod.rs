//! One file a feature: plain data in, plain data out. None knows the protocol, none does I/O.

pub mod actions;
pub mod completion;
#[cfg(test)]
mod every;
pub mod folding;
pub mod formatting;
mod functional;
pub mod functions;
pub mod hover;
pub mod inlay;
mod keyed;
pub mod lens;
pub mod links;
pub mod navigation;
pub mod rename;
pub mod selection;
pub mod signature;
pub mod symbols;
pub mod tokens;

//! A layer directory to a tar stream and back.

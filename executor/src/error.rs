//! What can go wrong outside: what was attempted, on what, and what to do.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

use crate::store::is_full;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the outside world, or a definition that cannot be run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A system call on a path failed.
    Io {
        /// What was attempted: `write`, `mount overlay on`.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store's database failed.
    Database {
        /// What was attempted: `read the database`.
        attempt: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
    /// The definition is not one that can be run.
    Definition(String),
    /// A registry or another server said no, or nothing.
    Remote {
        /// What was attempted, on what.
        attempt: String,
        /// Why.
        reason: String,
    },
    /// Something named does not exist. The text is the whole message, in BuildKit's words where it has them.
    NotFound(String),
    /// Bytes are not what their digest says.
    DigestMismatch {
        /// Of what.
        of: String,
        /// The digest that was asked for.
        want: String,
        /// The digest of what came.
        got: String,
    },
    /// A process ended with a code that is no success.
    Exit {
        /// Its arguments, joined with blanks.
        command: String,
        /// Its code.
        code: i32,
        /// Whether the kernel killed it for memory.
        out_of_memory: bool,
    },
    /// A step failed.
    Step {
        /// Name of the vertex.
        name: String,
        /// Digest of the vertex.
        digest: oci::Digest,
        /// Why.
        source: Box<Error>,
    },
    /// Not there (yet).
    Unsupported {
        /// What was asked for.
        what: String,
        /// Why it cannot be done, and the way on.
        why: String,
    },
    /// A process cannot have a network of its own here; why. It has not begun.
    NoSandbox(String),
    /// Needs a permission that was not given (`--allow`).
    Denied(String),
    /// Bad input of another kind: the whole message.
    Invalid(String),
    /// A frontend says that the build file cannot be built.
    Frontend {
        /// In its words.
        message: String,
        /// Places in texts that it names.
        places: Vec<(llb::SourceInfo, Vec<llb::Range>)>,
    },
    /// Somebody asked to stop.
    Cancelled,
}

impl Error {
    /// Wraps a failed system call on `path`; use with `map_err`.
    pub fn io(attempt: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { attempt, path, source }
    }

    /// Whether the disk is full, or a quota is used up.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_full(source),
            Self::Database { source: rusqlite::Error::SqliteFailure(error, _), .. } => {
                error.code == ErrorCode::DiskFull || error.extended_code == SQLITE_IOERR_SHMSIZE
            }
            Self::Step { source, .. } => source.is_full(),
            _ => false,
        }
    }

    /// The error of this crate inside an I/O error, for readers that can only hand on I/O errors.
    pub(crate) fn unwrapped(self) -> Self {
        match self {
            Self::Io { attempt, path, source } => match source.downcast::<Self>() {
                Ok(inner) => inner,
                Err(source) => Self::Io { attempt, path, source },
            },
            other => other,
        }
    }
}

/// What to do about a full disk, whoever's it is.
const FULL: &str = "; the disk is full or has no inodes left; if it is the store's, `executor prune` makes room";
/// What to do about a full disk that is the store's.
const STORE_FULL: &str = "; the disk of the store is full: `executor prune` makes room";
/// What to do about files that may not be opened.
const TOO_MANY: &str = "; this process may have more at once with a higher limit (`ulimit -n`)";
/// What to do about a file that may not grow.
const TOO_LARGE: &str = "; there is a limit of the size of files (`ulimit -f`), or the file system has one";
/// What to do about a database that cannot be read.
const DAMAGED: &str = "; without the files db-v1.sqlite* of the store it is made anew: images lose their names, and the rest \
                       is built again";

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io { attempt, path, source } => {
                write!(f, "cannot {attempt} {}: {source}", path.display())?;
                match source.kind() {
                    std::io::ErrorKind::FileTooLarge => f.write_str(TOO_LARGE),
                    _ if self.is_full() => f.write_str(FULL),
                    _ if source.raw_os_error() == Some(libc::EMFILE) => f.write_str(TOO_MANY),
                    _ => Ok(()),
                }
            }
            Self::Database { attempt, source } => {
                write!(f, "cannot {attempt}: {source}")?;
                match source.sqlite_error_code() {
                    Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => f.write_str(DAMAGED),
                    _ if self.is_full() => f.write_str(STORE_FULL),
                    _ => Ok(()),
                }
            }
            Self::Definition(message) => write!(f, "invalid definition: {message}"),
            Self::Remote { attempt, reason } => write!(f, "{attempt}: {reason}"),
            Self::NotFound(message)
            | Self::Invalid(message)
            | Self::Denied(message)
            | Self::Frontend { message, .. } => f.write_str(message),
            Self::DigestMismatch { of, want, got } => {
                write!(f, "{of}: digest mismatch {want}: {got}")
            }
            Self::Exit { command, code, out_of_memory } => {
                let command = shown(command);
                write!(f, "process {command:?} did not complete successfully: exit code: {code}")?;
                if *out_of_memory { f.write_str(": cannot allocate memory") } else { Ok(()) }
            }
            Self::Step { source, .. } => write!(f, "{source}"),
            Self::Unsupported { what, why } => write!(f, "{what} is not supported: {why}"),
            Self::NoSandbox(reason) => write!(f, "there can be no sandbox for the network of a process: {reason}"),
            Self::Cancelled => f.write_str("context canceled"),
        }
    }
}

/// Longest command in a message, in bytes: longer ones are generated, and nobody reads them.
const MAX_COMMAND: usize = 8 << 10;

/// A command, cut where it is too long to be shown.
fn shown(command: &str) -> std::borrow::Cow<'_, str> {
    if command.len() <= MAX_COMMAND {
        return command.into();
    }
    format!("{}…", &command[..command.floor_char_boundary(MAX_COMMAND)]).into()
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Database { source, .. } => Some(source),
            Self::Step { source, .. } => Some(source),
            _ => None,
        }
    }
}

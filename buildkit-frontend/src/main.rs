//! `llbc-frontend`: the program of the frontend image. A builder starts it and talks to it over its standard streams.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match buildkit_frontend::run() {
        Ok(()) => ExitCode::SUCCESS,
        // The builder has it, and shows it.
        Err(failure @ buildkit_frontend::Failure::Reported(_)) => failure.code(),
        Err(failure) => {
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            failure.code()
        }
    }
}

//! The DTLS of Antiphon as a shim of BoGo, the test runner of BoringSSL (`ssl/test/runner`; its `PORTING.md` describes what
//! a shim is).
//!
//! The runner starts this program once a case and tells it by flags what to be. It connects to the runner over loopback and
//! talks datagrams in frames ([`framing`]); time is what the runner says has passed ([`exchange`]). Exit code 0 is success,
//! 1 failure with its reason on stderr, 89 a case that asks for what this library does not have.
//!
//! `exceptions.json` names the cases that do not apply, each with its reason, and what our reasons are called there.
//! `cargo xtask bogo` runs it all.

mod endpoint;
mod exchange;
mod flags;
mod framing;

use std::process::ExitCode;

use flags::{Flags, Request};

/// Says that a case asks for something that is not implemented.
const UNIMPLEMENTED: u8 = 89;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Flags::parse(&arguments).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unimplemented(what)) => {
            eprintln!("not implemented: {what}");
            ExitCode::from(UNIMPLEMENTED)
        }
        Err(Failure::Failed(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(request: Request) -> Result<(), Failure> {
    match request {
        Request::Handshaker => {
            println!("No");
            Ok(())
        }
        Request::Case(flags) => exchange::run(&flags),
    }
}

/// Why a case did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It asks for what is not implemented.
    Unimplemented(String),
    /// It failed for the reason given.
    Failed(String),
}

impl Failure {
    pub(crate) fn failed(why: impl std::fmt::Display) -> Self {
        Failure::Failed(why.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::failed(format_args!("the runner's connection: {error}"))
    }
}

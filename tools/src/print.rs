//! The only way to the standard streams. Whoever reads may go away at any time, as `head` does: then
//! a tool ends quietly, a server goes on, and neither panics.
//!
//! Not by the signal that ends other tools: the standard library sends several parts over a socket by
//! `writev`, which would then end a client whose server has gone before it can say so.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::exit;

/// Prints a line of a result.
macro_rules! say {
    ($($what:tt)*) => { $crate::print::result(format_args!("{}\n", format_args!($($what)*))) };
}

/// Prints a part of a result, without a line's end.
macro_rules! say_part {
    ($($what:tt)*) => { $crate::print::result(format_args!($($what)*)) };
}

/// Prints a line of a server's report.
macro_rules! tell {
    ($($what:tt)*) => { $crate::print::report(format_args!("{}\n", format_args!($($what)*))) };
}

/// Prints a line of progress, or an error, to the standard error stream.
macro_rules! remark {
    ($($what:tt)*) => { $crate::print::aside(format_args!("{}\n", format_args!($($what)*))) };
}

pub(crate) use {remark, say, say_part, tell};

/// Writes what a tool was asked for. Ends the process where it can't: with success where nobody
/// reads any more, with an error where the output has no room.
pub(crate) fn result(what: Arguments<'_>) {
    match write(&mut io::stdout().lock(), what) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(error) => {
            aside(format_args!("clockwork: can't write the result: {error}\n"));
            exit(1);
        }
    }
}

/// Writes what a server says of itself, which does not serve in order to be read.
pub(crate) fn report(what: Arguments<'_>) {
    let _ = write(&mut io::stdout().lock(), what);
}

/// Writes to the standard error stream. Where nobody reads that, nobody can be told.
pub(crate) fn aside(what: Arguments<'_>) {
    let _ = write(&mut io::stderr().lock(), what);
}

fn write(to: &mut impl Write, what: Arguments<'_>) -> io::Result<()> {
    to.write_fmt(what)?;
    to.flush()
}

//! Runs of the binary: their lines as they come, their end, and what they said last.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, pipe};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far more than any machine needs.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Numbers the files that errors are written to.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// A process of the binary. It ends with the value.
pub struct Program {
    command: String,
    child: Child,
    lines: Receiver<String>,
    said: String,
    errors: PathBuf,
}

/// A run that has ended.
pub struct Done {
    pub status: ExitStatus,
    pub said: String,
    pub errors: String,
}

impl Program {
    /// Starts `clockwork` with `arguments`; files that it needs for itself go into `folder`.
    pub fn start(folder: &Path, arguments: &[&str]) -> Program {
        let (out, own) = pipe().expect("a pipe can be made");
        let (program, sender) = Program::start_into(folder, arguments, own.into());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // Nobody listens any more once the test has what it wants.
                let _ = sender.send(line);
            }
        });
        program
    }

    /// Starts it with an output that nobody reads.
    pub fn start_unread(folder: &Path, arguments: &[&str]) -> Program {
        let (out, own) = pipe().expect("a pipe can be made");
        drop(out);
        Program::start_into(folder, arguments, own.into()).0
    }

    /// Starts it with this output; whoever reads that sends the lines.
    fn start_into(folder: &Path, arguments: &[&str], out: Stdio) -> (Program, Sender<String>) {
        let errors = folder.join(format!("errors-{}", RUNS.fetch_add(1, Ordering::Relaxed)));
        let child = Command::new(env!("CARGO_BIN_EXE_clockwork"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(File::create(&errors).expect("a temporary file can be made"))
            .spawn()
            .expect("the binary starts");
        let (sender, lines) = channel();
        (Program { command: arguments.join(" "), child, lines, said: String::new(), errors }, sender)
    }

    /// Reads lines until one is `wanted`.
    pub fn wait_for(&mut self, wanted: &str) {
        self.wait_until(wanted, |line| line == wanted);
    }

    /// Reads lines until one begins so.
    pub fn wait_for_prefix(&mut self, wanted: &str) {
        self.wait_until(wanted, |line| line.starts_with(wanted));
    }

    fn wait_until(&mut self, wanted: &str, fits: impl Fn(&str) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                    if fits(&line) {
                        return;
                    }
                }
                Err(why) => panic!("`{}` did not say `{wanted}` ({why}): {}{}", self.command, self.said, self.errors()),
            }
        }
    }

    /// What stands behind `word` on the last line that begins with it, so far.
    pub fn value(&self, word: &str) -> String {
        let line =
            self.said.lines().rev().find_map(|line| line.strip_prefix(word).filter(|rest| rest.starts_with(' ')));
        line.unwrap_or_else(|| panic!("no line `{word}` in {}", self.said)).trim().to_owned()
    }

    /// What it has said so far.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Done {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                }
                // Its output is closed: it is at its end.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("`{}` does not end: {}", self.command, self.said),
            }
        }
        let status = self.child.wait().expect("a child can be waited for");
        Done { status, said: std::mem::take(&mut self.said), errors: self.errors() }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(sent.success(), "{kill}: {sent}");
    }

    /// Has it end as a user would, and checks that it does so cleanly.
    #[track_caller]
    pub fn end(self) {
        self.signal("TERM");
        self.finish().succeeded();
    }

    /// Whether it is still there.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.errors).expect("its errors are in a file")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended can't be killed, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `clockwork` to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Done {
    Program::start(folder, arguments).finish()
}

impl Done {
    /// What it said, if it succeeded.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert!(self.status.success(), "{}: {}{}", self.status, self.said, self.errors);
        self.said
    }

    /// Checks that it failed as a program does that knows what it does, and said every word.
    #[track_caller]
    pub fn failed_saying(self, words: &[&str]) {
        assert!(self.status.code().is_some_and(|code| code != 0), "{}: {}{}", self.status, self.said, self.errors);
        assert!(!self.errors.contains("panicked"), "{}", self.errors);
        for word in words {
            assert!(self.errors.contains(word), "`{word}` is missing: {}", self.errors);
        }
    }
}

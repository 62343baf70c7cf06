//! A session that a test holds open: `psql` behind two pipes.
//!
//! What must hold: a statement has been answered when `run` returns, so a test knows which locks are
//! held; `ask` returns at once, for statements that are meant to wait. Calls block the thread.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
const MARK: &str = "-- answered --";

/// An open session. Dropping it ends it, which rolls back what it has open.
#[derive(Debug)]
pub struct Session {
    psql: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Session {
    pub(super) fn start(mut psql: Command) -> io::Result<Session> {
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let gone = || io::Error::other("psql has no pipes");
        let input = child.stdin.take().ok_or_else(gone)?;
        let (output, errors) = (child.stdout.take().ok_or_else(gone)?, child.stderr.take().ok_or_else(gone)?);
        let (tell, lines) = mpsc::channel();
        let tell_errors = tell.clone();
        std::thread::spawn(move || forward(output, &tell));
        std::thread::spawn(move || forward(errors, &tell_errors));
        Ok(Session { psql: child, input, lines })
    }

    /// Runs statements and returns the lines that they print; an error's words are among them.
    pub fn run(&mut self, statements: &str) -> Vec<String> {
        self.ask(statements);
        self.answer()
    }

    /// Sends statements without waiting.
    pub fn ask(&mut self, statements: &str) {
        // When psql has ended, the answer says so.
        let _ = writeln!(self.input, "{statements}\n\\echo {MARK}");
        let _ = self.input.flush();
    }

    /// Waits for the answer to [`Session::ask`]. Ends early when the session is gone.
    pub fn answer(&mut self) -> Vec<String> {
        let mut answer = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(ANSWER) {
            if line == MARK {
                break;
            }
            answer.push(line);
        }
        answer
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

fn forward(from: impl Read, tell: &mpsc::Sender<String>) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        if tell.send(line).is_err() {
            return;
        }
    }
}

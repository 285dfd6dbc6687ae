//! Child processes whose output is read line by line as it comes.

use super::DEADLINE;
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, RecvTimeoutError, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A child process. It is killed when dropped, and its output is shown when its test fails.
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
    errors: Arc<Mutex<String>>,
    error_reader: Option<JoinHandle<()>>,
}

impl Process {
    pub fn start(name: &str, mut command: Command) -> Process {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let (mut source, sink) = (child.stderr.take().expect("stderr is a pipe"), errors.clone());
        let error_reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = source.read(&mut chunk) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
        });
        let input = child.stdin.take();
        let seen = Vec::new();
        Process { name: name.to_owned(), child, input, lines, seen, errors, error_reader: Some(error_reader) }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives it a line of input.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input is open");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("it reads its input");
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits for a line that the closure turns into something; those before it are passed over.
    pub fn wait_for<T>(&mut self, what: &str, accept: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let accepted = accept(&line);
                    self.seen.push(line);
                    if let Some(accepted) = accepted {
                        return accepted;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{} never said {what}", self.name),
                Err(RecvTimeoutError::Disconnected) => panic!("{} ended and never said {what}", self.name),
            }
        }
    }

    /// Whether it has said this by now.
    pub fn has_said(&mut self, wanted: &str) -> bool {
        loop {
            match self.lines.try_recv() {
                Ok(line) => self.seen.push(line),
                Err(TryRecvError::Empty) => return self.seen.iter().any(|line| line == wanted),
                Err(TryRecvError::Disconnected) => panic!("{} ended and never said {wanted}", self.name),
            }
        }
    }

    /// Waits for a line that begins like this, and returns the whole of it.
    pub fn expect(&mut self, start: &str) -> String {
        self.wait_for(&format!("{start:?}"), |line| line.starts_with(start).then(|| line.to_owned()))
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{} never ended", self.name),
            }
        }
        // Its output has ended; it does so itself within a moment.
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                if let Some(reader) = self.error_reader.take() {
                    let _ = reader.join();
                }
                return status;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("{} closed its output and never ended", self.name)
    }

    /// Waits until it ends by itself, which must be a success, and returns all that it said.
    pub fn finish(mut self) -> Vec<String> {
        let status = self.wait();
        assert!(status.success(), "{} ended with {status}", self.name);
        // Neither the library nor valgrind has a word to add.
        assert_eq!(self.errors(), "", "{} wrote to stderr", self.name);
        std::mem::take(&mut self.seen)
    }

    /// What it wrote to stderr so far.
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        let names = self.thread_names();
        if super::c_program::compiler_flags().contains("-fsanitize=thread") {
            // That has a thread of its own; so this is the first, and the library's.
            return 1 + names.iter().filter(|name| name.starts_with("losant")).count();
        }
        names.len()
    }

    /// How many of its threads have this name.
    pub fn threads_named(&self, name: &str) -> usize {
        self.thread_names().iter().filter(|found| *found == name).count()
    }

    fn thread_names(&self) -> Vec<String> {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", self.id())) else { return Vec::new() };
        let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.map(|name| name.trim_end().to_owned()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            self.seen.extend(self.lines.try_iter());
            let shown: Vec<String> = self.seen.iter().map(|line| line.chars().take(300).collect()).collect();
            eprintln!("--- {} said:\n{}\n--- and on stderr:\n{}", self.name, shown.join("\n"), self.errors());
        }
    }
}

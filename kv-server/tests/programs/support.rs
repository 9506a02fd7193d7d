//! Runs the programs.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Nothing here takes longer, on however slow a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a program did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) raw: Vec<u8>,
    pub(crate) err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Done {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            raw: output.stdout,
        }
    }
}

impl Done {
    /// The output, if the program returned that code.
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KV_")) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn server() -> Command {
    command(env!("CARGO_BIN_EXE_kv-server"))
}

/// Runs a command that ends by itself.
pub(crate) fn run(command: &mut Command) -> Done {
    finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Waits for the end of a program, and kills one that hangs.
pub(crate) fn finish(child: Child) -> Done {
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap().into(),
        Err(_) => {
            signal(pid, "KILL");
            panic!("a program hangs");
        }
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status();
}

/// Asks again until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not in time");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody uses, and that stays free until a program listens on it: it lies below those that the operating system gives to
/// outgoing connections.
pub(crate) fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    // Each test may be a process of its own.
    let first = std::process::id() as u16;
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + first.wrapping_mul(17).wrapping_add(tried) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// A program that does not outlive the test, however that ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `kv-server dev` that runs.
pub(crate) struct Dev {
    child: Option<Child>,
    directory: tempfile::TempDir,
    said: mpsc::Receiver<String>,
    pub(crate) text: String,
}

impl Dev {
    pub(crate) fn start(arguments: &[&str]) -> Dev {
        Dev::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    pub(crate) fn start_in(directory: tempfile::TempDir, arguments: &[&str]) -> Dev {
        let mut command = server();
        command.arg("dev").args(arguments).current_dir(&directory);
        if !arguments.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        let errors =
            std::fs::File::options().create(true).append(true).open(directory.path().join("errors")).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (sender, said) = mpsc::channel();
        let mut dev = Dev { child: Some(child), directory, said, text: String::new() };
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                if sender.send(String::from_utf8_lossy(&piece[..count]).into_owned()).is_err() {
                    // What is said later has to be taken all the same.
                    continue;
                }
            }
        });
        dev.wait_until_said("Ctrl-C stops them.");
        dev
    }

    /// Waits until it has printed `part`.
    pub(crate) fn wait_until_said(&mut self, part: &str) {
        while !self.text.contains(part) {
            match self.said.recv_timeout(PATIENCE) {
                Ok(piece) => self.text += &piece,
                Err(error) => panic!("{error}: {part} was not said\n{}\n{}", self.text, self.errors()),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(self.path().join("errors")).unwrap()
    }

    /// The words behind `word` in what was printed.
    fn behind(&self, word: &str) -> Vec<&str> {
        self.text
            .lines()
            .filter(|line| line.starts_with("  node "))
            .filter_map(|line| line.split_whitespace().skip_while(|found| *found != word).nth(1))
            .collect()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.behind("pid").iter().map(|pid| pid.parse().unwrap()).collect()
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        let lines = self.text.lines().filter(|line| line.starts_with("  node "));
        lines.map(|line| line.split_whitespace().nth(2).unwrap().to_string()).collect()
    }

    /// The printed commands that contain `part`.
    pub(crate) fn printed(&self, part: &str) -> String {
        self.text
            .lines()
            .find(|line| line.starts_with("  ") && line.contains(part))
            .unwrap()
            .trim()
            .to_string()
    }

    /// Runs a printed command in a shell, where `dev` was started.
    pub(crate) fn shell(&self, text: &str) -> Done {
        run(command("sh").args(["-c", text]).current_dir(self.path()))
    }

    pub(crate) fn kv_command(&self) -> Command {
        let mut command = command(env!("CARGO_BIN_EXE_kv"));
        command.env("KV_SERVER", self.addresses().join(","));
        command
    }

    pub(crate) fn kv<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Done {
        run(self.kv_command().args(arguments))
    }

    /// Runs the client with something on standard input.
    pub(crate) fn kv_with_input(&self, arguments: &[&str], input: &[u8]) -> Done {
        let mut command = self.kv_command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        finish(child)
    }

    /// Ends it as a service manager would, and returns its data.
    pub(crate) fn stop(mut self) -> (Done, tempfile::TempDir) {
        signal(self.pid(), "TERM");
        let done = finish(self.child.take().unwrap());
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        (done, directory)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The nodes notice and end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What is answered to a GET, head and body.
pub(crate) fn http(address: &str, path: &str) -> Option<String> {
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Whether a process is there and no mere zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or_default().starts_with('Z'))
}

/// A node that runs by itself.
pub(crate) struct Node {
    child: Option<Child>,
    pub(crate) listen: String,
    pub(crate) admin: String,
    pub(crate) resp: String,
}

impl Node {
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Node {
        let errors = std::fs::File::create(data.with_extension("log")).unwrap();
        let mut command = server();
        command.arg("--data").arg(data).args(["--admin", "127.0.0.1:0"]).args(arguments);
        for address in ["--listen", "--resp"] {
            if !arguments.contains(&address) {
                command.args([address, "127.0.0.1:0"]);
            }
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap();
        let pid = child.id();
        let mut found = None;
        until("the addresses of a node", || {
            assert_eq!(
                child.try_wait().unwrap(),
                None,
                "{}",
                std::fs::read_to_string(data.with_extension("log")).unwrap()
            );
            let text = std::fs::read(data.join("addresses.json")).unwrap_or_default();
            found =
                serde_json::from_slice(&text).ok().filter(|found: &serde_json::Value| found["pid"] == pid);
            found.is_some()
        });
        let found = found.unwrap();
        let address = |name: &str| found[name].as_str().unwrap().to_string();
        let [listen, admin, resp] = ["listen", "admin", "resp"].map(address);
        let node = Node { listen, admin, resp, child: Some(child) };
        until("the health of a node", || {
            node.try_http("/health").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        });
        node
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn kv(&self, arguments: &[&str]) -> Done {
        run(command(env!("CARGO_BIN_EXE_kv")).args(["--server", &self.listen]).args(arguments))
    }

    fn try_http(&self, path: &str) -> Option<String> {
        http(&self.admin, path)
    }

    pub(crate) fn http(&self, path: &str) -> String {
        self.try_http(path).unwrap()
    }

    pub(crate) fn stop(mut self) -> Done {
        signal(self.pid(), "TERM");
        finish(self.child.take().unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

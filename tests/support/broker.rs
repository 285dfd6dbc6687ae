//! A mosquitto of the test's own.

use super::{
    DEADLINE, DEVICE_ID, KEY, LONG_KEY, LONG_SECRET, Lane, SECRET, Subscriber,
    certificates::{Authority, Pair},
    eventually,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

/// A way into a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Tcp,
    Tls,
    Ws,
    Wss,
    /// TLS that demands a client certificate of the same authority.
    MutualTls,
}

impl Listener {
    /// Every way that a device can take.
    pub const ALL: [Listener; 4] = [Listener::Tcp, Listener::Tls, Listener::Ws, Listener::Wss];

    pub fn is_secure(self) -> bool {
        !matches!(self, Listener::Tcp | Listener::Ws)
    }

    pub fn is_websocket(self) -> bool {
        matches!(self, Listener::Ws | Listener::Wss)
    }

    /// Its part of the configuration file; the certificates are in `dir`.
    fn config(self, port: u16, dir: &Path) -> String {
        let mut config = format!("listener {port} 127.0.0.1\n");
        if self.is_websocket() {
            config.push_str("protocol websockets\n");
        }
        if self.is_secure() {
            let dir = dir.display();
            let _ = writeln!(config, "cafile {dir}/ca.pem\ncertfile {dir}/chain.pem\nkeyfile {dir}/key.pem");
        }
        if self == Listener::MutualTls {
            config.push_str("require_certificate true\n");
        }
        config
    }
}

/// A running broker, with two users. Killed when dropped; its log is shown when its test fails.
pub struct Broker {
    dir: TempDir,
    options: String,
    listeners: Vec<(Listener, u16)>,
    child: Option<Child>,
    starts: usize,
}

impl Broker {
    /// A broker for the devices of this lane, and for observers.
    pub fn start(lane: Lane) -> Broker {
        Broker::start_with(lane, "")
    }

    /// The same with these lines in its configuration.
    pub fn start_with(lane: Lane, options: &str) -> Broker {
        match lane.listener() {
            Listener::Tcp => Broker::with(&[Listener::Tcp], options),
            listener => Broker::with(&[Listener::Tcp, listener], options),
        }
    }

    /// A broker with these listeners, and with these lines in its configuration.
    pub fn with(listeners: &[Listener], options: &str) -> Broker {
        let dir = TempDir::new().expect("a temporary directory can be made");
        let mut broker = Broker { dir, options: options.to_owned(), listeners: Vec::new(), child: None, starts: 0 };
        fs::write(broker.path("passwords"), passwords()).expect("the password file can be written");
        if listeners.iter().any(|listener| listener.is_secure()) {
            broker.make_certificates(Authority::shared());
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            broker.listeners = listeners.iter().map(|listener| (*listener, free_port())).collect();
            match broker.launch() {
                Ok(()) => return broker,
                // Someone was faster at one of the ports.
                Err(log) if log.contains("in use") && Instant::now() < deadline => {}
                Err(log) => panic!("mosquitto does not start:\n{log}"),
            }
        }
    }

    /// New certificates for its listeners, used from its next start on.
    pub fn make_certificates(&self, authority: &Authority) {
        let leaf = authority.leaf(|_| {});
        for (name, pem) in
            [("ca.pem", authority.root.pem()), ("chain.pem", authority.chain(&leaf)), ("key.pem", leaf.key_pem())]
        {
            fs::write(self.path(name), pem).expect("a certificate file can be written");
        }
    }

    /// Another certificate for its listeners, without any other, used from its next start on.
    pub fn use_certificate(&self, pair: &Pair) {
        for (name, pem) in [("chain.pem", pair.pem()), ("key.pem", pair.key_pem())] {
            fs::write(self.path(name), pem).expect("a certificate file can be written");
        }
    }

    /// The root that its certificates come from.
    pub fn ca_file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The port for the devices of this lane.
    pub fn device_port(&self, lane: Lane) -> u16 {
        self.port_of(lane.listener())
    }

    /// The port of the first listener.
    pub fn port(&self) -> u16 {
        self.listeners[0].1
    }

    pub fn port_of(&self, wanted: Listener) -> u16 {
        self.listeners.iter().find(|(listener, _)| *listener == wanted).expect("the broker has this listener").1
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log_path(&self) -> PathBuf {
        self.path(&format!("log-{}", self.starts))
    }

    /// Starts mosquitto and waits until it listens; its log, if it ends instead.
    fn launch(&mut self) -> Result<(), String> {
        let dir = self.dir.path();
        // Without a user, a mosquitto that root has started becomes one that cannot read these files.
        let mut config = format!(
            "user root\nset_tcp_nodelay true\nallow_anonymous false\npassword_file {0}/passwords\npersistence_location {0}/\n{1}\n",
            dir.display(),
            self.options
        );
        for (listener, port) in &self.listeners {
            config.push_str(&listener.config(*port, dir));
        }
        fs::write(self.path("config"), config).expect("the configuration can be written");
        self.starts += 1;
        let log = File::create(self.log_path()).expect("the log can be made");
        let mut child = tool("mosquitto")
            .arg("-v")
            .arg("-c")
            .arg(self.path("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mosquitto is installed");
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            // Connecting would prove little: another process might have the port.
            if fs::read_to_string(self.log_path()).unwrap_or_default().contains(" running\n") {
                self.child = Some(child);
                return Ok(());
            }
            if child.try_wait().expect("mosquitto can be waited for").is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        let _ = child.wait();
        Err(fs::read_to_string(self.log_path()).unwrap_or_default())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same ports.
    pub fn restart(&mut self) {
        self.kill();
        // The port of a killed broker may be taken for another moment.
        let deadline = Instant::now() + DEADLINE;
        while let Err(log) = self.launch() {
            assert!(log.contains("in use") && Instant::now() < deadline, "mosquitto does not start again:\n{log}");
        }
    }

    /// Makes it write its sessions to disk, so that a restart finds them. Needs the option `persistence true`.
    pub fn save(&self) {
        let child = self.child.as_ref().expect("the broker runs");
        let database = self.path("mosquitto.db");
        let _ = fs::remove_file(&database);
        kill(Pid::from_raw(child.id() as i32), Signal::SIGUSR1).expect("the broker gets a signal");
        // It is written under another name first.
        eventually("the broker saves its sessions", || database.exists());
    }

    pub fn log(&self) -> String {
        let mut all = String::new();
        for start in 1..=self.starts {
            let text = fs::read_to_string(self.path(&format!("log-{start}"))).unwrap_or_default();
            let _ = write!(all, "--- mosquitto, start {start}:\n{text}");
        }
        all
    }

    /// An observer of everything, subscribed when this returns.
    pub fn subscriber(&self) -> Subscriber {
        Subscriber::start(self.port(), &["-q", "1"])
    }

    /// An observer that sees also what comes while the broker restarts. The broker needs the options `persistence true`
    /// and `queue_qos0_messages true`.
    pub fn lasting_subscriber(&self) -> Subscriber {
        // At QoS 0 it sends nothing, so no write to a dead broker keeps it from reading all that had come.
        let subscriber = Subscriber::start(self.port(), &["-q", "0", "-c", "-i", "observer"]);
        self.save();
        subscriber
    }

    /// Publishes as anyone would.
    pub fn publish(&self, topic: &str, payload: impl AsRef<[u8]>) {
        let payload = payload.as_ref();
        let mut child = tool("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &self.port().to_string(), "-u", KEY, "-P", SECRET])
            .args(["-q", "1", "-t", topic, if payload.is_empty() { "-n" } else { "-s" }])
            .stdin(Stdio::piped())
            .spawn()
            .expect("mosquitto_pub is installed");
        let mut input = child.stdin.take().expect("its input is a pipe");
        input.write_all(payload).expect("mosquitto_pub reads its input");
        drop(input);
        assert!(child.wait().expect("mosquitto_pub ends").success(), "mosquitto_pub failed");
    }

    /// Sends the device a command.
    pub fn command(&self, json: &str) {
        self.publish(&format!("losant/{DEVICE_ID}/command"), json);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// Debian keeps mosquitto where only root looks for programs.
pub fn tool(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
    command
}

/// The hashing takes a while, so it is done once.
fn passwords() -> &'static [u8] {
    static PASSWORDS: OnceLock<Vec<u8>> = OnceLock::new();
    PASSWORDS.get_or_init(|| {
        let dir = TempDir::new().expect("a temporary directory can be made");
        let file = dir.path().join("passwords");
        for (make, key, secret) in [(&["-b", "-c"][..], KEY, SECRET), (&["-b"], LONG_KEY, LONG_SECRET)] {
            let status = tool("mosquitto_passwd").args(make).arg(&file).args([key, secret]).status();
            assert!(status.expect("mosquitto_passwd is installed").success(), "mosquitto_passwd failed");
        }
        fs::read(file).expect("mosquitto_passwd has written its file")
    })
}

/// A port that nobody listens on. Below those that the kernel hands out: a device that knocks at a dead broker's port
/// there may one day be given that very port for its own end, and be connected to itself.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let low = range.split_whitespace().next().and_then(|low| low.parse().ok()).unwrap_or(32_768);
    let (first, count) = (low / 2, low / 2);
    let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    // Processes begin at different places; within one, no port is given twice before all were.
    let _ =
        NEXT.compare_exchange(0, (start / 1000 % u32::from(count)) as u16 | 1, Ordering::Relaxed, Ordering::Relaxed);
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % count;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

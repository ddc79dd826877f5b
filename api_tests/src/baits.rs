//! What attacks go for, set up outside of any sandbox: files, a process, listeners. Whoever reaches
//! them has done no harm.

use anyhow::{Context, Result};
use nix::unistd::{Uid, chown};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Its name in the baits' directory.
pub const FACTS_FILE: &str = "baits.json";

/// Longest wait for what a client of a listener has to say.
const REQUEST_MAX: Duration = Duration::from_secs(1);

/// Baits that are there until this is dropped.
#[derive(Debug)]
pub struct Baits {
    dir: PathBuf,
    facts: Value,
    process: Child,
    servers: Vec<Server>,
    /// Only have to be there; what is sent to them stays in their buffers.
    _datagrams: (Vec<UdpSocket>, [UnixDatagram; 2]),
    _streams: [UnixListener; 2],
}

impl Baits {
    /// Makes a directory and all that is in it. `uid` is whose the files and the process are, for which
    /// this must be root; without it they are the caller's.
    ///
    /// # Errors
    /// The directory is there already, or something can't be made; what was made before may be left.
    pub fn create(dir: &Path, uid: Option<u32>) -> Result<Self> {
        fs::create_dir(dir).with_context(|| format!("{}: mkdir", dir.display()))?;
        let dir = dir.canonicalize()?;
        let secret = secret()?;
        set_mode(&dir, 0o777)?;
        for (name, mode) in FILES {
            let path = dir.join(name);
            fs::write(&path, format!("bait {secret}\n"))?;
            set_mode(&path, mode)?;
        }
        let process = start_process(&secret, uid)?;
        let servers: Vec<Server> = ["127.0.0.1:0", "[::1]:0"]
            .into_iter()
            .filter_map(|address| Server::start(address, &secret).ok())
            .collect();
        let datagrams: Vec<UdpSocket> = ["127.0.0.1:0", "[::1]:0"]
            .into_iter()
            .filter_map(|address| UdpSocket::bind(address).ok())
            .collect();
        let name = format!("codejail-bait-{secret}");
        let (stream, datagram) = (dir.join("stream"), dir.join("datagram"));
        let streams = [
            UnixListener::bind(&stream)?,
            UnixListener::bind_addr(&UnixAddr::from_abstract_name(&name)?)?,
        ];
        let datagram_name = format!("{name}-datagram");
        let unix_datagrams = [
            UnixDatagram::bind(&datagram)?,
            UnixDatagram::bind_addr(&UnixAddr::from_abstract_name(&datagram_name)?)?,
        ];
        for path in [&stream, &datagram] {
            set_mode(path, 0o777)?;
        }
        let port = |v6: bool, addresses: Vec<SocketAddr>| {
            let found = addresses.into_iter().find(|a| a.is_ipv6() == v6);
            found.map(|address| address.port())
        };
        let tcp = || servers.iter().map(|server| server.address).collect();
        let udp = || {
            datagrams
                .iter()
                .filter_map(|s| s.local_addr().ok())
                .collect()
        };
        let facts = json!({
            "secret": secret,
            "dir": dir,
            "file": dir.join("file"),
            "writable": dir.join("writable"),
            "movable": dir.join("movable"),
            "pid": process.id(),
            "tcp4": port(false, tcp()),
            "tcp6": port(true, tcp()),
            "udp4": port(false, udp()),
            "udp6": port(true, udp()),
            "stream": stream,
            "datagram": datagram,
            "abstract_stream": name,
            "abstract_datagram": datagram_name,
        });
        if let Some(uid) = uid.map(Uid::from_raw) {
            for entry in fs::read_dir(&dir)? {
                chown(&entry?.path(), Some(uid), None)?;
            }
            chown(&dir, Some(uid), None)?;
        }
        // Under its name only when it is whole: somebody may be waiting for it.
        let facts_file = dir.join(FACTS_FILE);
        let unfinished = dir.join("unfinished");
        fs::write(&unfinished, facts.to_string())?;
        set_mode(&unfinished, 0o644)?;
        fs::rename(&unfinished, &facts_file)?;
        Ok(Self {
            dir,
            facts,
            process,
            servers,
            _datagrams: (datagrams, unix_datagrams),
            _streams: streams,
        })
    }

    /// What probes are told of them, as their global `bait`.
    #[must_use]
    pub fn facts(&self) -> &Value {
        &self.facts
    }

    /// Where they are written down.
    #[must_use]
    pub fn facts_file(&self) -> PathBuf {
        self.dir.join(FACTS_FILE)
    }
}

impl Drop for Baits {
    fn drop(&mut self) {
        // Its standard input's end is the process's end.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        self.servers.iter_mut().for_each(Server::stop);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What there is to go for on every host, for want of baits.
#[must_use]
pub fn of_every_host() -> Value {
    json!({ "secret": "root:", "dir": "/tmp", "file": "/etc/passwd", "pid": 1 })
}

/// Files of baits, and who may do what with them.
const FILES: [(&str, u32); 3] = [("file", 0o644), ("writable", 0o666), ("movable", 0o644)];

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let set = fs::set_permissions(path, Permissions::from_mode(mode));
    set.with_context(|| format!("{}: chmod", path.display()))
}

/// What only somebody who has read a bait can know.
fn secret() -> Result<String> {
    let mut bytes = [0_u8; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// A process that waits for its standard input's end, with the secret in its arguments and environment.
fn start_process(secret: &str, uid: Option<u32>) -> Result<Child> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "read -r _", &format!("bait-{secret}")])
        .env_clear()
        .env("BAIT_SECRET", secret)
        .current_dir("/")
        .stdin(Stdio::piped());
    if let Some(uid) = uid {
        command.gid(uid).uid(uid);
    }
    command.spawn().context("/bin/sh, the bait process")
}

/// Answers whatever is asked over TCP with the secret, as HTTP.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(address: &str, secret: &str) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let answer = format!("HTTP/1.0 200 OK\r\n\r\n{secret}");
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                // One that hangs up early has what it came for: the connection.
                let _ = stream.and_then(|mut stream| {
                    stream.set_read_timeout(Some(REQUEST_MAX))?;
                    let _ = stream.read(&mut [0; 1024])?;
                    stream.write_all(answer.as_bytes())
                });
            }
        });
        Ok(Self {
            address,
            ends,
            thread: Some(thread),
        })
    }

    fn stop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // Wakes it up; if nobody can connect, it is gone already.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

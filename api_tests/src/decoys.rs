//! Targets for attacks, outside of any sandbox: files, a process, listeners. An attack that reaches
//! one has done no harm.

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

/// The name of the file that describes the decoys, in their directory.
pub const FACTS_FILE: &str = "decoys.json";

/// The longest wait for what a client of a listener sends.
const REQUEST_MAX: Duration = Duration::from_secs(1);

/// Decoys, which exist until this is dropped.
#[derive(Debug)]
pub struct Decoys {
    dir: PathBuf,
    facts: Value,
    /// Two: a run in a PID namespace may itself have the number of one of them.
    processes: [Child; 2],
    listeners: Listeners,
}

/// Sockets to which an attack may connect or send: over the loopback device, and unix sockets.
#[derive(Debug)]
struct Listeners {
    tcp: Vec<Server>,
    /// These and the following only have to exist. What is sent to them stays in their buffers.
    udp: Vec<UdpSocket>,
    /// One in the directory, one in the abstract namespace.
    _streams: [UnixListener; 2],
    _datagrams: [UnixDatagram; 2],
    /// What probes learn of the unix sockets.
    unix: [(&'static str, String); 4],
}

impl Listeners {
    fn bind(dir: &Path, secret: &str) -> Result<Self> {
        let loopback = ["127.0.0.1:0", "[::1]:0"].into_iter();
        let servers = loopback
            .clone()
            .filter_map(|address| Server::start(address, secret).ok());
        let sockets = loopback.filter_map(|address| UdpSocket::bind(address).ok());
        let (stream, datagram) = (dir.join("stream"), dir.join("datagram"));
        let stream_name = format!("codejail-decoy-{secret}");
        let datagram_name = format!("{stream_name}-datagram");
        let listeners = Self {
            tcp: servers.collect(),
            udp: sockets.collect(),
            _streams: [
                UnixListener::bind(&stream)?,
                UnixListener::bind_addr(&UnixAddr::from_abstract_name(&stream_name)?)?,
            ],
            _datagrams: [
                UnixDatagram::bind(&datagram)?,
                UnixDatagram::bind_addr(&UnixAddr::from_abstract_name(&datagram_name)?)?,
            ],
            unix: [
                ("stream", stream.display().to_string()),
                ("datagram", datagram.display().to_string()),
                ("abstract_stream", stream_name),
                ("abstract_datagram", datagram_name),
            ],
        };
        for path in [&stream, &datagram] {
            set_mode(path, 0o777)?;
        }
        Ok(listeners)
    }

    /// Adds what probes learn: ports, paths and names. If the host lacks a protocol, there is no
    /// port for it.
    fn describe(&self, facts: &mut Value) {
        let tcp = self.tcp.iter().map(|server| server.address).collect();
        let udp = self
            .udp
            .iter()
            .filter_map(|socket| socket.local_addr().ok());
        for (name, addresses) in [("tcp", tcp), ("udp", udp.collect::<Vec<SocketAddr>>())] {
            for (version, v6) in [(4, false), (6, true)] {
                let found = addresses.iter().find(|address| address.is_ipv6() == v6);
                facts[format!("{name}{version}")] = found.map(SocketAddr::port).into();
            }
        }
        for (name, place) in &self.unix {
            facts[*name] = place.as_str().into();
        }
    }
}

impl Decoys {
    /// Makes a directory and its content. The files and the process belong to `uid`, for which the
    /// caller must be root. Without `uid` they belong to the caller.
    ///
    /// # Errors
    /// The directory exists already, or something can't be made. What was made before that may be
    /// left.
    pub fn create(dir: &Path, uid: Option<u32>) -> Result<Self> {
        fs::create_dir(dir).with_context(|| format!("{}: mkdir", dir.display()))?;
        let dir = dir.canonicalize()?;
        let secret = secret()?;
        set_mode(&dir, 0o777)?;
        for (name, mode) in FILES {
            let path = dir.join(name);
            fs::write(&path, format!("decoy {secret}\n"))?;
            set_mode(&path, mode)?;
        }
        let processes = [start_process(&secret, uid)?, start_process(&secret, uid)?];
        let listeners = Listeners::bind(&dir, &secret)?;
        let mut facts = json!({
            "secret": secret,
            "dir": dir,
            "file": dir.join("file"),
            "writable": dir.join("writable"),
            "movable": dir.join("movable"),
            "pid": processes[0].id(),
            "other_pid": processes[1].id(),
        });
        listeners.describe(&mut facts);
        if let Some(uid) = uid.map(Uid::from_raw) {
            for entry in fs::read_dir(&dir)? {
                chown(&entry?.path(), Some(uid), None)?;
            }
            chown(&dir, Some(uid), None)?;
        }
        // The file gets its name only when it is complete: another process may be waiting for it.
        let facts_file = dir.join(FACTS_FILE);
        let unfinished = dir.join("unfinished");
        fs::write(&unfinished, facts.to_string())?;
        set_mode(&unfinished, 0o644)?;
        fs::rename(&unfinished, &facts_file)?;
        Ok(Self {
            dir,
            facts,
            processes,
            listeners,
        })
    }

    /// What probes learn of the decoys, as their global `decoy`.
    #[must_use]
    pub fn facts(&self) -> &Value {
        &self.facts
    }

    /// The path of the file that describes the decoys.
    #[must_use]
    pub fn facts_file(&self) -> PathBuf {
        self.dir.join(FACTS_FILE)
    }
}

impl Drop for Decoys {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It ends when its standard input ends.
            drop(process.stdin.take());
            let _ = process.wait();
        }
        self.listeners.tcp.iter_mut().for_each(Server::stop);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Targets on every host, for probes without decoys.
#[must_use]
pub fn of_every_host() -> Value {
    json!({ "secret": "root:", "dir": "/tmp", "file": "/etc/passwd", "pid": 1 })
}

/// The files of decoys, with their modes.
const FILES: [(&str, u32); 3] = [("file", 0o644), ("writable", 0o666), ("movable", 0o644)];

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let set = fs::set_permissions(path, Permissions::from_mode(mode));
    set.with_context(|| format!("{}: chmod", path.display()))
}

/// A secret: whoever knows it has read a decoy.
fn secret() -> Result<String> {
    let mut bytes = [0_u8; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// A process that waits for the end of its standard input. Its arguments and its environment have
/// the secret.
fn start_process(secret: &str, uid: Option<u32>) -> Result<Child> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "read -r _", &format!("decoy-{secret}")])
        .env_clear()
        .env("DECOY_SECRET", secret)
        .current_dir("/")
        .stdin(Stdio::piped());
    if let Some(uid) = uid {
        command.gid(uid).uid(uid);
    }
    command.spawn().context("/bin/sh, the decoy process")
}

/// Answers every request over TCP with the secret, as HTTP.
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
                // A client that hangs up early has connected, which was its attack.
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
        // Wakes the thread up. If nobody can connect, the thread has ended.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

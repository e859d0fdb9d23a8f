//! The running switch: a Unix datagram socket per port (QEMU's `-netdev dgram`), a capture per port, a control socket.
//!
//! Frames to a machine that does not take them at the moment wait in a short queue and are lost beyond it, as in
//! real switches.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::control::{Answer, PortState, Request, State};
use super::frame::{Header, Mac};
use super::learning::Table;
use super::lease;

type Capture = super::capture::Capture<BufWriter<File>>;

/// Longest frame on the wire: jumbo frames do not occur here.
const FRAME: usize = 16 * 1024;
/// Frames that wait for one machine.
const QUEUE: usize = 1024;
/// How long until a full machine is tried again: a datagram socket tells nobody when its peer has room.
const RETRY_MS: u8 = 1;
/// A client of the control socket that says nothing must not stop the switch.
const CONTROL_PATIENCE: Duration = Duration::from_millis(500);

/// Where a port is.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// Its name.
    pub name: String,
    /// The socket of the switch's end, made by the switch.
    pub switch_end: PathBuf,
    /// The socket of the machine's end, made by the machine.
    pub machine_end: PathBuf,
    /// The file that gets all frames of the port.
    pub capture: PathBuf,
}

struct Port {
    socket: UnixDatagram,
    machine_end: PathBuf,
    capture: Capture,
    waiting: VecDeque<Vec<u8>>,
    state: PortState,
}

/// A switch.
pub struct Switch {
    ports: Vec<Port>,
    table: Table,
    control: UnixListener,
    leases: BTreeMap<Mac, Ipv4Addr>,
}

impl Switch {
    /// Makes the sockets and the captures.
    ///
    /// # Errors
    /// When one of them cannot be made.
    pub fn new(ports: &[PortConfig], control: &Path) -> Result<Self> {
        let control =
            UnixListener::bind(control).with_context(|| format!("listening on {}", control.display()))?;
        control.set_nonblocking(true)?;
        Ok(Self {
            table: Table::new(ports.len()),
            ports: ports.iter().map(Port::new).collect::<Result<_>>()?,
            control,
            leases: BTreeMap::new(),
        })
    }

    /// Passes frames for ever.
    ///
    /// # Errors
    /// When a capture cannot be written or waiting fails: the lab is of no use then.
    pub fn run(&mut self) -> Result<()> {
        loop {
            self.wait()?;
            for from in 0..self.ports.len() {
                self.receive(from)?;
            }
            for port in &mut self.ports {
                port.deliver();
                port.capture.flush()?;
            }
            match self.control.accept() {
                Ok((stream, _)) => self.answer(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("accepting on the control socket"),
            }
        }
    }

    fn wait(&self) -> Result<()> {
        let waiting = self.ports.iter().any(|port| !port.waiting.is_empty());
        let timeout = if waiting {
            PollTimeout::from(RETRY_MS)
        } else {
            PollTimeout::NONE
        };
        let sockets = self.ports.iter().map(|port| port.socket.as_fd());
        let mut wanted: Vec<_> = sockets
            .chain([self.control.as_fd()])
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut wanted, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error).context("waiting for frames"),
        }
    }

    /// Takes what waits at a port; a burst at most, so that one talker does not starve the others.
    fn receive(&mut self, from: usize) -> Result<()> {
        let mut frame = [0; FRAME];
        for _ in 0..64 {
            let Some(port) = self.ports.get_mut(from) else {
                return Ok(());
            };
            // Anything but a frame means there is none now: a machine that is off makes no lasting error.
            let Ok(length) = port.socket.recv(&mut frame) else {
                return Ok(());
            };
            let frame = &frame[..length];
            let Some(header) = Header::read(frame) else {
                continue;
            };
            let to = self.table.decide(from, &header);
            if self.table.is_cut(from) {
                continue;
            }
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            port.state.frames_in += 1;
            port.capture.write(now, frame)?;
            if let Some((client, address)) = lease::granted(frame) {
                self.leases.insert(client, address);
            }
            for to in to {
                if let Some(port) = self.ports.get_mut(to) {
                    port.send(now, frame)?;
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, stream: UnixStream) {
        let mut line = String::new();
        let read = stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_read_timeout(Some(CONTROL_PATIENCE)))
            .and_then(|()| BufReader::new(&stream).read_line(&mut line));
        if read.is_err() {
            return;
        }
        let answer = match serde_json::from_str(&line) {
            Ok(request) => self.serve(request),
            Err(error) => Answer::Error(format!("not a request: {error}")),
        };
        if let Ok(text) = serde_json::to_string(&answer) {
            // Who asked may have gone; that is its own business.
            let _ = (&stream).write_all((text + "\n").as_bytes());
        }
    }

    fn serve(&mut self, request: Request) -> Answer {
        if let Request::SetCut { port: name, cut } = request {
            let Some(at) = self.ports.iter().position(|port| port.state.name == name) else {
                return Answer::Error(format!("there is no port '{name}'"));
            };
            self.table.set_cut(at, cut);
        }
        let ports = self.ports.iter().enumerate().map(|(number, port)| PortState {
            cut: self.table.is_cut(number),
            ..port.state.clone()
        });
        Answer::State(State {
            ports: ports.collect(),
            leases: self.leases.clone(),
        })
    }
}

impl Port {
    fn new(config: &PortConfig) -> Result<Self> {
        let socket = UnixDatagram::bind(&config.switch_end)
            .with_context(|| format!("making the switch port {}", config.switch_end.display()))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            machine_end: config.machine_end.clone(),
            capture: Capture::create(&config.capture)?,
            waiting: VecDeque::new(),
            state: PortState {
                name: config.name.clone(),
                cut: false,
                frames_in: 0,
                frames_out: 0,
                lost: 0,
            },
        })
    }

    fn send(&mut self, now: Duration, frame: &[u8]) -> Result<()> {
        self.capture.write(now, frame)?;
        if self.waiting.len() < QUEUE {
            self.waiting.push_back(frame.to_vec());
            self.deliver();
        } else {
            self.state.lost += 1;
        }
        Ok(())
    }

    fn deliver(&mut self) {
        while let Some(frame) = self.waiting.front() {
            match self.socket.send_to(frame, &self.machine_end) {
                Ok(_) => self.state.frames_out += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The machine is off.
                Err(_) => self.state.lost += 1,
            }
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::control;

    #[test]
    fn passes_tagged_frames_between_machines_and_obeys() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let configs = ["uplink", "a", "b"].map(|name| PortConfig {
            name: name.to_owned(),
            switch_end: at(&format!("{name}.switch")),
            machine_end: at(&format!("{name}.machine")),
            capture: at(&format!("{name}.pcap")),
        });
        let [a, b] = [1, 2].map(|i: usize| {
            let socket = UnixDatagram::bind(&configs[i].machine_end).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            socket
        });
        let control_socket = at("control");
        let mut switch = Switch::new(&configs, &control_socket).unwrap();
        std::thread::spawn(move || switch.run());
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 1, 0x81, 0, 0, 200, 8, 6, 1, 2, 3]);
        let mut buffer = [0; 100];
        let mut passes = || {
            a.send_to(&frame, &configs[1].switch_end).unwrap();
            b.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec())
        };
        assert_eq!(passes().as_ref(), Some(&frame));

        let cut = |cut| Request::SetCut {
            port: "b".to_owned(),
            cut,
        };
        assert!(control::ask(&control_socket, &cut(true)).unwrap().ports[2].cut);
        assert_eq!(passes(), None);
        control::ask(&control_socket, &cut(false)).unwrap();
        assert_eq!(passes().as_ref(), Some(&frame));
        let state = control::ask(&control_socket, &Request::Show).unwrap();
        assert_eq!((state.ports[1].frames_in, state.ports[2].frames_out), (3, 2));
        // Nobody is behind the uplink's port: what goes there is lost, nothing else happens.
        assert_eq!(state.ports[0].lost, 3);
        let wrong = Request::SetCut {
            port: "c".to_owned(),
            cut: true,
        };
        let message = control::ask(&control_socket, &wrong).unwrap_err().to_string();
        assert!(message.ends_with("there is no port 'c'"), "{message}");
        let captured = std::fs::metadata(&configs[2].capture).unwrap().len();
        assert_eq!(captured, 24 + 2 * (16 + frame.len() as u64));
    }
}

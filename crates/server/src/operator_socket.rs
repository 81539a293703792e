//! The operator's socket: where it is, who may use it, and how it is served. Rim: no session of the hub is behind it, so
//! it has room for its few connections when the server is full.

use crate::half_frames::Share;
use crate::hub::Operated;
use crate::inbound::{Dialect, Event, Refusal, code_of, peek_request, request_of};
use crate::inbox::Inbox;
use crate::turns::Pace;
use bytes::Bytes;
use protocol::code::Code;
use protocol::frame::{FrameError, Item};
use protocol::id::Req;
use protocol::limits::MAX_FRAME;
use protocol::message::{ClientMsg, Order};
use rustix::process::geteuid;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Its name in the data folder.
pub const NAME: &str = "admin.sock";

/// Bytes of the longest path that a socket can have on Linux, beside the zero behind it (unix(7)).
const MAX_PATH: usize = 107;

/// Connections at a time: somebody who looks, and scripts beside them.
const PLACES: usize = 4;

/// How long a connection may say nothing, or take to read an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait when the machine has no more sockets.
const NO_SOCKETS: Duration = Duration::from_millis(100);

/// What a server is known by to those who look for its socket.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// It keeps everything in this folder.
    Folder(&'a Path),
    /// It keeps nothing, and listens on this port.
    Port(u16),
}

impl Place<'_> {
    /// Where the socket is; `None` where the data folder's path is too long, or there is none, and the system names no
    /// folder for sockets either.
    pub fn path(self, runtime: Option<&Path>) -> Option<PathBuf> {
        let name = match self {
            Self::Folder(data) => {
                let path = data.join(NAME);
                if path.as_os_str().len() <= MAX_PATH {
                    return Some(path);
                }
                let data = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
                let hash = blake3::hash(data.as_os_str().as_bytes()).to_hex();
                format!("natterd-{}.sock", &hash[..16])
            }
            Self::Port(port) => format!("natterd-{port}.sock"),
        };
        let path = runtime.filter(|runtime| runtime.is_absolute())?.join(name);
        (path.as_os_str().len() <= MAX_PATH).then_some(path)
    }
}

/// The folder for sockets of this user, as the system says.
pub fn runtime_folder() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir())
}

/// The socket. It is removed when this is dropped.
#[derive(Debug)]
pub struct OperatorSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl OperatorSocket {
    /// Makes the socket, in the place of one that was left by a server that was killed: whoever calls this has the lock of
    /// the data folder, or the port, so no other server has it.
    ///
    /// # Errors
    /// As the file system says; `AlreadyExists` if something else has its name.
    pub fn bind(path: PathBuf) -> io::Result<Self> {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(&path)?,
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Nobody else can open it before its mode is set: programs of ours have a umask of 077.
        let listener = UnixListener::bind(&path)?;
        let socket = Self { listener, path };
        fs::set_permissions(&socket.path, Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// Where it is, unless it is where one looks for it first.
    pub fn elsewhere(&self) -> Option<&Path> {
        Some(&*self.path).filter(|path| !path.ends_with(NAME))
    }

    /// Serves the operator for as long as this is waited for.
    pub async fn serve(self, events: mpsc::Sender<Event>) {
        let places = Arc::new(Semaphore::new(PLACES));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) if is_operator(&stream) => stream,
                Ok(_) => {
                    tracing::warn!("somebody else was turned away from the operator's socket");
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "the operator could not be let in");
                    tokio::time::sleep(NO_SOCKETS).await;
                    continue;
                }
            };
            let events = events.clone();
            tokio::spawn(async move {
                converse(stream, events).await;
                drop(place);
            });
        }
    }
}

impl Drop for OperatorSocket {
    fn drop(&mut self) {
        // One that is left is replaced by the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the other end is the user that this runs as, or root.
fn is_operator(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw())
}

/// What a frame is taken for.
enum Said {
    Order(Req, Order),
    /// It is answered, and the connection goes on.
    Wrong(Bytes),
    /// It is answered, and that is the end.
    Last(Bytes),
    /// A type that is skipped.
    Nothing,
}

/// Answers orders, one after the other, until the other end has no more.
async fn converse(mut stream: UnixStream, events: mpsc::Sender<Event>) {
    let (read, mut write) = stream.split();
    let mut inbox = Inbox::new(read, Share::unbounded(), Pace::unbounded());
    inbox.set_limit(MAX_FRAME, Dialect::Native);
    while let Ok(Some(said)) = timeout(PATIENCE, inbox.next_frame(understand)).await {
        let (answer, is_last) = match said {
            Said::Order(req, order) => match carry_out(req, order, &events).await {
                Some(answer) => (answer, false),
                None => return,
            },
            Said::Wrong(answer) => (answer, false),
            Said::Last(answer) => (answer, true),
            Said::Nothing => continue,
        };
        let written = timeout(PATIENCE, write.write_all(&answer)).await;
        if is_last || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

fn understand(item: Result<Item<'_>, FrameError>) -> Said {
    let frame = match item {
        Ok(Item::Frame(frame)) => frame,
        Ok(Item::Oversized { ty, .. }) => {
            let limit = u64::from(MAX_FRAME);
            return Said::Last(Refusal::about(Code::FrameTooLarge, ty, 0).with(limit).encode());
        }
        Err(FrameError::Empty) => return Said::Last(Refusal::of(Code::EmptyFrame).encode()),
    };
    match ClientMsg::decode(frame.ty, frame.payload) {
        Ok(Some(ClientMsg::Operate { req, order })) => Said::Order(req, order),
        Ok(Some(other)) => {
            Said::Wrong(Refusal::about(Code::WrongPurpose, frame.ty, request_of(&other)).encode())
        }
        Ok(None) => Said::Nothing,
        Err(error) => {
            let req = peek_request(frame.ty, frame.payload);
            let refusal = Refusal::about(code_of(error), frame.ty, req);
            match refusal.code.fate() {
                protocol::code::Fate::Keep => Said::Wrong(refusal.encode()),
                protocol::code::Fate::Close => Said::Last(refusal.encode()),
            }
        }
    }
}

/// Has the hub do it, and waits until that is stored; `None` if the server stops.
async fn carry_out(req: Req, order: Order, events: &mpsc::Sender<Event>) -> Option<Bytes> {
    let (answer, answered) = oneshot::channel();
    events.send(Event::Operate { req, order, answer }).await.ok()?;
    let Operated { answer, stored } = answered.await.ok()?;
    match stored {
        None => Some(answer),
        Some(stored) => match stored.await.ok()? {
            Ok(()) => Some(answer),
            Err(code) => Some(Operated::refused(code, req).answer),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_in_the_data_folder_unless_its_path_is_too_long() {
        let runtime = Path::new("/run/user/1000");
        let path = |place: Place<'_>| place.path(Some(runtime));
        assert_eq!(path(Place::Folder(Path::new("/srv/n"))), Some("/srv/n/admin.sock".into()));
        let longest = format!("/{}", "x".repeat(MAX_PATH - NAME.len() - 2));
        assert_eq!(path(Place::Folder(Path::new(&longest))), Some(Path::new(&longest).join(NAME)));
        let longer = format!("{longest}x");
        let elsewhere = path(Place::Folder(Path::new(&longer))).unwrap();
        assert_eq!(elsewhere.parent(), Some(runtime));
        assert_ne!(path(Place::Folder(Path::new(&format!("{longer}x")))), Some(elsewhere));
        assert_eq!(path(Place::Port(12_000)), Some(runtime.join("natterd-12000.sock")));
        assert_eq!(Place::Port(12_000).path(None), None);
        assert_eq!(Place::Folder(Path::new(&longer)).path(Some(Path::new("run"))), None);
    }

    #[tokio::test]
    async fn a_socket_that_was_left_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        // As a kill leaves it.
        std::mem::forget(OperatorSocket::bind(path.clone()).unwrap());
        let again = OperatorSocket::bind(path.clone()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(again);
        assert!(!path.exists());
        fs::write(&path, "somebody's").unwrap();
        let error = OperatorSocket::bind(path.clone()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"somebody's");
    }
}

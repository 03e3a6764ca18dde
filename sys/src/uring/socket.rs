//! Sockets as the ring uses them: shared, so that an operation keeps its socket open.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

/// A socket. Cheap to clone; it is closed when no clone and no operation is left.
#[derive(Clone, Debug)]
pub struct Socket(Arc<OwnedFd>);

impl Socket {
    /// A TCP socket of the family of `address` that is not connected yet; for
    /// [`super::Op::Connect`].
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn unconnected(address: &SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: takes no pointer.
        let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and nobody else's.
        Ok(Self(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Has small writes sent at once instead of collected.
    ///
    /// # Errors
    /// When this is no TCP socket.
    pub fn set_nodelay(&self) -> io::Result<()> {
        let on: libc::c_int = 1;
        let size = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(4);
        // SAFETY: `on` is readable for its size.
        let code =
            unsafe { libc::setsockopt(self.raw(), libc::IPPROTO_TCP, libc::TCP_NODELAY, (&raw const on).cast(), size) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Ends one or both directions; operations under way complete.
    ///
    /// # Errors
    /// When the socket is not connected.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        // SAFETY: takes no pointer.
        let code = unsafe { libc::shutdown(self.raw(), how) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The standard library's stream over a duplicate of this socket, for its addresses and
    /// options. Means nothing for listeners and Unix sockets.
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn to_tcp(&self) -> io::Result<TcpStream> {
        Ok(TcpStream::from(self.0.try_clone()?))
    }

    pub(super) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::from_fd(stream.into())
    }
}

impl From<TcpListener> for Socket {
    fn from(listener: TcpListener) -> Self {
        Self::from_fd(listener.into())
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::from_fd(stream.into())
    }
}

impl From<UnixListener> for Socket {
    fn from(listener: UnixListener) -> Self {
        Self::from_fd(listener.into())
    }
}

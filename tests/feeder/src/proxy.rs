//! A TCP proxy that can be told to misbehave: to stand still, to refuse, to close a connection after so many bytes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What happens to the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Nothing passes and nothing is closed: a cable that was pulled.
    Still,
    /// Every connection is closed, new ones at once: a server that was stopped.
    Closed,
}

/// Listens on loopback until it is dropped.
pub struct Proxy {
    pub port: u16,
    way: watch::Sender<Way>,
    /// Bytes a client may still send over the connections made from now on; no end when it is `u64::MAX`.
    cut_after: Arc<AtomicU64>,
    open: Arc<Mutex<CancellationToken>>,
    stop: CancellationToken,
}

impl Proxy {
    /// Passes everything on to `target` until it is told otherwise.
    pub async fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("failed to listen")?;
        let port = listener.local_addr()?.port();
        let (way, _) = watch::channel(Way::Open);
        let proxy = Self {
            port,
            way,
            cut_after: Arc::new(AtomicU64::new(u64::MAX)),
            open: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (way, cut_after, open, stop) =
            (proxy.way.subscribe(), Arc::clone(&proxy.cut_after), Arc::clone(&proxy.open), proxy.stop.clone());
        let tasks = TaskTracker::new();
        tasks.clone().spawn(async move {
            loop {
                let client = tokio::select! {
                    () = stop.cancelled() => return,
                    client = listener.accept() => client,
                };
                let Ok((client, _)) = client else { continue };
                let (way, closed) = (way.clone(), lock(&open).clone());
                let left = cut_after.load(Ordering::SeqCst);
                let stop = stop.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = closed.cancelled() => {}
                        _ended = carry(client, target, way, left) => {}
                    }
                });
            }
        });
        Ok(proxy)
    }

    /// From now on.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
        if way == Way::Closed {
            std::mem::take(&mut *lock(&self.open)).cancel();
        }
    }

    /// Connections made from now on are closed when the client has sent so many bytes; what is behind them never
    /// leaves. `None` takes that back.
    pub fn cut_after(&self, bytes: Option<u64>) {
        self.cut_after.store(bytes.unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock(open: &Mutex<CancellationToken>) -> std::sync::MutexGuard<'_, CancellationToken> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn carry(client: TcpStream, target: SocketAddr, mut way: watch::Receiver<Way>, left: u64) -> Result<()> {
    if *way.borrow() == Way::Closed {
        return Ok(());
    }
    way.wait_for(|way| *way == Way::Open).await?;
    let server = TcpStream::connect(target).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pass(from_client, to_server, way.clone(), left);
    let down = pass(from_server, to_client, way, u64::MAX);
    tokio::pin!(up, down);
    tokio::select! {
        cut = &mut up => {
            // A client that has said all it had to say still wants the answer.
            if !cut? {
                down.await?;
            }
        }
        ended = &mut down => drop(ended?),
    }
    Ok(())
}

/// True when it ended because the bytes were used up.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut way: watch::Receiver<Way>,
    mut left: u64,
) -> Result<bool> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        if left == 0 {
            return Ok(true);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = from.read(&mut buffer[..most]).await?;
        if read == 0 {
            to.shutdown().await?;
            return Ok(false);
        }
        way.wait_for(|way| *way == Way::Open).await?;
        to.write_all(&buffer[..read]).await?;
        if left != u64::MAX {
            left -= read as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every byte with the same byte.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        TaskTracker::new().spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                TaskTracker::new().spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ended = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn client(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap()
    }

    #[tokio::test]
    async fn bytes_pass_until_it_is_closed() {
        let proxy = Proxy::to(echo().await).await.unwrap();
        let mut stream = client(&proxy).await;
        let mut back = [0; 3];
        stream.write_all(b"abc").await.unwrap();
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"abc");
        proxy.set(Way::Closed);
        assert!(matches!(stream.read(&mut back).await, Ok(0) | Err(_)), "closed");
        assert!(matches!(client(&proxy).await.read(&mut back).await, Ok(0) | Err(_)), "a new one, too");
        proxy.set(Way::Open);
        let mut stream = client(&proxy).await;
        stream.write_all(b"def").await.unwrap();
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"def");
    }

    #[tokio::test]
    async fn exactly_so_many_bytes_pass() {
        let proxy = Proxy::to(echo().await).await.unwrap();
        proxy.cut_after(Some(4));
        let mut stream = client(&proxy).await;
        stream.write_all(b"abcdef").await.unwrap();
        let mut back = Vec::new();
        let _cut = stream.read_to_end(&mut back).await;
        assert!(b"abcd".starts_with(&back), "{back:?}");
    }

    #[tokio::test]
    async fn a_still_proxy_keeps_what_it_was_given() {
        let proxy = Proxy::to(echo().await).await.unwrap();
        let mut stream = client(&proxy).await;
        let mut back = [0; 1];
        stream.write_all(b"a").await.unwrap();
        stream.read_exact(&mut back).await.unwrap();
        proxy.set(Way::Still);
        stream.write_all(b"b").await.unwrap();
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(50), stream.read_exact(&mut back)).await.is_err(),
            "nothing comes back"
        );
        proxy.set(Way::Open);
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"b");
    }
}

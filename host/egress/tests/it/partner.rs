//! A partner on the loopback that speaks in raw bytes, so that it can break every rule of HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// A request as it came off the wire.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Request line and headers, as sent.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    /// `METHOD target`.
    pub(crate) fn line(&self) -> String {
        let mut words = self.head.split(' ');
        format!("{} {}", words.next().unwrap_or(""), words.next().unwrap_or(""))
    }

    /// The value of a header; names are lower case on the wire.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// What the partner does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// Nothing: the connection is closed after the request was read.
    Close,
    /// Nothing, for ever.
    Hang,
    /// One byte of an endless body every 20 ms.
    Drip,
    /// The first bytes, and then the second ones again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// The first bytes, and then a byte every 20 ms.
    Trickle(Vec<u8>),
    /// The answer, once the test says so.
    Held(Vec<u8>),
}

/// An answer with a length.
pub(crate) fn answer(status: u16, body: &str) -> Act {
    Act::Raw(
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
    )
}

/// The partner; gone when dropped.
pub(crate) struct Partner {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<u32>>,
    pub(crate) release: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl Partner {
    /// Plays the acts in order, one per request; the last one again and again.
    pub(crate) async fn plays(acts: Vec<Act>) -> Self {
        let left = Mutex::new(acts);
        Self::answers(move |_| {
            let mut left = left.lock().expect("acts");
            if left.len() > 1 { left.remove(0) } else { left[0].clone() }
        })
        .await
    }

    /// Decides by the request.
    pub(crate) async fn answers(decide: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", decide).await
    }

    /// Decides by the request, at this address.
    pub(crate) async fn at(addr: &str, decide: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(addr).await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let (seen, connections, release) =
            (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)), Arc::new(Notify::new()));
        let (log, count, bell, decide) = (seen.clone(), connections.clone(), release.clone(), Arc::new(decide));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                *count.lock().expect("count") += 1;
                let (log, bell, decide) = (log.clone(), bell.clone(), decide.clone());
                open.spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    log.lock().expect("log").push(request.clone());
                    play(stream, decide(&request), &bell).await;
                });
            }
        });
        Self { url, seen, connections, release, _tasks: tasks }
    }

    /// A port nobody listens on.
    pub(crate) async fn absent() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        format!("http://{}", listener.local_addr().expect("address"))
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("seen").clone()
    }

    /// The requests as `METHOD target`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub(crate) fn connections(&self) -> u32 {
        *self.connections.lock().expect("connections")
    }

    /// Waits until so many requests were read.
    pub(crate) async fn has_seen(&self, count: usize) {
        while self.seen().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) async fn play(mut stream: impl AsyncWriteExt + Unpin, act: Act, release: &Notify) {
    match act {
        Act::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::Close => {}
        Act::Hang => std::future::pending().await,
        Act::Endless(first, again) => {
            let _ = stream.write_all(&first).await;
            while stream.write_all(&again).await.is_ok() {}
        }
        Act::Drip => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec();
            Box::pin(play(stream, Act::Trickle(head), release)).await;
        }
        Act::Trickle(first) => {
            let _ = stream.write_all(&first).await;
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b"x").await.is_ok() {
                tick.tick().await;
            }
        }
        Act::Held(bytes) => {
            release.notified().await;
            let _ = stream.write_all(&bytes).await;
        }
    }
}

/// One whole request; `None` when the connection ended before.
pub(crate) async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let seen = Seen { head, body: String::new() };
            let length: usize = seen.header("content-length").map_or(0, |text| text.parse().expect("length"));
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&bytes[end + 4..end + 4 + length]).into_owned();
                return Some(Seen { body, ..seen });
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

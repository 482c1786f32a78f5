//! A server on the loopback that is down for a while, and remembers who called when.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// One request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    pub(crate) lane: usize,
    pub(crate) number: usize,
    pub(crate) answered: bool,
}

/// Gone when dropped.
pub(crate) struct Partner {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Call>>>,
    _tasks: JoinSet<()>,
}

impl Partner {
    /// Answers so many calls, then is down for so long: half of the calls get a 503, half no answer at all.
    pub(crate) async fn down_after(calls: usize, outage: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, Arc::clone(&log), calls, outage));
            }
        });
        Self { url, seen, _tasks: tasks }
    }

    /// Every call so far, in the order they came.
    pub(crate) fn seen(&self) -> Vec<Call> {
        self.seen.lock().expect("log").clone()
    }
}

/// `GET /get/<lane>-<number>`
async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<Call>>>, calls: usize, outage: Duration) {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let name = text.split(' ').nth(1).and_then(|path| path.strip_prefix("/get/")).expect("a path");
    let (lane, number) = name.split_once('-').expect("lane and number");
    let at = Instant::now();
    let count = {
        let mut log = log.lock().expect("log");
        let down =
            log.get(calls).is_some_and(|first: &Call| at.duration_since(first.at) < outage) || log.len() == calls;
        let (lane, number) = (lane.parse().expect("lane"), number.parse().expect("number"));
        log.push(Call { at, lane, number, answered: !down });
        if down { Some(log.len()) } else { None }
    };
    let answer = match count {
        None => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        Some(count) if count % 2 == 0 => "HTTP/1.1 503 X\r\ncontent-length: 2\r\n\r\n{}",
        Some(_) => return,
    };
    // A caller that is gone needs no answer.
    let _gone = stream.write_all(answer.as_bytes()).await;
    let _gone = stream.shutdown().await;
}

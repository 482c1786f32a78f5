//! Something inside that nobody outside may reach: it listens on both loopbacks and counts who comes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The sink; gone when dropped.
pub(crate) struct Sink {
    /// The same on `127.0.0.1` and `::1`.
    pub(crate) port: u16,
    peers: Arc<Mutex<BTreeSet<SocketAddr>>>,
    _tasks: JoinSet<()>,
}

const BOTH: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

impl Sink {
    pub(crate) async fn open() -> Self {
        let peers = Arc::new(Mutex::new(BTreeSet::new()));
        let mut tasks = JoinSet::new();
        let (port, listeners) = listeners().await;
        for listener in listeners {
            let seen = peers.clone();
            tasks.spawn(async move {
                while let Ok((_, peer)) = listener.accept().await {
                    seen.lock().expect("peers").insert(peer);
                }
            });
        }
        Self { port, peers, _tasks: tasks }
    }

    pub(crate) fn listens(&self) -> Vec<SocketAddr> {
        BOTH.map(|ip| SocketAddr::new(ip, self.port)).to_vec()
    }

    /// How many came before now. Who connects is served in order, so a visitor of our own closes the count.
    pub(crate) async fn connections(&self) -> usize {
        let mut own = Vec::new();
        for addr in self.listens() {
            own.push(TcpStream::connect(addr).await.expect("the sink listens"));
        }
        let own: Vec<SocketAddr> = own.iter().map(|stream| stream.local_addr().expect("address")).collect();
        loop {
            let peers = self.peers.lock().expect("peers").clone();
            if own.iter().all(|addr| peers.contains(addr)) {
                self.peers.lock().expect("peers").retain(|addr| !own.contains(addr));
                return peers.len() - own.len();
            }
            tokio::task::yield_now().await;
        }
    }
}

/// One port that is free on both.
async fn listeners() -> (u16, Vec<TcpListener>) {
    loop {
        let four = TcpListener::bind((BOTH[0], 0)).await.expect("IPv4 loopback");
        let port = four.local_addr().expect("address").port();
        match TcpListener::bind((BOTH[1], port)).await {
            Ok(six) => return (port, vec![four, six]),
            Err(err) if err.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(err) => panic!("these tests need the IPv6 loopback: {err}"),
        }
    }
}

#[tokio::test]
async fn the_sink_sees_whoever_comes_on_either_side() {
    let sink = Sink::open().await;
    assert_eq!(sink.connections().await, 0);
    for (count, addr) in sink.listens().into_iter().enumerate() {
        drop(TcpStream::connect(addr).await.expect("connect"));
        assert_eq!(sink.connections().await, count + 1);
    }
}

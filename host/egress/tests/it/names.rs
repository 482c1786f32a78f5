//! A name server on the loopback that lies as told, and the stub that asks it. The stub trusts whatever comes: checking
//! is the door's work.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use wharf_egress::Resolve;

/// One record of an answer, with a time to live of 0.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    Ip(IpAddr),
    /// The records behind it belong to this name.
    Alias(&'static str),
}

/// What is said to one question; `None`: nothing, ever.
type Say = Option<Vec<Record>>;

/// The server; gone when dropped.
pub(crate) struct Names {
    addr: SocketAddr,
    says: Arc<Mutex<Vec<Say>>>,
    asked: Arc<Mutex<u32>>,
    _tasks: JoinSet<()>,
}

/// Addresses as records.
pub(crate) fn ips(texts: &[&str]) -> Say {
    Some(texts.iter().map(|text| Record::Ip(text.parse().expect(text))).collect())
}

impl Names {
    pub(crate) async fn open() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let addr = socket.local_addr().expect("address");
        let (says, asked) = (Arc::new(Mutex::new(vec![ips(&["127.0.0.1"])])), Arc::new(Mutex::new(0)));
        let (left, count) = (says.clone(), asked.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut question = [0; 512];
            while let Ok((size, peer)) = socket.recv_from(&mut question).await {
                *count.lock().expect("count") += 1;
                let say = {
                    let mut left = left.lock().expect("says");
                    if left.len() > 1 { left.remove(0) } else { left[0].clone() }
                };
                if let Some(records) = say {
                    let _ = socket.send_to(&reply(&question[..size], &records), peer).await;
                }
            }
        });
        Self { addr, says, asked, _tasks: tasks }
    }

    /// Says these in order, one per question whatever the name; the last one again and again.
    pub(crate) fn say(&self, says: Vec<Say>) {
        *self.says.lock().expect("says") = says;
    }

    /// Questions since the last time.
    pub(crate) fn asked(&self) -> u32 {
        std::mem::take(&mut *self.asked.lock().expect("count"))
    }

    pub(crate) fn stub(&self) -> Arc<dyn Resolve> {
        Arc::new(Stub(self.addr))
    }
}

/// RFC 1035, section 4: header, the question again, records that point at it.
fn reply(question: &[u8], records: &[Record]) -> Vec<u8> {
    let mut out = question[..2].to_vec();
    out.extend([0x81, 0x80, 0, 1]);
    out.extend(u16::try_from(records.len()).expect("records").to_be_bytes());
    out.extend([0; 4]);
    out.extend(&question[12..]);
    let mut owner = vec![0xc0, 12];
    for record in records {
        let (kind, data) = match record {
            Record::Ip(IpAddr::V4(ip)) => (A, ip.octets().to_vec()),
            Record::Ip(IpAddr::V6(ip)) => (AAAA, ip.octets().to_vec()),
            Record::Alias(name) => (CNAME, labels(name)),
        };
        out.extend(&owner);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 0]);
        out.extend(u16::try_from(data.len()).expect("data").to_be_bytes());
        out.extend(&data);
        if matches!(record, Record::Alias(_)) {
            owner = data;
        }
    }
    out
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const ANY: u16 = 255;

fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.trim_end_matches('.').split('.') {
        out.push(u8::try_from(label.len()).expect("label"));
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

/// Asks once, for every kind of record.
struct Stub(SocketAddr);

#[async_trait]
impl Resolve for Stub {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(labels(name));
        question.extend(ANY.to_be_bytes());
        question.extend([0, 1]);
        socket.send_to(&question, self.0).await?;
        let mut answer = vec![0; 65_535];
        let size = socket.recv(&mut answer).await?;
        Ok(addresses(&answer[..size], question.len()).expect("an answer"))
    }
}

fn addresses(answer: &[u8], mut at: usize) -> Option<Vec<IpAddr>> {
    let number = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    let mut found = Vec::new();
    for _ in 0..number(6)? {
        while *answer.get(at)? != 0 && *answer.get(at)? < 0xc0 {
            at += usize::from(answer[at]) + 1;
        }
        at += if answer[at] == 0 { 1 } else { 2 };
        let (kind, size) = (number(at)?, usize::from(number(at + 8)?));
        let data = answer.get(at + 10..at + 10 + size)?;
        match kind {
            A => found.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
            AAAA => found.push(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
            _ => {}
        }
        at += 10 + size;
    }
    Some(found)
}

//! Three hosts on one PostgreSQL, with short leases and clocks that are ten minutes wrong.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use wharf_feeder::proxy::{Proxy, Way};
use wharf_feeder::siege::{Camp, Database, bad_day};
use wharf_scratch_postgres::{Server, Settings};
use wharf_tests::Program;

const HOSTS: [(&str, &str); 3] = [("a", "0"), ("b", "600000"), ("c", "-600000")];
const LEASE: Duration = Duration::from_secs(3);
/// What a host has done before something happens to it.
const CALLS: usize = 12;

struct Trio {
    camp: Camp,
    hosts: Vec<Program>,
}

impl Trio {
    /// `second_database` is how the second host reaches the database, when that is another way.
    async fn begin(server: &Server, way: impl Fn(String) -> String) -> Result<Self> {
        let seed = u64::from(std::process::id());
        let program = Path::new(env!("CARGO_BIN_EXE_wharf-feeder"));
        let camp = Camp::pitch(program, Database::postgres(server)?, seed, &bad_day()).await?;
        let mut hosts = Vec::new();
        for (name, offset) in HOSTS {
            let mut command = camp.command(name);
            command.args(["--lanes", "3", "--clock-offset-ms", offset]);
            command.args(["--lease-ms", &LEASE.as_millis().to_string()]);
            if name == "b" {
                command.args(["--database", &way(camp.database())]);
            }
            hosts.push(camp.start(name, command)?);
        }
        Ok(Self { camp, hosts })
    }

    /// Returns when the host has got some work done since it was last asked: how much depends on the machine.
    fn at_work(&self, name: &str) -> Result<()> {
        let before = self.camp.heard_by(name)?;
        let began = Instant::now();
        while self.camp.heard_by(name)? < before + CALLS {
            ensure!(began.elapsed() < Duration::from_secs(30), "host `{name}` does nothing");
            pause(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Stops the hosts, sees the rest through with one of them after the other, and asks the checker.
    async fn end(mut self, least: usize) -> Result<()> {
        for host in &mut self.hosts {
            assert_eq!(host.stop()?, Some(0), "{}", host.tail());
        }
        for (name, offset) in HOSTS {
            let heard = self.camp.heard_by(name)?;
            assert!(
                heard >= 2 * CALLS,
                "host `{name}`, {offset} ms ahead, has made {heard} calls: its clock keeps it from work"
            );
            self.camp.see_through(name)?;
        }
        let report = self.camp.verdict().await?;
        println!("seed {} · accepted {} · {report}", self.camp.seed, report.accepted);
        assert!(report.accepted > least, "{} orders: the test proves too little", report.accepted);
        Ok(())
    }
}

fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Two hosts never act on one lease: one that stood still for two leases finds that others have its work, and what it
/// was about to send or to store is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_a_host_that_stands_still_for_two_leases_sends_nothing_twice() -> Result<()> {
    let server = Server::start(&Settings::durable())?;
    let trio = Trio::begin(&server, |database| database).await?;
    for round in 0..6 {
        trio.at_work(HOSTS[round % HOSTS.len()].0)?;
        let host = &trio.hosts[round % HOSTS.len()];
        host.signal("STOP")?;
        pause(2 * LEASE + Duration::from_millis(500));
        host.signal("CONT")?;
    }
    pause(LEASE);
    trio.end(300).await
}

/// Two hosts never act on one lease: one that is cut off from the database for longer than its lease stops working on
/// what others may have by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_a_host_that_is_cut_off_from_the_database_sends_nothing_twice() -> Result<()> {
    let server = Server::start(&Settings::durable())?;
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await?;
    let (real, other) = (format!(":{}/", server.port()), format!(":{}/", proxy.port));
    let trio = Trio::begin(&server, |database| database.replace(&real, &other)).await?;
    for way in [Way::Still, Way::Closed, Way::Still, Way::Closed] {
        trio.at_work("b")?;
        proxy.set(way);
        pause(2 * LEASE + Duration::from_millis(500));
        proxy.set(Way::Open);
    }
    pause(LEASE);
    trio.end(300).await
}

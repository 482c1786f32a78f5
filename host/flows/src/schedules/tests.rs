use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;
use wharf_domain::ids::IdSource;
use wharf_domain::time::ManualClock;
use wharf_scratch_postgres::{Database, Server};

use super::*;
use crate::testing::House;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const START: i64 = 1_700_000_000_000;

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("tenant")
}

fn when(toml: &str) -> Schedule {
    serde_json::from_str(toml).expect("schedule")
}

fn hourly() -> Schedule {
    when(r#"{"every_seconds":3600}"#)
}

/// One host: its own view of the time, and its own connections.
struct Host {
    db: Db,
    clock: Arc<ManualClock>,
    ticker: Ticker,
}

impl Host {
    fn new(db: Db, clock: Arc<ManualClock>, list: &[Scheduled]) -> Self {
        Self { ticker: Ticker::new(db.clone(), list.to_vec()), db, clock }
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// Hosts on one PostgreSQL.
async fn on_postgres(list: &[Scheduled], hosts: usize) -> (Database, Vec<Host>) {
    let database = tokio::task::spawn_blocking(|| Server::shared().and_then(|server| server.database()));
    let database = database.await.expect("ran").expect("a PostgreSQL server");
    let ids = Arc::new(Counted::default());
    let mut all = Vec::new();
    for _ in 0..hosts {
        let clock = Arc::new(ManualClock::at(START));
        let db = Db::open_postgres_with_own_clock(&database.url(), clock.clone(), ids.clone()).await.expect("open");
        db.migrate().await.expect("migrate");
        all.push(Host::new(db, clock, list));
    }
    (database, all)
}

/// The jobs a schedule has asked for since the last look, which are then done.
async fn asked(db: &Db) -> usize {
    let jobs = jobs::claim(db, "w", MINUTE, 100).await.expect("claim");
    let mut tx = db.begin().await.expect("begin");
    let lost = jobs::finish_done(&mut tx, &jobs.iter().collect::<Vec<_>>()).await.expect("finish");
    tx.commit().await.expect("commit");
    assert!(lost.is_empty());
    jobs.len()
}

async fn fired(db: &Db, of: &Scheduled) -> BTreeSet<i64> {
    let ticks = store::ticks(db, &of.tenant, of.task.name(), 10_000).await.expect("ticks");
    ticks.into_iter().map(Timestamp::millis).collect()
}

#[tokio::test]
async fn a_schedule_fires_at_once_then_at_its_pace_and_never_piles_up() {
    let house = House::new().await;
    let mut list = schedules([(tenant("nordic"), 5), (tenant("baltic"), 60)], hourly()).expect("list");
    list.remove(0);
    let mut ticker = Ticker::new(house.db.clone(), list);
    let waiting = async || jobs::counts(&house.db).await.expect("counts").unfinished();
    assert_eq!(ticker.tick().await, Duration::from_secs(5));
    assert_eq!(waiting().await, 2);
    house.clock.advance(4_999);
    assert_eq!(ticker.tick().await, Duration::from_millis(1));
    house.clock.advance(60_000);
    ticker.tick().await;
    assert_eq!(waiting().await, 2, "a pull that has not started does for every firing since");
    house.drain().await;
    assert_eq!(waiting().await, 0);
    house.clock.advance(5_000);
    ticker.tick().await;
    assert_eq!(waiting().await, 1, "only the one that is due");
}

#[tokio::test]
async fn a_restart_goes_on_where_the_store_says_and_a_pause_fires_nothing() {
    let house = House::new().await;
    let list = schedules([(tenant("nordic"), 60)], hourly()).expect("list").split_off(1);
    Ticker::new(house.db.clone(), list.clone()).tick().await;
    assert_eq!(asked(&house.db).await, 1);
    Ticker::new(house.db.clone(), list.clone()).tick().await;
    assert_eq!(asked(&house.db).await, 0, "this tick was fired before the restart");
    let pause = async |paused| {
        let mut tx = house.db.begin().await.expect("begin");
        let actor = crate::testing::actor();
        store::set_paused(&mut tx, &actor, &list[0].tenant, intake::PULL, paused).await.expect("pause");
        tx.commit().await.expect("commit");
    };
    let mut ticker = Ticker::new(house.db.clone(), list.clone());
    pause(true).await;
    house.clock.advance(10 * MINUTE);
    ticker.tick().await;
    assert_eq!(asked(&house.db).await, 0);
    pause(false).await;
    house.clock.advance(SOON_MS);
    ticker.tick().await;
    assert_eq!(asked(&house.db).await, 1, "the newest stands for all that were missed");
}

/// Steps a clock through every kind of leap, and holds after each: what was asked for is what was newly written down,
/// nothing fires ahead of its time, and time that passes normally fires every tick.
async fn leaps(mut host: Host, of: &Scheduled) {
    let mut known = BTreeSet::new();
    let mut step = async |ms: i64| {
        host.clock.advance(ms);
        host.ticker.tick().await;
        let fired = fired(&host.db, of).await;
        let new: Vec<i64> = fired.difference(&known).copied().collect();
        assert_eq!(asked(&host.db).await, new.len(), "a job for each tick and a tick for each job, after {ms}");
        let now = host.db.now().millis();
        assert!(new.iter().all(|tick| *tick <= now), "early after {ms}: {new:?} at {now}");
        known = fired;
        new.len()
    };
    assert_eq!(step(0).await, 1, "a pace starts at once");
    for leap in [HOUR, -HOUR, 400 * DAY, -400 * DAY, 30 * DAY, -DAY / 2, DAY / 2, 1_000, -1_000, -400 * DAY, 400 * DAY]
    {
        step(leap).await;
        // Whatever happened, every minute that is new ticks again; one that ticked before does not.
        for _ in 0..3 {
            step(MINUTE).await;
        }
    }
    // Far from all that was: each minute once, whether the clock stutters or not.
    step(3 * 365 * DAY).await;
    let mut fired = 0;
    for _ in 0..20 {
        fired += step(MINUTE).await;
        fired += step(-30_000).await;
        fired += step(30_000).await;
    }
    assert_eq!(fired, 20);
}

/// Clock jumps are harmless: no timer is early and none fires twice.
#[tokio::test]
async fn p18_a_tick_fires_once_and_never_early_however_the_clock_leaps_on_sqlite() {
    let list = schedules([(tenant("nordic"), 60)], hourly()).expect("list").split_off(1);
    let house = House::new().await;
    let host = Host::new(house.db.clone(), house.clock.clone(), &list);
    Box::pin(leaps(host, &list[0])).await;
}

/// Clock jumps are harmless: no timer is early and none fires twice.
#[tokio::test]
async fn p18_a_tick_fires_once_and_never_early_however_the_clock_leaps_on_postgres() {
    let list = schedules([(tenant("nordic"), 60)], hourly()).expect("list").split_off(1);
    let (_database, mut hosts) = on_postgres(&list, 1).await;
    Box::pin(leaps(hosts.remove(0), &list[0])).await;
}

/// Clock jumps are harmless: hosts whose clocks disagree fire each tick once between them.
#[tokio::test]
async fn p18_two_hosts_on_one_database_fire_each_tick_once() {
    let list = schedules([(tenant("nordic"), 60)], hourly()).expect("list").split_off(1);
    let (_database, mut hosts) = on_postgres(&list, 2).await;
    let (mut one, mut two) = (hosts.remove(0), hosts.remove(0));
    let (mut jobs, mut minute) = (0, 0);
    // In step, then ten minutes apart either way, then one of them a day ahead and back.
    for skew in [0, 10 * MINUTE, -20 * MINUTE, DAY, -DAY] {
        two.clock.advance(skew);
        for _ in 0..10 {
            minute += 1;
            one.clock.advance(MINUTE);
            two.clock.advance(MINUTE);
            tokio::join!(one.ticker.tick(), two.ticker.tick());
            jobs += asked(&one.db).await;
        }
    }
    let fired = fired(&one.db, &list[0]).await;
    assert!(fired.len() >= minute / 2, "{} of {minute} minutes", fired.len());
    assert!(jobs <= fired.len(), "{jobs} jobs for {} ticks", fired.len());
    // Two ticks of one round may share a job that has not started; never two jobs one tick.
    assert!(jobs * 2 >= fired.len(), "{jobs} jobs for {} ticks", fired.len());
}

#[tokio::test]
async fn missed_ticks_of_a_cron_are_made_up_for_from_the_moment_it_came_into_being() {
    let house = House::new().await;
    let when = when(r#"{"cron":"0 3 * * *","zone":"Europe/Berlin","missed":{"run_all":{"at_most":5}}}"#);
    let nightly = Scheduled { tenant: TenantId::host(), task: Task::Retention, when };
    let list = std::slice::from_ref(&nightly);
    Ticker::new(house.db.clone(), list.to_vec()).tick().await;
    assert_eq!(fired(&house.db, &nightly).await.len(), 0, "cron waits for its next tick");
    house.clock.advance(3 * DAY);
    Ticker::new(house.db.clone(), list.to_vec()).tick().await;
    assert_eq!(fired(&house.db, &nightly).await.len(), 3, "the host was down for three nights");
}

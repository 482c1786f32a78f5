//! Promise 24: what was stored for a job and cannot be read any more is in front of a person, who can mend it.
//!
//! Orders are worked on up to a job of each kind in turn; its payload is damaged in the database, as a broken disk or a
//! careless hand would, and the queue goes on. Every damage that can be seen parks the job with the reason and an open
//! exception that names it; with the payload as it was, the same job then does what it was to do.

#![expect(clippy::expect_used, reason = "a failing set-up fails the test")]

mod house;
mod outside;

use serde_json::Value;
use wharf_domain::exception::PAYLOAD_UNREADABLE;
use wharf_flows::{intake, retention, runner};
use wharf_store::jobs::{self, JobState};
use wharf_store::{audit, exceptions};

use house::{House, Place, tenant};

/// Every kind of job this host knows how to do, and the least number of damages of its payload that can be seen. The
/// payloads of the last two are not read: only what is no JSON at all is wrong with them.
const KINDS: [(&str, usize); 10] = [
    (runner::ADVANCE, 5),
    (runner::READ_ORDER, 5),
    (runner::RATE, 5),
    (runner::CREATE_SHIPMENT, 5),
    (runner::SET_SHIPPING, 5),
    (runner::ATTACH, 5),
    (runner::NOTE, 5),
    (runner::VOID, 5),
    (intake::PULL, 2),
    (retention::SWEEP, 2),
];

#[tokio::test]
async fn p24_a_payload_nobody_can_read_is_an_exception_and_can_be_mended() {
    Box::pin(every_kind(House::new(Place::folder()).await)).await;
}

#[tokio::test]
async fn p24_a_payload_nobody_can_read_is_an_exception_and_can_be_mended_on_postgres() {
    Box::pin(every_kind(House::new(Place::server().await).await)).await;
}

async fn every_kind(house: House) {
    let known: Vec<String> = house.registry(None).kinds().map(str::to_owned).collect();
    let mut listed = KINDS.map(|(kind, _)| kind);
    listed.sort_unstable();
    assert_eq!(known, listed, "a kind of job without damaged payloads");
    for (kind, least) in KINDS {
        let mut seen = 0;
        // One payload tells what its damages are; each is then done to a job of its own.
        for damage in 0.. {
            let job = house.up_to(kind).await;
            let whole = house.payload(&job).await;
            let Some(damaged) = damages(&whole).into_iter().nth(damage) else {
                house.go_on().await;
                break;
            };
            house.damage(&job, &damaged).await;
            house.go_on().await;
            seen += usize::from(seen_and_mended(&house, &job, &whole, &damaged).await);
            house.nothing_left_behind().await;
        }
        assert!(seen >= least, "{seen} damages of `{kind}` were seen");
    }
}

/// Cut short at several places, and with one bit changed at several places. SQLite and PostgreSQL both refuse what is no
/// UTF-8, so that is left out.
fn damages(payload: &str) -> Vec<String> {
    let bytes = payload.as_bytes();
    let mut all: Vec<Vec<u8>> = (0..3).map(|part| bytes[..bytes.len() * part / 3].to_vec()).collect();
    all.push(bytes[..bytes.len().saturating_sub(1)].to_vec());
    let step = (bytes.len() / 3).max(1);
    for (index, at) in (0..bytes.len()).step_by(step).enumerate() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (index % 7);
        all.push(flipped);
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    all.into_iter().filter_map(text).collect()
}

/// False when the damage gave another payload that makes sense: then the job did what that one says.
async fn seen_and_mended(house: &House, job: &house::Stopped, whole: &str, damaged: &str) -> bool {
    let row = jobs::get(&house.db, &job.id).await.expect("get").expect("an accepted job is there");
    if row.state != JobState::Parked {
        assert!(serde_json::from_str::<Value>(damaged).is_ok(), "{damaged} was read as JSON");
        return false;
    }
    let fault = row.fault.expect("a parked job says why");
    assert!(fault.is_of_payload(), "{}: {fault}", row.kind);
    let open = exceptions::open(&house.db, &tenant()).await.expect("open");
    let told = open.iter().find(|row| row.code == PAYLOAD_UNREADABLE).expect("a person is told");
    assert_eq!(told.object, format!("job/{}", job.id));
    assert!(told.cause.contains(&fault.message) && told.cause.contains("--payload"), "{}", told.cause);
    assert_eq!(told.actions, ["replay", "cancel"]);

    // As it is it cannot be done, and the person is told once more.
    if damaged.is_empty() {
        let mut tx = house.db.begin().await.expect("begin");
        runner::choose(&mut tx, &house::actor(), told, "replay").await.expect("an action of it");
        tx.commit().await.expect("commit");
        house.go_on().await;
        let again = exceptions::open(&house.db, &tenant()).await.expect("open");
        assert!(again.iter().any(|row| row.code == PAYLOAD_UNREADABLE && row.id != told.id), "{again:?}");
    }

    let mut tx = house.db.begin().await.expect("begin");
    let payload: Value = serde_json::from_str(whole).expect("it was JSON");
    jobs::mend(&mut tx, &house::actor(), &job.id, &payload).await.expect("mended");
    jobs::replay(&mut tx, &house::actor(), &job.id).await.expect("replayed");
    tx.commit().await.expect("commit");
    house.go_on().await;
    let row = jobs::get(&house.db, &job.id).await.expect("get").expect("it is there");
    assert_eq!(row.state, JobState::Done, "`{}` after it was mended: {:?}", row.kind, row.fault);
    let trail = audit::for_object(&house.db, &tenant(), &format!("job/{}", job.id)).await.expect("audit");
    assert!(trail.iter().any(|row| row.action == "job.mended"), "the audit says who did it");
    true
}

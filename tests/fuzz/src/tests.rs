//! The hunter is shown prey.

use tempfile::TempDir;

use super::*;

fn target(time: u64) -> Target {
    let setup = Setup { time: Duration::from_millis(time), seed: 7, input: None };
    Target { name: "prey", seeds: vec![b"size=1;name=x".to_vec()], words: vec![b"key".to_vec()], longest: 64, setup }
}

/// Hunts in a folder of its own; gives back what the panic said, and the folder.
fn hunt(target: &Target, look: &dyn Fn(&[u8]) -> u64) -> (Option<String>, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let keep = Keep::within(folder.path().to_owned()).expect("kept");
    let caught = keep::quietly(|| {
        catch_unwind(AssertUnwindSafe(|| {
            let mut hunt = Hunt::new(target, keep);
            hunt.go(look);
            hunt.close();
        }))
    });
    (caught.err().map(|said| *said.downcast::<String>().expect("a text")), folder)
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).expect("files");
    entries.map(|entry| entry.expect("file").file_name().into_string().expect("name")).collect()
}

#[test]
fn a_panic_deep_behind_other_checks_is_found_kept_and_made_small() {
    // Each step is told by how it ends, so that the next one starts from there.
    let look = |input: &[u8]| {
        let steps = [b"k".as_slice(), b"ke", b"key", b"key\xff"];
        let reached = steps.iter().take_while(|step| input.windows(step.len()).any(|part| part == **step)).count();
        assert!(reached < 4, "found");
        reached as u64
    };
    let (said, folder) = hunt(&target(20_000), &look);
    let said = said.expect("a finding");
    assert!(said.contains("it panicked") && said.contains("cargo xtask fuzz --target prey --input"), "{said}");
    let files = files(&folder);
    assert!(files.len() == 1 && files[0].starts_with("finding-"), "{files:?}");
    assert_eq!(std::fs::read(folder.path().join(&files[0])).expect("kept"), b"key\xff");
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let inputs = || {
        let target = target(0);
        let folder = TempDir::new().expect("a folder");
        let mut hunt = Hunt::new(&target, Keep::within(folder.path().to_owned()).expect("kept"));
        hunt.pool = target.seeds.clone();
        (0..500).map(|_| hunt.changed()).collect::<Vec<_>>()
    };
    let (once, again) = (inputs(), inputs());
    assert_eq!(once, again);
    assert!(once.iter().all(|input| input.len() <= 64));
    assert!(once.iter().collect::<HashSet<_>>().len() > 400, "they differ among themselves");
}

#[test]
fn a_clean_run_leaves_a_report_and_nothing_else() {
    let (said, folder) = hunt(&target(50), &|input| input.len() as u64);
    assert_eq!(said, None);
    assert_eq!(files(&folder), ["report.json"]);
    let report = std::fs::read_to_string(folder.path().join("report.json")).expect("report");
    assert!(report.starts_with(r#"{"executions":"#), "{report}");
}

#[test]
fn a_target_that_reads_nothing_does_not_pass() {
    let (said, _folder) = hunt(&target(20), &|_| 1);
    assert!(said.expect("it fails").contains("ended the same way"));
}

#[test]
fn an_end_of_the_process_leaves_the_input_behind() {
    let folder = TempDir::new().expect("a folder");
    let mut keep = Keep::within(folder.path().to_owned()).expect("kept");
    keep.about_to_look_at(b"a long one").expect("written");
    keep.about_to_look_at(b"short").expect("written");
    drop(keep);
    assert_eq!(std::fs::read(folder.path().join("now")).expect("it is there"), b"short");
}

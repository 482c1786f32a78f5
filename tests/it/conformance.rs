//! The shipped adapters against recorded exchanges of the real systems, by `wharf adapter call` as a partner would run
//! it. The recordings stay where they are; without them these tests say so and pass.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use wharf_tests::binary;

use crate::guest::repo;

/// The folder of recorded exchanges of one system; `None` when it is not on this machine.
fn recordings(system: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("WHARF_SHARED").map_or_else(|| repo().join("../shared"), PathBuf::from);
    let folder = shared.join("carriers/fixtures").join(system);
    if !folder.is_dir() {
        println!("skipped: recorded exchanges not found at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// Exit code and answer of one operation.
fn call(adapter: &str, operation: &str, args: &[&str]) -> anyhow::Result<(Option<i32>, Value)> {
    let file = repo().join(format!("target/adapters/{adapter}.wasm"));
    anyhow::ensure!(file.is_file(), "`{}` is missing: run `cargo xtask adapters`", file.display());
    let output =
        Command::new(binary("wharf")?).args(["adapter", "call"]).arg(file).arg(operation).args(args).output()?;
    let answer = serde_json::from_slice(&output.stdout).map_err(|e| {
        anyhow::anyhow!("no JSON ({e}) and on standard error: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    Ok((output.status.code(), answer))
}

/// What a recorded exchange must come to: exit code, and values by JSON pointer.
type Row<'a> = (&'a str, &'a str, &'a [&'a str], i32, &'a [(&'a str, Value)]);

fn check(adapter: &str, rows: &[Row<'_>]) -> anyhow::Result<()> {
    let Some(folder) = recordings(adapter) else { return Ok(()) };
    for (file, operation, more, code, wanted) in rows {
        let path = folder.join(file).display().to_string();
        let mut args = vec!["--json", "--replay", &path];
        args.extend(*more);
        let (exit, answer) = call(adapter, operation, &args)?;
        assert_eq!(exit, Some(*code), "{file}: {answer:#}");
        for (pointer, value) in *wanted {
            assert_eq!(answer.pointer(pointer), Some(value), "{file} at {pointer}: {answer:#}");
        }
        let text = answer["requests"].to_string();
        assert!(text.contains("{{secret:oauth.token}}"), "{file}: secrets stand as names in {text}");
    }
    Ok(())
}

#[test]
fn ups_prices() -> anyhow::Result<()> {
    check(
        "ups",
        &[
            (
                "rates/success.json",
                "rates.rate",
                &[],
                0,
                &[
                    ("/ok/rates/0/service", json!("01")),
                    ("/ok/rates/0/total", json!({"amount": "261.10", "currency": "USD"})),
                    ("/ok/rates/0/transit_days", json!(1)),
                    ("/ok/messages/0/code", json!("110971")),
                ],
            ),
            (
                // Recorded with one service asked for: the adapter's second example fits.
                "rates/ground_saver_success.json",
                "rates.rate",
                &[],
                0,
                &[("/ok/rates/0/service", json!("03"))],
            ),
            // The account pays the negotiated price; the published one stands beside it.
            (
                "bodies/rates_with_negotiated_charges.json",
                "rates.rate",
                &[],
                0,
                &[("/ok/rates/0/total/currency", json!("USD")), ("/ok/rates/0/list_total/currency", json!("USD"))],
            ),
            (
                "rates/invalid_request.json",
                "rates.rate",
                &[],
                3,
                &[
                    ("/fault/kind", json!("invalid-input")),
                    ("/fault/code", json!("ups.112111")),
                    ("/fault/effect", json!("none")),
                    ("/fault/retryable", json!(false)),
                ],
            ),
        ],
    )
}

#[test]
fn ups_labels() -> anyhow::Result<()> {
    check(
        "ups",
        &[
            (
                "shipment/prepaid_two_packages.json",
                "labels.create-shipment",
                &[],
                0,
                &[
                    ("/ok/parcels/0/documents/0/format", json!("gif")),
                    ("/ok/parcels/1/documents/0/kind", json!("label")),
                    ("/ok/carrier_shipment_id", json!("1ZXXXXXXXXXXXXXXXX")),
                ],
            ),
            ("shipment/ground_saver.json", "labels.create-shipment", &[], 0, &[("/ok/billed_weight_g", json!(2268))]),
            (
                "shipment/failure.json",
                "labels.create-shipment",
                &[],
                3,
                &[
                    ("/fault/kind", json!("invalid-input")),
                    ("/fault/fields/0/path", json!("ship_to.lines[0]")),
                    ("/fault/provider/code", json!("120202")),
                ],
            ),
            ("shipment/city_name.json", "labels.create-shipment", &[], 3, &[("/fault/code", json!("ups.120802"))]),
            ("void/success.json", "labels.void", &[], 0, &[("/ok/already", json!(false))]),
        ],
    )
}

#[test]
fn ups_tracking() -> anyhow::Result<()> {
    check(
        "ups",
        &[
            (
                "track_converted/2nd_trk_number.json",
                "tracking.track",
                &[],
                0,
                &[
                    ("/ok/0/trackers/0/phase", json!("delivered")),
                    ("/ok/0/trackers/0/signed_by", json!("D. DELUISE")),
                    ("/ok/0/trackers/0/terminal", json!(true)),
                ],
            ),
            (
                "track_converted/transit.json",
                "tracking.track",
                &[],
                0,
                &[
                    ("/ok/0/trackers/0/phase", json!("in-transit")),
                    // Local time without an offset stays without one.
                    ("/ok/0/trackers/0/events/0/occurred_at/value", json!("2010-05-05T01:00:00")),
                ],
            ),
        ],
    )
}

/// UPS was seen to answer a purchase with 200, a header `errorcode: 1` and no body.
#[test]
fn an_empty_answer_to_a_purchase_is_an_unknown_outcome() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("empty.json");
    let exchange = json!({ "exchanges": [{
        "request": { "method": "POST", "uri": "https://wwwcie.ups.com/api/shipments/v2205/ship", "headers": {}, "body": "" },
        "response": { "status": 200, "headers": { "errorcode": "1" }, "body": "" },
    }]});
    std::fs::write(&file, exchange.to_string())?;
    let (code, answer) = call("ups", "labels.create-shipment", &["--json", "--replay", &file.display().to_string()])?;
    assert_eq!(code, Some(3), "{answer:#}");
    assert_eq!(answer["fault"]["kind"], "outcome-unknown");
    assert_eq!(answer["fault"]["effect"], "maybe");
    assert_eq!(answer["fault"]["retryable"], false);
    Ok(())
}

#[test]
fn a_request_that_was_not_recorded_is_named() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("none.json");
    std::fs::write(&file, r#"{"exchanges":[]}"#)?;
    let (code, answer) = call("ups", "tracking.track", &["--replay", &file.display().to_string()])?;
    assert_eq!(code, Some(0), "one number's fault is that number's: {answer:#}");
    let message = answer["ok"][0]["fault"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("GET /api/track/v1/details/"), "{message}");
    Ok(())
}

#[test]
fn input_that_does_not_fit_names_the_field_and_never_reaches_the_adapter() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("input.json");
    std::fs::write(&file, r#"{"numbers":["1Z",7]}"#)?;
    let (code, answer) = call("ups", "tracking.track", &["--input", &file.display().to_string()])?;
    assert_eq!(code, Some(2), "{answer:#}");
    assert_eq!(answer["fault"]["fields"][0]["path"], "numbers[1]");
    Ok(())
}

/// Neither a parser nor the host falls over what no honest system writes.
#[test]
fn c7_input_that_is_too_deep_or_no_number_is_wrong_use() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("input.json");
    let deep = format!("{{\"numbers\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for text in [deep.as_str(), r#"{"numbers":[1e400]}"#, r#"{"numbers":[NaN]}"#, "{\"numbers\":[\"1Z\"]"] {
        std::fs::write(&file, text)?;
        let output = Command::new(binary("wharf")?)
            .args(["adapter", "call"])
            .arg(repo().join("target/adapters/ups.wasm"))
            .args(["tracking.track", "--input"])
            .arg(&file)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("input.json") && said.contains("line 1 column"), "{said}");
    }
    Ok(())
}

/// Without an input the example's tracking number need not be the recorded one; with an input it must.
#[test]
fn the_example_fits_any_recording_of_its_route() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let text = std::fs::read_to_string(repo().join("plugins/ups/examples/tracking.track.recording.json"))?;
    let example = std::fs::read_to_string(repo().join("plugins/ups/examples/tracking.track.json"))?;
    let number: Value = serde_json::from_str::<Value>(&example)?["numbers"][0].clone();
    let file = folder.path().join("other.json");
    std::fs::write(&file, text.replace(number.as_str().unwrap_or_default(), "1Z999AA10123456784"))?;
    let file = file.display().to_string();
    let (_, answer) = call("ups", "tracking.track", &["--replay", &file])?;
    assert_eq!(answer["ok"][0]["trackers"][0]["tracking_number"], "1Z999AA10123456784", "{answer:#}");
    let input = folder.path().join("input.json");
    std::fs::write(&input, example)?;
    let (_, answer) = call("ups", "tracking.track", &["--replay", &file, "--input", &input.display().to_string()])?;
    assert_eq!(answer["ok"][0]["fault"]["code"], "egress.no-recording", "{answer:#}");
    Ok(())
}

/// The recording the README names.
#[test]
fn the_readmes_example_works() -> anyhow::Result<()> {
    let file = repo().join("plugins/ups/examples/tracking.track.recording.json").display().to_string();
    let (code, answer) = call("ups", "tracking.track", &["--replay", &file])?;
    assert_eq!(code, Some(0), "{answer:#}");
    assert_eq!(answer["ok"][0]["trackers"][0]["phase"], "delivered", "{answer:#}");
    Ok(())
}

#[test]
fn wrong_use_is_told_apart_from_a_fault() -> anyhow::Result<()> {
    let file = repo().join("target/adapters/ups.wasm");
    let output = Command::new(binary("wharf")?).args(["adapter", "call"]).arg(file).arg("labels.print").output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("labels.create-shipment"), "it lists what there is");
    Ok(())
}

/// A trial over the recordings prints a manifest that asks for what the examples used, and names the rest.
#[test]
fn a_trial_prints_the_least_an_adapter_has_to_ask_for() -> anyhow::Result<()> {
    let Some(folder) = recordings("ups") else { return Ok(()) };
    let file = repo().join("target/adapters/ups.wasm");
    let mut trial = Command::new(binary("wharf")?);
    let output =
        trial.args(["adapter", "trial", "--learn", "--recordings"]).arg(folder.join("rates")).arg(&file).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let (learned, rest) = said.split_once("# declared and not used here:").expect("both parts");
    let read: toml::Table = toml::from_str(learned)?;
    let paths: Vec<&str> = read["routes"].as_array().into_iter().flatten().filter_map(|r| r["path"].as_str()).collect();
    // The examples ask for all of it, whatever was recorded; nothing in the adapter tells `Shop` from `Rate` by itself.
    for path in ["/api/rating/*/Shop", "/api/rating/*/Rate", "/api/shipments/*/ship", "/api/track/v1/details/*"] {
        assert!(paths.contains(&path), "{path} was asked for: {said}");
    }
    assert!(read["secrets"].get("oauth").is_some(), "{said}");
    assert!(!said.contains("0 of "), "some recordings answered: {said}");
    assert!(!rest.is_empty(), "{said}");
    let nowhere = tempfile::tempdir()?;
    let mut trial = Command::new(binary("wharf")?);
    let output = trial.args(["adapter", "trial", "--learn", "--recordings"]).arg(nowhere.path()).arg(&file).output()?;
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

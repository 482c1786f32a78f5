use super::*;

#[test]
fn a_wrong_cron_names_the_field_and_the_remedy() {
    let cases = [
        ("60 * * * *", "minute `60`: use 0 to 59, *, a list 1,2, a range 1-5 or a step */5"),
        ("* 24 * * *", "hour `24`: use 0 to 23, *, a list 1,2, a range 1-5 or a step */5"),
        ("* * 0 * *", "day of month `0`: use 1 to 31, *, a list 1,2, a range 1-5 or a step */5"),
        ("* * * janjan *", "month `janjan`: use 1 to 12 or jan to dec, *, a list 1,2, a range 1-5 or a step */5"),
        ("* * * * jan", "day of week `jan`: use 0 to 7 or sun to sat, *, a list 1,2, a range 1-5 or a step */5"),
        ("* * * * fri-mon", "day of week `fri-mon`: a range goes upwards; write 5-7,0-1"),
        ("* 22-6 * * *", "hour `22-6`: a range goes upwards; write 22-23,0-6"),
        ("*/90 * * * *", "minute `*/90`: the step must be from 1 to 59; for any pace use every_seconds"),
        ("*/0 * * * *", "minute `*/0`: the step must be from 1 to 59; for any pace use every_seconds"),
        ("5/10 * * * *", "minute `5/10`: a step needs a range: 5-59/n or */n"),
        ("1,,2 * * * *", "minute ``: use 0 to 59, *, a list 1,2, a range 1-5 or a step */5"),
        ("+1 * * * *", "minute `+1`: use 0 to 59, *, a list 1,2, a range 1-5 or a step */5"),
        ("0 0 30 feb *", "day of month `30`: the months named have no such day; correct one of them"),
        ("0 0 31 2,4,6,9,11 *", "day of month `31`: the months named have no such day; correct one of them"),
    ];
    for (text, message) in cases {
        assert_eq!(Cron::parse(text).expect_err(text).to_string(), message);
    }
    for text in ["", "* * * *", "0 * * * * *", "@reboot", "99999999999999999999 * * * * *"] {
        let message = Cron::parse(text).expect_err(text).to_string();
        assert!(message.starts_with(&format!("cron `{text}`: use five fields")), "{message}");
    }
    assert!(Cron::parse("99999999999999999999 * * * *").is_err());
    assert!(Cron::parse("*/99999999999999999999 * * * *").is_err());
}

#[test]
fn two_ways_to_write_a_cron_tick_alike() {
    let pairs = [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@WEEKLY", "0 0 * * sun"),
        ("@monthly", "0 0 1 */1 *"),
        ("@yearly", "0 0 1 jan *"),
        ("*/15 6-18 * * mon-fri", "0,15,30,45 6,7-18 * * 1-5"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * sun-sun", "0 0 * * 0"),
        ("0 0 * * sat-sun", "0 0 * * 6,0"),
        ("0 0 * * Sat-7", "0 0 * * sun,sat"),
        ("0 0 * JUN-aug *", "0 0 * 6-8 *"),
        ("10-40/15 * * * *", "10,25,40 * * * *"),
    ];
    let from = at("2026-01-01T00:00:00Z");
    for (one, other) in pairs {
        let [one, other] = [one, other].map(|text| ticks(&cron(text, "UTC", ALL), from, 40));
        assert_eq!(one, other);
    }
}

#[test]
fn a_schedule_is_read_and_written_as_configuration() {
    let text = r#"{"cron":"0 22 * * *","zone":"Europe/Berlin",
        "window":{"from":"22:00","to":"06:00","days":"mon-fri"},"missed":{"run_all":{"at_most":5}}}"#;
    let schedule: Schedule = serde_json::from_str(text).expect("schedule");
    assert_eq!(schedule, windowed("0 22 * * *", ("22:00", "06:00", "mon-fri"), Missed::RunAll { at_most: 5 }));
    let again = serde_json::to_string(&schedule).expect("json");
    assert_eq!(again.replace(' ', ""), text.replace([' ', '\n'], ""));

    let short: Schedule = serde_json::from_str(r#"{"every_seconds":300}"#).expect("schedule");
    let seconds = NonZeroU32::new(300).expect("seconds");
    assert_eq!(short, Schedule::new(When::Every(seconds), "UTC", None, Missed::RunOnce).expect("schedule"));
}

#[test]
fn a_wrong_schedule_says_what_to_write() {
    let cases = [
        (r#"{"every_seconds":5,"windov":{}}"#, "unknown field `windov`"),
        (r#"{}"#, "give cron or every_seconds"),
        (r#"{"cron":"@daily","every_seconds":5}"#, "not both"),
        (r#"{"every_seconds":0}"#, "nonzero"),
        (r#"{"every_seconds":34560001}"#, "every_seconds `34560001`: use 1 to 34560000 (400 days)"),
        (r#"{"cron":"@daily","zone":"Europe/Berlim"}"#, "zone `Europe/Berlim`: use an IANA name"),
        (r#"{"cron":"@daily","zone":"Etc/Unknown"}"#, "zone `Etc/Unknown`: use an IANA name"),
        (r#"{"cron":"@daily","missed":{"run_all":{"at_most":0}}}"#, "missed.run_all.at_most `0`: use 1 to 1000"),
        (r#"{"cron":"@daily","missed":{"run_all":{"at_most":1001}}}"#, "use 1 to 1000"),
        (r#"{"cron":"@daily","missed":{"run_all":{"at_most":1,"x":1}}}"#, "unknown field `x`"),
        (r#"{"cron":"@daily","window":{"from":"8:00","to":"09:00"}}"#, "window.from `8:00`: use HH:MM"),
        (r#"{"cron":"@daily","window":{"from":"24:00","to":"09:00"}}"#, "window.from `24:00`: use HH:MM"),
        (r#"{"cron":"@daily","window":{"from":"08:00","to":"24:01"}}"#, "window.to `24:01`: use HH:MM"),
        (r#"{"cron":"@daily","window":{"from":"08:00","to":"08:00"}}"#, "it must differ from window.from"),
        (r#"{"cron":"@daily","window":{"from":"00:00","to":"06:00","days":"mo"}}"#, "window.days `mo`: use 0 to 7"),
        (
            r#"{"cron":"@daily","window":{"from":"06:00","to":"08:00"}}"#,
            "window `06:00 to 08:00 on *`: no tick ever falls into it",
        ),
        (
            r#"{"every_seconds":86400,"window":{"from":"06:00","to":"08:00"}}"#,
            "window `06:00 to 08:00 on *`: no tick ever falls into it",
        ),
    ];
    for (text, part) in cases {
        let message = serde_json::from_str::<Schedule>(text).expect_err(text).to_string();
        assert!(message.contains(part), "{message}");
    }
}

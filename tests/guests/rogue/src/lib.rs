//! Does what the body of a webhook tells it, step by step, and says what the host answered to each.
//!
//! The body is a JSON list of steps; the answer is one event per step, with the host's answer as its `answer`.

mod labels;
mod memory;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_sdk::bindings::wharf::log::logger::{self, Level};
use wharf_sdk::http::Request;
use wharf_sdk::webhook::{Event, RawRequest, VerifiedFacts};
use wharf_sdk::{Fault, files, info, kv};

/// One thing to do.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "do", deny_unknown_fields)]
enum Step {
    /// One request through the host.
    Http {
        method: String,
        url: String,
        #[serde(default)]
        headers: Vec<(String, String)>,
        #[serde(default)]
        body: Option<String>,
        /// In place of `body`: so many bytes.
        #[serde(default)]
        body_bytes: Option<usize>,
        /// Makes it so often, and says what the last one came to.
        #[serde(default = "once")]
        times: u32,
    },
    KvGet {
        key: String,
    },
    /// A value of so many bytes.
    KvSet {
        key: String,
        bytes: usize,
        #[serde(default = "once")]
        times: u32,
    },
    /// Writes the line so often.
    Log {
        line: String,
        #[serde(default = "once")]
        times: u32,
    },
    /// Uses the processor for so many rounds.
    Spin {
        rounds: u64,
    },
    /// Never ends.
    Loop,
    /// Keeps asking the host for nothing in particular, for ever.
    LoopWithCalls,
    /// Takes memory until there is none.
    Grow,
    Panic {
        message: String,
    },
    /// Calls itself until the stack is used up.
    Recurse,
    /// Reads what an earlier call may have left in memory: the number of times this was done in this instance.
    Remember,
    /// Answers with so many bytes.
    Answer {
        bytes: usize,
    },
    /// Asks a partner and puts what comes back wherever a guest can put text: log, storage, its answer.
    Spread {
        url: String,
        /// Then panics with it.
        panics: bool,
    },
    /// Does something with a file in a folder of that name.
    Folder {
        folder: String,
        op: Op,
        name: String,
        #[serde(default)]
        content: String,
    },
    /// Looks for patterns in its own memory. Hexadecimal, every byte changed by 0x5a.
    Hunt {
        hidden: Vec<String>,
    },
    /// Leaves a pattern all over so many bytes of its memory.
    Fill {
        hidden: String,
        bytes: usize,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Op {
    Waiting,
    Claim,
    Read,
    Finish,
    Put,
}

fn once() -> u32 {
    1
}

struct Rogue;

wharf_sdk::export!(Rogue: info, labels, webhook);

impl info::Guest for Rogue {
    fn describe() -> info::Description {
        info::Description {
            name: "rogue".to_owned(),
            services: vec![],
            label_formats: vec![],
            test_environment: true,
            limits: vec![],
            extensions: vec![],
        }
    }
}

impl wharf_sdk::webhook::Guest for Rogue {
    fn parse(request: RawRequest, _facts: VerifiedFacts) -> Result<Vec<Event>, Fault> {
        let steps: Vec<Step> = serde_json::from_slice(&request.body)
            .map_err(|error| Fault::invalid_input("script", format!("the script makes no sense: {error}")))?;
        Ok(steps.into_iter().map(|step| event(&take(step))).collect())
    }
}

fn event(answer: &Value) -> Event {
    let extensions = vec![("answer".to_owned(), answer.to_string())];
    Event { id: None, kind: "step".to_owned(), trackers: vec![], extensions }
}

fn take(step: Step) -> Value {
    match step {
        Step::Http { method, url, headers, body, body_bytes, times } => {
            let body = body_bytes.map(|bytes| vec![b'x'; bytes]).or_else(|| body.map(String::into_bytes));
            let request = Request { method, url, headers, body, options: vec![] };
            repeat(times, || http(&request))
        }
        Step::KvGet { key } => match kv::get(&key) {
            Ok(value) => json!({ "value": value.map(|bytes| STANDARD.encode(bytes)) }),
            Err(fault) => refused(&fault),
        },
        Step::KvSet { key, bytes, times } => {
            let value = vec![b'x'; bytes];
            repeat(times, || match kv::set(&key, &value, None) {
                Ok(()) => json!("set"),
                Err(fault) => refused(&fault),
            })
        }
        Step::Log { line, times } => repeat(times, || {
            logger::write(Level::Info, &line);
            json!("written")
        }),
        Step::Spin { rounds } => json!(spin(rounds)),
        Step::Loop => loop {
            std::hint::black_box(spin(1_000));
        },
        Step::LoopWithCalls => loop {
            std::hint::black_box(wharf_sdk::clock::now_ms());
        },
        Step::Grow => {
            let mut taken = Vec::new();
            loop {
                taken.push(vec![1_u8; 1 << 20]);
                std::hint::black_box(&taken);
            }
        }
        Step::Panic { message } => panic!("{message}"),
        Step::Recurse => json!(recurse(0)),
        Step::Remember => json!(remember()),
        Step::Answer { bytes } => json!("x".repeat(bytes)),
        Step::Spread { url, panics } => spread(url, panics),
        Step::Folder { folder, op, name, content } => {
            let done = match op {
                Op::Waiting => files::waiting(&folder, None).map(|page| json!(names(page.entries))),
                Op::Claim => files::claim(&folder, &name).map(|file| json!(file.map(|file| file.name))),
                Op::Read => files::read(&folder, &name).map(|bytes| json!(String::from_utf8_lossy(&bytes))),
                Op::Finish => files::finish(&folder, &name).map(|()| json!("finished")),
                Op::Put => files::put(&folder, &name, content.as_bytes()).map(|()| json!("left")),
            };
            done.unwrap_or_else(|fault| refused(&fault))
        }
        Step::Hunt { hidden } => {
            let patterns: Vec<Vec<u8>> = hidden.iter().map(|text| bytes_of(text)).collect();
            json!(memory::hunt(&patterns))
        }
        Step::Fill { hidden, bytes } => {
            memory::fill(&bytes_of(&hidden), bytes);
            json!("filled")
        }
    }
}

fn names(entries: Vec<files::Entry>) -> Vec<String> {
    entries.into_iter().map(|entry| entry.name).collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    hex.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |byte, one| byte << 4 | digit(*one))).collect()
}

fn spread(url: String, panics: bool) -> Value {
    let request = Request { method: "GET".to_owned(), url, headers: vec![], body: None, options: vec![] };
    let answer = http(&request).to_string();
    for part in answer.as_bytes().chunks(900) {
        logger::write(Level::Error, &String::from_utf8_lossy(part));
    }
    let kept = kv::set("loot", answer.as_bytes(), None).is_ok();
    assert!(!panics, "{answer}");
    json!({ "kept": kept, "answer": answer })
}

fn http(request: &Request) -> Value {
    match request.send() {
        Ok(answer) => json!({
            "status": answer.status,
            "headers": answer.headers,
            "body": String::from_utf8_lossy(&answer.body),
        }),
        Err(fault) => refused(&fault),
    }
}

fn refused(fault: &Fault) -> Value {
    json!({ "kind": fault.kind, "code": fault.code, "message": fault.message })
}

fn repeat(times: u32, mut one: impl FnMut() -> Value) -> Value {
    let mut last = Value::Null;
    for _ in 0..times {
        last = one();
    }
    last
}

fn spin(rounds: u64) -> u64 {
    let mut x = 1_u64;
    for round in 0..rounds {
        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round));
    }
    x
}

fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    let more = std::hint::black_box([depth; 64]);
    recurse(depth + 1).wrapping_add(more[usize::try_from(depth % 64).unwrap_or(0)])
}

fn remember() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static TIMES: AtomicU32 = AtomicU32::new(0);
    TIMES.fetch_add(1, Ordering::Relaxed) + 1
}

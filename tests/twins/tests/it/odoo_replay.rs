//! Replaying recorded Odoo exchanges: the recorded request with the twin's own ids put in, the answer compared in status
//! and shape.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wharf_twins::Running;

use crate::client::{Answer, Call};
use crate::recorded::{differences, read_json};

pub(crate) const ADMIN: &str = "000000000000000000000000000000000000000a";
pub(crate) const BOT: &str = "000000000000000000000000000000000000000b";

/// One recorded exchange.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    /// Folder and beginning of the file's name.
    pub(crate) file: &'static str,
    /// Places in the request's body and the variables to put there.
    pub(crate) set: &'static [(&'static str, &'static str)],
    /// Variables to take from the answer, and where; `@session` is the cookie.
    pub(crate) learn: &'static [(&'static str, &'static str)],
    /// Differences that are known and meant, by how their line begins.
    pub(crate) allowed: &'static [&'static str],
    pub(crate) who: Who,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Who {
    #[default]
    Admin,
    Bot,
    /// The variable of this name holds the key.
    Key(&'static str),
    BadKey,
    Nobody,
    Basic,
}

pub(crate) const fn step(file: &'static str) -> Step {
    Step { file, set: &[], learn: &[], allowed: &[], who: Who::Admin }
}

impl Step {
    pub(crate) const fn set(self, set: &'static [(&'static str, &'static str)]) -> Self {
        Self { set, ..self }
    }

    pub(crate) const fn learn(self, learn: &'static [(&'static str, &'static str)]) -> Self {
        Self { learn, ..self }
    }

    pub(crate) const fn allow(self, allowed: &'static [&'static str]) -> Self {
        Self { allowed, ..self }
    }

    pub(crate) const fn by(self, who: Who) -> Self {
        Self { who, ..self }
    }
}

pub(crate) struct Replay<'a> {
    pub(crate) twin: &'a Running,
    root: PathBuf,
    pub(crate) vars: BTreeMap<&'static str, Value>,
    wrong: Vec<String>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(twin: &'a Running, shared: &Path) -> Self {
        Self { twin, root: shared.join("odoo/fixtures"), vars: BTreeMap::new(), wrong: Vec::new() }
    }

    pub(crate) fn put(&mut self, name: &'static str, value: Value) {
        self.vars.insert(name, value);
    }

    pub(crate) async fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.one(step).await;
        }
    }

    /// Fails with every difference found so far.
    pub(crate) fn judge(self) {
        assert!(self.wrong.is_empty(), "\n{}", self.wrong.join("\n"));
    }

    async fn one(&mut self, step: &Step) {
        let recorded = read_json(&find(&self.root, step.file));
        let mut body = recorded["request"]["body"].clone();
        for (at, name) in step.set {
            let place = body.pointer_mut(at).unwrap_or_else(|| panic!("{}: no `{at}` in the request", step.file));
            *place = self.var(name);
        }
        let got = self.call(step, &recorded["request"], &body).send(&self.twin.base_url).await.unwrap();
        self.compare(step, &recorded["response"], &got);
        for (name, at) in step.learn {
            let value = match *at {
                "@session" => got.headers.get("set-cookie").and_then(|c| c.split(';').next()).map(Value::from),
                at => got.json().pointer(at).cloned(),
            };
            self.vars.insert(name, value.unwrap_or_else(|| panic!("{}: no `{at}` in {}", step.file, got.text())));
        }
    }

    fn var(&self, name: &str) -> Value {
        self.vars.get(name).cloned().unwrap_or_else(|| panic!("nothing is known of `{name}`"))
    }

    fn call(&self, step: &Step, request: &Value, body: &Value) -> Call {
        let mut call = Call::new(request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            match name.as_str() {
                "Authorization" => {}
                "Cookie" => call = call.header(name, self.var("cookie").as_str().unwrap()),
                _ => call = call.header(name, value.as_str().unwrap()),
            }
        }
        let key = match step.who {
            Who::Admin => format!("bearer {ADMIN}"),
            Who::Bot => format!("bearer {BOT}"),
            Who::Key(name) => format!("bearer {}", self.var(name).as_str().unwrap()),
            Who::BadKey => format!("bearer {}", "f".repeat(40)),
            Who::Basic => format!("Basic {ADMIN}"),
            Who::Nobody => String::new(),
        };
        if !key.is_empty() {
            call = call.header("Authorization", &key);
        }
        match body {
            Value::Null => call,
            // Malformed on purpose: as it was.
            Value::String(text) => call.body(text.as_bytes()),
            other => call.body(other.to_string().as_bytes()),
        }
    }

    fn compare(&mut self, step: &Step, recorded: &Value, got: &Answer) {
        let mut say = |text: String| self.wrong.push(format!("{}: {text}", step.file));
        if recorded["status"] != got.status {
            say(format!("status {} is not {}: {}", got.status, recorded["status"], got.text()));
            return;
        }
        for pair in recorded["headers"].as_array().into_iter().flatten() {
            let (name, want) = (pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default());
            let same = ["Server", "Content-Type", "Connection", "WWW-Authenticate"].contains(&name);
            let have = got.headers.get(&name.to_ascii_lowercase()).map(|v| v.trim());
            if same && have != Some(want.trim()) {
                say(format!("header {name} {have:?} is not {want:?}"));
            }
        }
        if recorded["body"].as_str().is_some_and(|text| text.trim_start().starts_with('<')) {
            if !got.text().trim_start().starts_with('<') {
                say(format!("no page: {}", got.text()));
            }
            return;
        }
        let body = got.json();
        for line in differences(&recorded["body"], &body, step.allowed) {
            say(line);
        }
        // The orders of the demo database are other orders.
        if got.status == 200 && !step.file.starts_with("02") {
            let (want, have) = (telling(&recorded["body"]), telling(&body));
            if want != have {
                say(format!("{have:?} is not {want:?}"));
            }
        }
        // The class of an error decides what a caller does: it is a value that counts.
        if got.status >= 400 && recorded["body"]["name"] != body["name"] {
            say(format!("{} is not {}", body["name"], recorded["body"]["name"]));
        }
    }
}

/// Values that are the same whoever's records they are: states and what decides them; texts without their numbers.
fn telling(body: &Value) -> Vec<(String, Value)> {
    const KEYS: [&str; 16] = [
        "state",
        "quantity",
        "product_uom_qty",
        "picked",
        "products_availability",
        "delivery_status",
        "invoice_status",
        "carrier_tracking_url",
        "res_model",
        "message_type",
        "body",
        "checksum",
        "file_size",
        "qty_delivered",
        "qty_to_invoice",
        "x_event",
    ];
    let mut found = Vec::new();
    match body {
        Value::Array(all) => all.iter().for_each(|v| found.extend(telling(v))),
        Value::Object(all) => {
            for (key, value) in all {
                if KEYS.contains(&key.as_str()) && !value.is_array() && !value.is_object() {
                    let text = value.as_str().map(|t| json!(t.replace(|c: char| c.is_ascii_digit(), "")));
                    found.push((key.clone(), text.unwrap_or_else(|| value.clone())));
                } else {
                    found.extend(telling(value));
                }
            }
        }
        _ => {}
    }
    found
}

fn find(root: &Path, file: &str) -> PathBuf {
    let (folder, start) = file.split_once('/').unwrap();
    let entries = std::fs::read_dir(root.join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let names = entries.filter_map(|e| e.ok()).map(|e| e.path());
    let fits = |p: &PathBuf| {
        p.file_stem().and_then(|s| s.to_str()).is_some_and(|s| s == start || s.starts_with(&format!("{start}-")))
    };
    names.into_iter().find(fits).unwrap_or_else(|| panic!("no recording `{file}`"))
}

/// A call of our own, with whatever key.
pub(crate) async fn call(twin: &Running, key: &str, path: &str, body: &Value) -> Answer {
    let call = Call::post(&format!("/json/2/{path}"), body).header("authorization", &format!("Bearer {key}"));
    call.send(&twin.base_url).await.unwrap()
}

/// As the administrator; the answer must be a 200.
pub(crate) async fn ask(twin: &Running, path: &str, body: Value) -> Value {
    let got = call(twin, ADMIN, path, &body).await;
    assert_eq!(got.status, 200, "{path}: {}", got.text());
    got.json()
}

/// Orders made by the admin route.
pub(crate) async fn orders(twin: &Running, wanted: Value) -> Vec<Value> {
    let got = Call::post("/__admin/orders", &wanted).send(&twin.base_url).await.unwrap();
    assert_eq!(got.status, 200, "{}", got.text());
    got.json()["orders"].as_array().unwrap().clone()
}

/// The id of the record of this model with this value.
pub(crate) async fn id_of(twin: &Running, model: &str, field: &str, value: &str) -> Value {
    let found = ask(twin, &format!("{model}/search"), json!({"domain": [[field, "=", value]]})).await;
    assert!(found[0].is_i64(), "no {model} with {field} {value}");
    found[0].clone()
}

/// Ids of fields, in the order of the names.
pub(crate) async fn fields_of(twin: &Running, model: &str, names: &[&str]) -> Value {
    let mut ids = Vec::new();
    for name in names {
        let domain = json!({"domain": [["model", "=", model], ["name", "=", name]]});
        ids.push(ask(twin, "ir.model.fields/search", domain).await[0].clone());
    }
    json!(ids)
}

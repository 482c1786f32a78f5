//! `wharf secret set`: a value comes from a file or from standard input, never from an argument, which others on the
//! machine could read.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::api_client::Host;
use super::{Failure, Outcome, say, wrong_use};

/// More is no secret.
const LONGEST: u64 = 32 << 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// Whose secret
    #[arg(long)]
    tenant: String,
    /// The connection it is for; `odoo` for the tenant's Odoo
    #[arg(long)]
    connection: String,
    /// The slot, as `wharf secret list` names it
    #[arg(long)]
    slot: String,
    /// `FIELD=FILE`, once for each field of the slot; `-` as the file is standard input. Absent: standard input is the
    /// field `value`
    #[arg(long = "from", value_name = "FIELD=FILE", value_parser = source)]
    sources: Vec<(String, PathBuf)>,
    /// Lays it by; `wharf secret promote` puts it to use
    #[arg(long)]
    next: bool,
    /// How long the value before it stays usable, in hours; absent: as configured
    #[arg(long)]
    overlap_hours: Option<u32>,
    /// Whose account at the partner it is, compared with the value before it
    #[arg(long, value_enum, default_value = "auto")]
    account: Account,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Account {
    /// The same, unless a field that names the account says otherwise
    Auto,
    /// The same, under whatever name
    Same,
    /// Another: what is in doubt under the old one is not looked up here
    Other,
}

fn source(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((field, file)) if !field.is_empty() && !file.is_empty() => Ok((field.to_owned(), PathBuf::from(file))),
        // The text may be a secret that was typed by mistake.
        _ => Err("write `FIELD=FILE`; a value is never an argument".to_owned()),
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut body = json!({
        "values": values(&args.sources, &mut std::io::stdin().lock())?,
        "as_next": args.next,
        "account": args.account.to_possible_value().map(|value| value.get_name().to_owned()),
    });
    if let Some(hours) = args.overlap_hours {
        body["overlap_seconds"] = hours.saturating_mul(3_600).into();
    }
    let path = format!("/api/v1/tenants/{}/secrets/{}/{}", args.tenant, args.connection, args.slot);
    let answer = args.host.client()?.put(&path, &body)?;
    if args.host.json {
        say(&answer)?;
    } else {
        say(sentence(&format!("{}/{}", args.connection, args.slot), args.next, &answer))?;
    }
    Ok(0)
}

fn values(sources: &[(String, PathBuf)], stdin: &mut impl Read) -> Result<Value, Failure> {
    let only = [("value".to_owned(), PathBuf::from("-"))];
    let sources = if sources.is_empty() { &only[..] } else { sources };
    if sources.iter().filter(|(_, file)| file.as_os_str() == "-").count() > 1 {
        return Err(wrong_use(anyhow!("`--from` reads standard input for one field only")));
    }
    let mut values = Map::new();
    for (field, file) in sources {
        let text = if file.as_os_str() == "-" {
            read(&mut *stdin).context("standard input")
        } else {
            let shown = file.display();
            let file =
                std::fs::File::open(file).with_context(|| format!("cannot open `{shown}`")).map_err(wrong_use)?;
            read(file).with_context(|| format!("`{shown}`"))
        };
        let text = text.map_err(wrong_use)?;
        if values.insert(field.clone(), text.into()).is_some() {
            return Err(wrong_use(anyhow!("`--from` names the field `{field}` twice")));
        }
    }
    Ok(values.into())
}

/// The text without the line's end editors put there.
fn read(from: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(anyhow!("it is longer than {LONGEST} bytes"));
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(anyhow!("there is nothing in it"));
    }
    Ok(text.to_owned())
}

fn sentence(name: &str, next: bool, answer: &Value) -> String {
    let version = &answer["version"];
    match (answer["changed"] == true, next) {
        (false, _) => format!("secret {name} had this value already, as version {version}; nothing was changed"),
        (true, true) => format!("secret {name} version {version} is laid by; wharf secret promote puts it to use"),
        (true, false) => format!("secret {name} version {version} is used from now on"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_from_files_and_standard_input() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("user");
        std::fs::write(&file, "ana\n").expect("written");
        let sources = [("username".to_owned(), file.clone()), ("password".to_owned(), PathBuf::from("-"))];
        let read = values(&sources, &mut "pass word\r\n".as_bytes()).ok().expect("values");
        assert_eq!(read, json!({ "username": "ana", "password": "pass word" }));
        let read = values(&[], &mut "key".as_bytes()).ok().expect("value");
        assert_eq!(read, json!({ "value": "key" }));
        for (sources, stdin) in [
            (vec![], "\n".to_owned()),
            (vec![], "x".repeat(40_000)),
            (vec![("a".to_owned(), PathBuf::from("-")), ("b".to_owned(), PathBuf::from("-"))], "x".to_owned()),
            (vec![("a".to_owned(), file.clone()), ("a".to_owned(), file)], String::new()),
            (vec![("a".to_owned(), folder.path().join("gone"))], String::new()),
        ] {
            assert!(values(&sources, &mut stdin.as_bytes()).is_err(), "{sources:?}");
        }
    }

    #[test]
    fn a_source_that_may_be_a_secret_is_not_repeated() {
        assert_eq!(source("value=a.key"), Ok(("value".to_owned(), PathBuf::from("a.key"))));
        for text in ["canary", "=canary", "canary="] {
            assert!(!source(text).expect_err("no source").contains("canary"));
        }
    }

    #[test]
    fn what_was_done_is_told() {
        let told = |next, changed| sentence("acme/key", next, &json!({ "version": 2, "changed": changed }));
        assert!(told(false, true).ends_with("is used from now on"));
        assert!(told(true, true).contains("is laid by"));
        assert!(told(false, false).contains("nothing was changed"));
    }
}

//! The little Python that travels in Odoo's strings: literals (domains of rules) in, `repr` (error texts) out.

use std::io;

use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Value};

/// A literal as JSON: tuples become lists, `None` becomes `null`. `None` when it is no literal.
pub(super) fn literal(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text };
    let value = reader.value()?;
    reader.skip();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.skip();
        for (word, value) in [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)] {
            if self.eat(word) {
                return Some(value);
            }
        }
        match self.rest.chars().next()? {
            '[' => self.items("[", "]").map(Value::Array),
            '(' => self.items("(", ")").map(Value::Array),
            '{' => self.entries(),
            quote @ ('\'' | '"') => self.string(quote).map(Value::String),
            _ => self.number(),
        }
    }

    fn items(&mut self, open: &str, close: &str) -> Option<Vec<Value>> {
        self.eat(open);
        let mut all = Vec::new();
        loop {
            if self.eat(close) {
                return Some(all);
            }
            all.push(self.value()?);
            if !self.eat(",") {
                return self.eat(close).then_some(all);
            }
        }
    }

    fn entries(&mut self) -> Option<Value> {
        self.eat("{");
        let mut all = Map::new();
        loop {
            if self.eat("}") {
                return Some(Value::Object(all));
            }
            let Value::String(key) = self.value()? else { return None };
            if !self.eat(":") {
                return None;
            }
            all.insert(key, self.value()?);
            if !self.eat(",") {
                return self.eat("}").then_some(Value::Object(all));
            }
        }
    }

    fn string(&mut self, quote: char) -> Option<String> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => out.push(match chars.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }),
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Some(out);
                }
                c => out.push(c),
            }
        }
        None
    }

    fn number(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        serde_json::from_str::<serde_json::Number>(digits).ok().map(Value::Number)
    }
}

/// As Python prints it inside a message.
pub(super) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(n) => n.to_string(),
        Value::String(s) if s.contains('\'') && !s.contains('"') => format!("\"{s}\""),
        Value::String(s) => format!("'{}'", s.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n")),
        Value::Array(all) => format!("[{}]", all.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(all) => {
            let entries = all.iter().map(|(k, v)| format!("'{k}': {}", repr(v)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// JSON with the blanks `json.dumps` puts after commas and colons, keys in order.
pub(super) fn dumps(value: &Value) -> String {
    let mut out = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut out, Blanks));
    // A value always has a form, and a vector takes it.
    debug_assert!(written.is_ok());
    String::from_utf8(out).unwrap_or_default()
}

struct Blanks;

impl Formatter for Blanks {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_domain_in_a_rule_is_read() {
        let domain = "[('state','=','posted'), ('move_type', 'in', [\"out_invoice\", 'out_refund']),]";
        let want = json!([["state", "=", "posted"], ["move_type", "in", ["out_invoice", "out_refund"]]]);
        assert_eq!(literal(domain), Some(want));
        assert_eq!(literal("{'a': None, 'b': -1.5, 'c': True}"), Some(json!({"a": null, "b": -1.5, "c": true})));
        assert_eq!(literal(r"'it\'s'"), Some(json!("it's")));
    }

    #[test]
    fn code_is_no_literal() {
        for code in ["record.state", "[('a', '=', x)]", "[1, 2", "'open", ""] {
            assert_eq!(literal(code), None, "{code}");
        }
    }

    #[test]
    fn json_is_spaced_as_python_spaces_it() {
        assert_eq!(dumps(&json!({"b": [1, 2.0, "x, y"], "a": {}})), r#"{"a": {}, "b": [1, 2.0, "x, y"]}"#);
    }

    #[test]
    fn repr_is_pythons() {
        assert_eq!(repr(&json!(["a", 1, true, null, "it's"])), "['a', 1, True, None, \"it's\"]");
    }
}

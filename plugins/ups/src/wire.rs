//! Reading UPS JSON leniently: everything may be missing, null, a string where an object should be, or one object where
//! the specification shows a list (before v2403 a list of one is sent as the object itself).

use serde_json::Value;
use wharf_sdk::decimal::Decimal;
use wharf_sdk::http::Response;
use wharf_sdk::{Message, Money};

/// A place in an answer that may not exist.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a>(Option<&'a Value>);

impl<'a> Node<'a> {
    pub(crate) fn of(value: &'a Value) -> Self {
        Self(Some(value))
    }

    /// The place `path`, one object key after the other.
    pub(crate) fn at(self, path: &[&str]) -> Self {
        Self(path.iter().try_fold(self.0, |here, key| Some(here?.get(key))).flatten())
    }

    /// Is there an object or a list?
    pub(crate) fn is_there(self) -> bool {
        matches!(self.0, Some(Value::Object(_) | Value::Array(_)))
    }

    /// Each item of a list; an object or a text as the only item; nothing for an absent or empty one.
    pub(crate) fn each(self) -> impl Iterator<Item = Node<'a>> {
        let items: &'a [Value] = match self.0 {
            Some(Value::Array(items)) => items,
            Some(Value::Null) | None => &[],
            Some(Value::String(text)) if text.is_empty() => &[],
            Some(one) => std::slice::from_ref(one),
        };
        items.iter().map(Node::of)
    }

    /// The text as sent, without a copy: for images. None when it is empty.
    pub(crate) fn raw(self) -> Option<&'a str> {
        self.0.and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The text, cleaned; a number as its digits. None when nothing is left.
    pub(crate) fn text(self) -> Option<String> {
        match self.0? {
            Value::String(text) => Some(clean(text)).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A three-digit code: a text as it is, because its leading zeros count; a number with the zeros it lost.
    pub(crate) fn code(self) -> Option<String> {
        let text = self.text()?;
        Some(if matches!(self.0, Some(Value::Number(_))) { format!("{text:0>3}") } else { text })
    }

    /// `{CurrencyCode, MonetaryValue}`; none when either is not what it should be.
    pub(crate) fn money(self) -> Option<Money> {
        let currency = self.at(&["CurrencyCode"]).text()?.to_ascii_uppercase();
        let amount = Decimal::parse(&self.at(&["MonetaryValue"]).text()?)?;
        let iso = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase());
        iso.then(|| Money { amount: amount.to_string(), currency })
    }

    /// `{UnitOfMeasurement: {Code}, Weight}` in grams, rounded up; none when it is absent, zero or unreadable.
    pub(crate) fn grams(self) -> Option<u64> {
        let unit = self.at(&["UnitOfMeasurement", "Code"]).text()?;
        crate::units::grams(&self.at(&["Weight"]).text()?, &unit).filter(|g| *g > 0)
    }

    /// `{Code, Description}` as a remark.
    pub(crate) fn message(self) -> Option<Message> {
        let code = self.at(&["Code"]).text()?;
        Some(Message { code, text: self.at(&["Description"]).text().unwrap_or_default() })
    }
}

/// Without control characters, white space at the ends, and the `&#xD;` UPS has put before values.
pub(crate) fn clean(text: &str) -> String {
    let text = text.replace("&#xD;", "");
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    visible.trim().to_owned()
}

/// The body as JSON; none when it is empty, not JSON, or not an object.
pub(crate) fn body(response: &Response) -> Option<Value> {
    response.json::<Value>().filter(Value::is_object)
}

/// Remarks of `lists`, each once, in order.
pub(crate) fn messages<'a>(lists: impl IntoIterator<Item = Node<'a>>) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::new();
    for message in lists.into_iter().flat_map(Node::each).filter_map(Node::message) {
        if !out.contains(&message) {
            out.push(message);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_object_reads_like_a_list_of_one() {
        let both = json!({"a": {"Code": "1"}, "b": [{"Code": "1"}], "c": "", "d": null, "e": ["x", "y"]});
        let node = Node::of(&both);
        let codes = |key| node.at(&[key]).each().filter_map(|n| n.at(&["Code"]).text()).collect::<Vec<_>>();
        assert_eq!(codes("a"), codes("b"));
        assert_eq!(node.at(&["c"]).each().count() + node.at(&["d"]).each().count(), 0);
        assert_eq!(node.at(&["e"]).each().filter_map(Node::raw).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(node.at(&["a", "Code", "deeper"]).text(), None);
    }

    #[test]
    fn text_loses_the_carriage_returns_ups_puts_before_values() {
        let value = json!({"Code": "&#xD;&#xD;&#xD;1", "n": 11, "blank": " \r\n"});
        let node = Node::of(&value);
        assert_eq!(node.at(&["Code"]).text().as_deref(), Some("1"));
        assert_eq!(node.at(&["n"]).text().as_deref(), Some("11"));
        assert_eq!(node.at(&["n"]).code().as_deref(), Some("011"));
        assert_eq!(node.at(&["Code"]).code().as_deref(), Some("1"));
        assert_eq!(node.at(&["blank"]).text(), None);
    }

    #[test]
    fn money_keeps_its_text_even_when_it_came_as_a_number() {
        let text = br#"{"a": {"CurrencyCode": "USD", "MonetaryValue": "12.40"}, "b": {"CurrencyCode": "usd", "MonetaryValue": 12.40},
            "c": {"CurrencyCode": "USD", "MonetaryValue": "n/a"}, "d": {"CurrencyCode": "DOLLAR", "MonetaryValue": "1"}}"#;
        let value: Value = serde_json::from_slice(text).expect("json");
        let money = |key| Node::of(&value).at(&[key]).money().map(|m| (m.amount, m.currency));
        assert_eq!(money("a"), Some(("12.40".to_owned(), "USD".to_owned())));
        assert_eq!(money("a"), money("b"));
        assert_eq!((money("c"), money("d")), (None, None));
    }
}

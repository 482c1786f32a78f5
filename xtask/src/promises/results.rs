//! What nextest says of each test, from the JUnit file it writes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
}

/// Outcomes by test path, from the two kinds of tags that matter: `<testcase name="…">` and the `<failure` or `<error`
/// inside it. What a test has printed is escaped there, so it cannot look like a tag.
pub(crate) fn read(xml: &str) -> Result<BTreeMap<String, Outcome>> {
    let mut results = BTreeMap::new();
    for case in xml.split("<testcase ").skip(1) {
        let case = case.split("</testcase>").next().unwrap_or(case);
        let name = case.split_once("name=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name);
        let name = name.context("a test case has no name")?;
        let failed = case.contains("<failure") || case.contains("<error");
        results.insert(name.to_owned(), if failed { Outcome::Failed } else { Outcome::Passed });
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_with_a_failure_inside_has_failed() {
        let xml = r#"<testsuites><testsuite name="a::it">
            <testcase name="kills::p1_x" classname="a::it" time="1.0"/>
            <testcase name="kills::p2_x" classname="a::it"><failure type="test failure">&lt;failure</failure></testcase>
            <testcase name="kills::p3_x" classname="a::it"><system-out>&lt;failure</system-out></testcase>
            </testsuite></testsuites>"#;
        let results = read(xml).unwrap();
        let failed: Vec<&str> =
            results.iter().filter(|(_, ended)| **ended == Outcome::Failed).map(|(name, _)| name.as_str()).collect();
        assert_eq!((results.len(), failed), (3, vec!["kills::p2_x"]));
    }
}

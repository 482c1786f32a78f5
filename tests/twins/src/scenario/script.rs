//! The script at work: counting, throwing dice, deciding.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Fault, Match, Rule, RuleCount};

/// The request as rules see it.
pub(crate) struct Facts<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
}

/// What the script wants done to one request.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Decision {
    pub(crate) delay_ms: u64,
    pub(crate) fault: Option<Fault>,
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    rules: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    seen: u64,
    fired: u64,
    dice: StdRng,
}

impl Script {
    /// Errors name the rule by its position, counted from 1.
    pub(crate) fn new(rules: Vec<Rule>, seed: u64) -> anyhow::Result<Self> {
        let mut armed = Vec::with_capacity(rules.len());
        for (at, rule) in rules.into_iter().enumerate() {
            check(&rule).map_err(|why| anyhow::anyhow!("rule {}: {why}", at + 1))?;
            let dice = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(at as u64));
            armed.push(Armed { rule, seen: 0, fired: 0, dice });
        }
        Ok(Self { rules: armed })
    }

    pub(crate) fn decide(&mut self, facts: &Facts<'_>) -> Decision {
        let mut decision = Decision::default();
        for armed in &mut self.rules {
            if !armed.rule.matches.holds(facts) {
                continue;
            }
            armed.seen += 1;
            // The dice are thrown for every match, so that an earlier fault does not shift the later ones.
            let wanted = armed.wants_this_one();
            if !wanted || decision.fault.is_some() || armed.rule.times.is_some_and(|most| armed.fired >= most) {
                continue;
            }
            armed.fired += 1;
            match &armed.rule.fault {
                Fault::Latency { ms } => decision.delay_ms += ms,
                other => decision.fault = Some(other.clone()),
            }
        }
        decision
    }

    pub(crate) fn counts(&self) -> Vec<RuleCount> {
        self.rules.iter().map(|a| RuleCount { rule: a.rule.clone(), seen: a.seen, fired: a.fired }).collect()
    }
}

impl Armed {
    fn wants_this_one(&mut self) -> bool {
        match (self.rule.nth, self.rule.every, self.rule.probability) {
            (Some(nth), _, _) => self.seen == nth,
            (_, Some(every), _) => self.seen.is_multiple_of(every),
            (_, _, Some(chance)) => self.dice.random_bool(chance),
            (None, None, None) => true,
        }
    }
}

impl Match {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        let method = self.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(facts.method));
        let path = self.path_contains.as_deref().is_none_or(|p| facts.path.contains(p));
        let reference = self
            .reference_contains
            .as_deref()
            .is_none_or(|r| facts.path.contains(r) || String::from_utf8_lossy(facts.body).contains(r));
        method && path && reference
    }
}

fn check(rule: &Rule) -> Result<(), &'static str> {
    let choices = [rule.nth.is_some(), rule.every.is_some(), rule.probability.is_some()];
    if choices.iter().filter(|c| **c).count() > 1 {
        return Err("`nth`, `every` and `probability` exclude each other");
    }
    if rule.nth == Some(0) || rule.every == Some(0) {
        return Err("`nth` and `every` count from 1");
    }
    if rule.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
        return Err("`probability` lies between 0 and 1");
    }
    match rule.fault {
        Fault::Status { code, .. } | Fault::StatusAfterEffect { code } if !(100..=599).contains(&code) => {
            Err("`code` is not an HTTP status")
        }
        Fault::SlowDrip { bytes: 0, .. } => Err("`bytes` is at least 1"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<Rule> {
        serde_json::from_str(text).unwrap()
    }

    fn facts<'a>(method: &'a str, path: &'a str, body: &'a str) -> Facts<'a> {
        Facts { method, path, body: body.as_bytes() }
    }

    fn fired(script: &mut Script, requests: usize) -> Vec<bool> {
        (0..requests).map(|_| script.decide(&facts("POST", "/ship", "")).fault.is_some()).collect()
    }

    #[test]
    fn every_form_of_the_language_reads_and_reads_back() {
        let all = rules(
            r#"[
            {"fault": {"latency": {"ms": 20}}},
            {"match": {"method": "post", "path_contains": "/ship", "reference_contains": "R-1"}, "nth": 2, "fault": "reset_before_effect"},
            {"every": 3, "times": 1, "fault": "answer_lost_after_effect"},
            {"probability": 0.1, "fault": {"status": {"code": 429, "retry_after": {"seconds": 3}}}},
            {"fault": {"status": {"code": 503, "body": "down", "retry_after": {"http_date": 5}}}},
            {"fault": "empty_200"}, {"fault": "empty_200_no_effect"}, {"fault": "html_200"},
            {"fault": "cut_json"}, {"fault": {"slow_drip": {}}}
        ]"#,
        );
        let again = rules(&serde_json::to_string(&all).unwrap());
        assert_eq!(all, again);
    }

    #[test]
    fn nth_every_and_times_choose_by_count() {
        let mut script = Script::new(rules(r#"[{"nth": 2, "fault": "cut_json"}]"#), 0).unwrap();
        assert_eq!(fired(&mut script, 4), [false, true, false, false]);
        let mut script = Script::new(rules(r#"[{"every": 2, "times": 2, "fault": "cut_json"}]"#), 0).unwrap();
        assert_eq!(fired(&mut script, 7), [false, true, false, true, false, false, false]);
    }

    #[test]
    fn chance_repeats_with_its_seed_and_keeps_its_rate() {
        let throw = |seed| {
            let mut script = Script::new(rules(r#"[{"probability": 0.2, "fault": "cut_json"}]"#), seed).unwrap();
            fired(&mut script, 1000)
        };
        assert_eq!(throw(7), throw(7));
        assert_ne!(throw(7), throw(8));
        let hits = throw(7).into_iter().filter(|h| *h).count();
        assert!((140..260).contains(&hits), "{hits} of 1000 at 20 %");
    }

    #[test]
    fn latencies_add_up_and_the_first_other_fault_wins() {
        let script = r#"[{"fault": {"latency": {"ms": 5}}}, {"fault": {"latency": {"ms": 7}}},
            {"match": {"reference_contains": "A"}, "fault": "cut_json"}, {"fault": "reset_before_effect"}]"#;
        let mut script = Script::new(rules(script), 0).unwrap();
        let got = script.decide(&facts("POST", "/x", "..A.."));
        assert_eq!(got, Decision { delay_ms: 12, fault: Some(Fault::CutJson) });
        assert_eq!(script.decide(&facts("POST", "/x", "B")).fault, Some(Fault::ResetBeforeEffect));
        let counts: Vec<(u64, u64)> = script.counts().iter().map(|c| (c.seen, c.fired)).collect();
        assert_eq!(counts, [(2, 2), (2, 2), (1, 1), (2, 1)], "a rule that lost its turn has not fired");
    }

    #[test]
    fn senseless_rules_are_refused_by_position() {
        for bad in [
            r#"{"nth": 0, "fault": "cut_json"}"#,
            r#"{"nth": 1, "every": 2, "fault": "cut_json"}"#,
            r#"{"probability": 1.5, "fault": "cut_json"}"#,
            r#"{"fault": {"status": {"code": 7}}}"#,
        ] {
            let error = Script::new(rules(&format!("[{{\"fault\": \"cut_json\"}}, {bad}]")), 0).unwrap_err();
            assert!(error.to_string().starts_with("rule 2: "), "{error}");
        }
        assert!(serde_json::from_str::<Vec<Rule>>(r#"[{"fault": "cut_json", "nht": 1}]"#).is_err());
    }
}

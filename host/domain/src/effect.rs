//! Outside changes: their classes, keys and states. The table of allowed transitions is here and nowhere else; what an
//! effect of unknown outcome allows is [`way_out`].

mod doubt;

use serde::{Deserialize, Serialize};

pub use doubt::{Doubt, WayOut, Why, remote_key, way_out};

/// How a route may be repeated. Declared in the manifest; an operator may only tighten it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectClass {
    /// Changes nothing: retried freely. Includes POST routes that only ask.
    Read,
    /// Absolute state (PUT, void, cancel): repeated with the same body.
    Natural,
    /// The partner honours a key the host makes: within its retention the same request under the same key has one
    /// effect.
    Keyed,
    /// `find-by-reference` tells what became of it.
    Lookup,
    /// Never sent a second time by itself. The default for every undeclared mutating route.
    Once,
}

impl EffectClass {
    /// As a manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Natural => "natural",
            Self::Keyed => "keyed",
            Self::Lookup => "lookup",
            Self::Once => "once",
        }
    }
}

/// Where one effect stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectState {
    /// Decided and written down; no byte has left.
    Intent,
    /// A byte may have left.
    Sending,
    /// The partner confirmed it.
    Succeeded,
    /// The partner refused it: nothing changed.
    Rejected,
    /// Nobody knows.
    Uncertain,
    /// A lookup is under way.
    Reconciling,
    /// A person must decide.
    Parked,
    /// A person saw at the partner that it happened; the reference is theirs.
    ResolvedHappened,
    /// A person let it be sent again.
    Resend,
    /// A person gave up on it.
    Abandoned,
    /// A person had it undone by another effect.
    Compensated,
}

impl EffectState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Sending => "sending",
            Self::Succeeded => "succeeded",
            Self::Rejected => "rejected",
            Self::Uncertain => "uncertain",
            Self::Reconciling => "reconciling",
            Self::Parked => "parked",
            Self::ResolvedHappened => "resolved-happened",
            Self::Resend => "resend",
            Self::Abandoned => "abandoned",
            Self::Compensated => "compensated",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "intent" => Self::Intent,
            "sending" => Self::Sending,
            "succeeded" => Self::Succeeded,
            "rejected" => Self::Rejected,
            "uncertain" => Self::Uncertain,
            "reconciling" => Self::Reconciling,
            "parked" => Self::Parked,
            "resolved-happened" => Self::ResolvedHappened,
            "resend" => Self::Resend,
            "abandoned" => Self::Abandoned,
            "compensated" => Self::Compensated,
            _ => return None,
        })
    }

    /// May an effect in this state move to `next`?
    pub fn may_become(self, next: Self) -> bool {
        use EffectState::{
            Abandoned, Compensated, Intent, Parked, Reconciling, Rejected, Resend, ResolvedHappened, Sending,
            Succeeded, Uncertain,
        };
        matches!(
            (self, next),
            // `Sending -> Intent` is NOT_SENT: proof that no request byte reached the kernel.
            // `Intent -> Uncertain`: a restored backup may be older than the send, and a late answer may show that a
            // send which a lookup did not find happened after all.
            (Intent, Sending | Abandoned | Uncertain)
                | (Sending, Intent | Succeeded | Rejected | Uncertain)
                // A guest may say that an answer the host took for success proves nothing (an empty 200).
                | (Succeeded, Uncertain)
                // A definitive refusal changed nothing: a corrected request may use the same business key.
                // A restored backup may be older than that.
                | (Rejected, Intent | Uncertain)
                | (Uncertain, Intent | Reconciling | Parked)
                | (Reconciling, Succeeded | Intent | Parked | Uncertain)
                // `Parked -> Succeeded` is the late answer; the others are a person's decision.
                | (Parked, Succeeded | ResolvedHappened | Resend | Abandoned | Compensated)
                | (Resend, Intent | Abandoned)
        )
    }

    /// Can nothing more become of it by itself, so that its key may be released?
    pub fn settled(self) -> bool {
        use EffectState::{Abandoned, Compensated, Rejected, ResolvedHappened, Succeeded};
        matches!(self, Succeeded | Rejected | ResolvedHappened | Abandoned | Compensated)
    }
}

/// What makes an effect one and the same: tenant-scoped, unique for ever unless released by a void.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusinessKey {
    /// e.g. `buy-label`. A route with the same `effect` in the manifest is the one that uses the key.
    pub effect_type: String,
    /// e.g. `label:order/S00042/WH/OUT/00007/1`.
    pub key: String,
}

#[cfg(test)]
mod tests {
    use super::EffectState::{self, *};

    const ALL: [EffectState; 11] = [
        Intent,
        Sending,
        Succeeded,
        Rejected,
        Uncertain,
        Reconciling,
        Parked,
        ResolvedHappened,
        Resend,
        Abandoned,
        Compensated,
    ];

    #[test]
    fn an_uncertain_effect_never_goes_straight_back_to_the_wire() {
        for state in ALL {
            let may_send = state.may_become(Sending);
            assert_eq!(may_send, state == Intent, "{state:?}");
        }
    }

    #[test]
    fn every_state_survives_its_text_form() {
        for state in ALL {
            assert_eq!(EffectState::parse(state.as_str()), Some(state));
        }
        assert_eq!(EffectState::parse("sent"), None);
    }

    #[test]
    fn what_a_person_has_settled_is_final() {
        for state in [Abandoned, ResolvedHappened, Compensated] {
            assert!(state.settled() && ALL.iter().all(|next| !state.may_become(*next)), "{state:?}");
        }
    }

    #[test]
    fn only_a_parked_effect_is_for_a_person() {
        for decision in [ResolvedHappened, Resend, Compensated] {
            let from: Vec<_> = ALL.iter().filter(|state| state.may_become(decision)).collect();
            assert_eq!(from, [&Parked], "{decision:?}");
        }
    }

    #[test]
    fn the_name_in_json_is_the_text_form() {
        for state in ALL {
            assert_eq!(serde_json::json!(state), state.as_str());
        }
    }
}

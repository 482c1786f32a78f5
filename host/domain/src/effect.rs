//! Outside changes: their classes, keys and states. The table of allowed transitions is here and nowhere else.

use serde::{Deserialize, Serialize};

/// How a route may be repeated. Declared in the manifest; an operator may only tighten it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectClass {
    /// Changes nothing: retried freely. Includes POST routes that only ask.
    Read,
    /// Absolute state (PUT, void, cancel): repeated with the same body.
    Natural,
    /// `find-by-reference` tells what became of it.
    Lookup,
    /// Never sent a second time by itself. The default for every undeclared mutating route.
    Once,
}

/// Where one effect stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// A person gave up on it.
    Abandoned,
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
            Self::Abandoned => "abandoned",
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
            "abandoned" => Self::Abandoned,
            _ => return None,
        })
    }

    /// May an effect in this state move to `next`?
    pub fn may_become(self, next: Self) -> bool {
        use EffectState::{Abandoned, Intent, Parked, Reconciling, Rejected, Sending, Succeeded, Uncertain};
        matches!(
            (self, next),
            // `Sending -> Intent` is NOT_SENT: proof that no request byte reached the kernel.
            (Intent, Sending | Abandoned)
                | (Sending, Intent | Succeeded | Rejected | Uncertain)
                // A guest may say that an answer the host took for success proves nothing (an empty 200).
                | (Succeeded, Uncertain)
                // A definitive refusal changed nothing: a corrected request may use the same business key.
                | (Rejected, Intent)
                | (Uncertain, Intent | Reconciling | Parked)
                | (Reconciling, Succeeded | Intent | Parked | Uncertain)
                | (Parked, Succeeded | Intent | Abandoned)
        )
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

    const ALL: [EffectState; 8] = [Intent, Sending, Succeeded, Rejected, Uncertain, Reconciling, Parked, Abandoned];

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
    fn an_abandoned_effect_is_final() {
        assert!(ALL.iter().all(|next| !Abandoned.may_become(*next)));
    }
}

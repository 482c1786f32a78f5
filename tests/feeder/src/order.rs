//! What is fed: orders, each with a name, a lane and a class of effect.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the order touches the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Buys a label, which can be found again.
    Lookup,
    /// Buys a shipment under a key the partner honours.
    Keyed,
    /// Sets an address, which may be repeated.
    Natural,
    /// Orders a pickup, which can be neither found nor repeated.
    Once,
    /// Touches nothing outside.
    Inside,
}

/// What is drawn from. Each entry has the same chance.
const MIX: [Class; 8] =
    [Class::Lookup, Class::Lookup, Class::Keyed, Class::Keyed, Class::Once, Class::Once, Class::Natural, Class::Inside];

/// Tenants take the lanes in turn.
pub const TENANTS: [&str; 3] = ["east", "north", "west"];

/// One order. Everything about it follows from its place, so a host that was killed feeds the same one again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// The host that feeds it.
    pub host: String,
    /// Lanes of that host, counted from 0.
    pub lane: u32,
    /// Within the lane, counted from 1: the order in which lanes must be worked off.
    pub number: u64,
    pub class: Class,
}

impl Order {
    /// The order at a place.
    pub fn at(host: &str, lane: u32, number: u64, seed: u64) -> Self {
        let mixed = splitmix(seed ^ splitmix(u64::from(lane) << 40 | number));
        let class = MIX[usize::try_from(mixed % MIX.len() as u64).unwrap_or(0)];
        Self { host: host.to_owned(), lane, number, class }
    }

    pub fn lane(&self) -> String {
        format!("{}-{}", self.host, self.lane)
    }

    /// Unique; the reference the partner is given.
    pub fn name(&self) -> String {
        format!("{}-{}-{:06}", self.host, self.lane, self.number)
    }

    pub fn tenant(&self) -> &'static str {
        TENANTS[self.lane as usize % TENANTS.len()]
    }

    /// A finished label tells the warehouse: one job follows.
    pub fn has_follow_up(&self) -> bool {
        self.class == Class::Lookup
    }
}

/// Sebastiano Vigna's splitmix64: every bit of the result depends on every bit of `x`.
fn splitmix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_follows_from_its_place_and_every_class_comes_up() {
        let lane: Vec<Order> = (1..400).map(|number| Order::at("a", 2, number, 7)).collect();
        assert_eq!(lane[41], Order::at("a", 2, 42, 7));
        for class in MIX {
            let count = lane.iter().filter(|order| order.class == class).count();
            assert!(count > 10, "{class:?} came up {count} times");
        }
        assert_eq!((lane[0].name().as_str(), lane[0].lane().as_str()), ("a-2-000001", "a-2"));
    }
}
